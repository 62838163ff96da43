"""Other servers of OpenAI's shape, by what they were seen to do otherwise. The words of their own guides; neither was asked itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from hosted_fakes.frame import Route
from hosted_fakes.openai_tuning import OpenAITuning
from hosted_fakes.server import Reply, Request

LOOKS = 2  # at a file, before it has been read in


class AzureShape(OpenAITuning):
    """It answers under /openai/v1, keeps no metadata, and refuses a job on a file that it has not read in yet. unreadable: what it says of every file."""

    def __init__(self, token: str = "", clock: float = 0.0) -> None:
        super().__init__(token, clock)
        self.keeps_own_id = False
        self.unreadable = ""
        self._looks: dict[str, int] = {}

    def access(self, url: str, token: str) -> dict[str, str]:
        return {"OPENAI_API_KEY": token, "OPENAI_BASE_URL": f"{url}/openai/v1"}

    def answer(self, request: Request) -> Reply:
        path = request.path.removeprefix("/openai")
        if path == request.path:
            return Reply(404, self.error("Resource not found"))
        found = re.fullmatch(r"/v1/files/([^/]+)", path)
        if request.method == "GET" and found:
            self._read_in(found[1])
        if (request.method, path) == ("POST", "/v1/fine_tuning/jobs") and any(map(self._is_half, self.files)):
            return Reply(400, self.error("the file is not ready", "invalidPayload"))
        reply = super().answer(Request(request.method, path, request.query, request.headers, request.body))
        if (request.method, path) == ("POST", "/v1/files"):
            reply.body["status"] = "pending"
        return reply

    def _read_in(self, file_id: str) -> None:
        self._looks[file_id] = self._looks.get(file_id, 0) + 1
        if file_id in self.files and self._looks[file_id] > LOOKS:
            state = (
                {"status": "error", "status_details": self.unreadable} if self.unreadable else {"status": "processed"}
            )
            self.files[file_id] |= state

    def _is_half(self, file_id: str) -> bool:
        return self.files[file_id]["status"] == "pending"


class NebiusShape(OpenAITuning):
    """A job that has succeeded names no model: its checkpoints have the adapter's files."""

    weights = "GET /v1/files/[^/]+/content$"

    def __init__(self, token: str = "", clock: float = 0.0) -> None:
        super().__init__(token, clock)
        self.adapter: dict[str, bytes] = {}

    def routes(self) -> Iterable[Route]:
        return (
            ("GET", r"/v1/files/(result-[^/]+)", self._result),
            ("GET", r"/v1/files/(result-[^/]+)/content", self._content),
            *super().routes(),
        )

    def tuned(self, job_id: str) -> str:
        return f"{job_id}:ftckpt-2"

    def _look(self, request: Request, job_id: str) -> Reply:
        reply = super()._look(request, job_id)
        if reply.status == 200:
            self.jobs[job_id]["fine_tuned_model"] = reply.body["fine_tuned_model"] = None
        return reply

    def _checkpoints(self, request: Request, job_id: str) -> Reply:
        done = self.jobs[job_id]["status"] == "succeeded"
        made = [
            {
                "id": f"ftckpt-{number}",
                "object": "fine_tuning.job.checkpoint",
                "fine_tuning_job_id": job_id,
                "fine_tuned_model_checkpoint": None,
                "step_number": number * 10,
                "result_files": [f"result-{number}-{place}" for place, _ in enumerate(self.adapter)],
            }
            for number in ((1, 2) if done else ())
        ]
        return Reply(200, {"object": "list", "data": made, "has_more": False})

    def _named(self, file_id: str) -> tuple[str, bytes]:
        _, number, place = file_id.split("-")
        assert number == "2", "the last checkpoint is the result"
        return list(self.adapter.items())[int(place)]

    def _result(self, request: Request, file_id: str) -> Reply:
        name, data = self._named(file_id)
        found: dict[str, Any] = {"id": file_id, "object": "file", "bytes": len(data), "status": "processed"}
        return Reply(200, found | {"filename": f"ftckpt-2/{name}", "purpose": "fine-tune-results"})

    def _content(self, request: Request, file_id: str) -> Reply:
        return Reply(200, self._named(file_id)[1], {"Content-Type": "application/octet-stream"})
