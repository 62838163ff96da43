"""OpenAI's files and fine_tuning API as its client of 3.57 was seen to use it. A job goes one state further with each look at it."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from hosted_fakes.server import Reply, Request

STATES = ("validating_files", "queued", "running", "hibernating", "succeeded")  # one that no client knows is among them
STEPS = 3


class OpenAITuning:
    """paid: ids of the jobs that passed validation, each of which costs money. clock: seconds that its clock is ahead."""

    provider, model = "openai", "gpt-4.1-nano"
    create, search, look = (
        "POST /v1/fine_tuning/jobs$",
        "GET /v1/fine_tuning/jobs$",
        "GET /v1/fine_tuning/jobs/ftjob-[^/]+$",
    )
    upload, file = "POST /v1/files$", "GET /v1/files/file-"
    weights = ""  # it gives none
    running_state, unknown_state, pair = "running", "hibernating", b"non_preferred_output"
    failure = "invalid_training_file: training_file: line 3: no role"
    steps: tuple[int, ...] = (1, 2, 3)  # that it shows the loss of
    open_paths: tuple[str, ...] = ()

    def __init__(self, token: str = "sk-openai-secret", clock: float = 0.0) -> None:
        self.token = token
        self.clock = clock
        self.files: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.paid: list[str] = []
        self.ends_as: str = "succeeded"
        self.holds_at: str = ""  # the state in which jobs stay
        self.keeps_own_id = True
        self._numbers = 0

    @property
    def running(self) -> list[str]:
        return [job["id"] for job in self.jobs.values() if job["status"] not in ("succeeded", "failed", "cancelled")]

    def access(self, url: str, token: str) -> dict[str, str]:
        return {"OPENAI_API_KEY": token, "OPENAI_BASE_URL": f"{url}/v1"}

    def tuned(self, job_id: str) -> str:
        """The name of the model that a job has made."""
        name: str = self.jobs[job_id]["fine_tuned_model"]
        return name

    @staticmethod
    def error(message: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
        return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}

    def answer(self, request: Request) -> Reply:
        for method, pattern, answer in (
            ("POST", r"/v1/files", self._upload),
            ("GET", r"/v1/files", self._list_files),
            ("GET", r"/v1/files/([^/]+)", self._file),
            ("DELETE", r"/v1/files/([^/]+)", self._delete),
            ("POST", r"/v1/fine_tuning/jobs", self._create),
            ("GET", r"/v1/fine_tuning/jobs", self._list_jobs),
            ("GET", r"/v1/fine_tuning/jobs/([^/]+)", self._look),
            ("GET", r"/v1/fine_tuning/jobs/([^/]+)/events", self._events),
            ("POST", r"/v1/fine_tuning/jobs/([^/]+)/cancel", self._cancel),
        ):
            match = re.fullmatch(pattern, request.path)
            if request.method == method and match:
                return answer(request, *match.groups())
        return Reply(404, self.error(f"Invalid URL ({request.name})", "unknown_url"))

    def _id(self, prefix: str) -> str:
        self._numbers += 1
        return f"{prefix}-{self._numbers:06d}"

    def _now(self) -> int:
        return int(time.time() + self.clock)

    def _upload(self, request: Request) -> Reply:
        parts = request.form()
        assert parts["purpose"].get_content().strip() == "fine-tune"
        content = parts["file"].get_payload(decode=True)
        made = {
            "id": self._id("file"),
            "object": "file",
            "bytes": len(content),
            "created_at": self._now(),
            "filename": parts["file"].get_filename(),
            "purpose": "fine-tune",
            "status": "processed",
        }
        self.files[made["id"]], self.contents[made["id"]] = made, content
        return Reply(200, made)

    def _list_files(self, request: Request) -> Reply:
        return _page(list(self.files.values()), request)

    def _file(self, request: Request, file_id: str) -> Reply:
        found = self.files.get(file_id)
        return Reply(200, found) if found else Reply(404, self.error(f"No such File object: {file_id}", None))

    def _delete(self, request: Request, file_id: str) -> Reply:
        if self.files.pop(file_id, None) is None:
            return Reply(404, self.error(f"No such File object: {file_id}", None))
        return Reply(200, {"id": file_id, "object": "file", "deleted": True})

    def _create(self, request: Request) -> Reply:
        asked = request.json()
        for name in ("training_file", "validation_file"):
            if asked.get(name) and asked[name] not in self.files:
                return Reply(400, self.error(f"{asked[name]} does not exist", "invalid_file", name))
        made = {
            "id": self._id("ftjob"),
            "object": "fine_tuning.job",
            "created_at": self._now(),
            "finished_at": None,
            "estimated_finish": None,
            "model": asked["model"],
            "fine_tuned_model": None,
            "organization_id": "org-1",
            "status": STATES[0],
            "training_file": asked["training_file"],
            "validation_file": asked.get("validation_file"),
            "result_files": [],
            "trained_tokens": None,
            "seed": asked.get("seed", 1),
            "error": None,
            "hyperparameters": {"n_epochs": "auto"},
            "method": asked["method"],
            "suffix": asked.get("suffix"),
            "metadata": asked.get("metadata") if self.keeps_own_id else None,
        }
        self.jobs[made["id"]] = made
        self.paid.append(made["id"])
        return Reply(200, _shown(made))

    def _list_jobs(self, request: Request) -> Reply:
        return _page([_shown(job) for job in reversed(self.jobs.values())], request)

    def _look(self, request: Request, job_id: str) -> Reply:
        job = self.jobs.get(job_id)
        if job is None:
            return Reply(404, self.error(f"Could not find fine tune: {job_id}", "fine_tune_not_found"))
        if job["status"] in STATES[:-1] and job["status"] != self.holds_at:
            job["status"] = STATES[STATES.index(job["status"]) + 1]
        if job["status"] == "succeeded" and job["fine_tuned_model"] is None:
            self._end(job)
        return Reply(200, _shown(job))

    def _end(self, job: dict[str, Any]) -> None:
        job["status"], job["finished_at"] = self.ends_as, self._now()
        if self.ends_as == "succeeded":
            job["fine_tuned_model"] = f"ft:{job['model']}:org-1:{job['suffix']}:{job['id'][-6:]}"
        elif self.ends_as == "failed":
            job["error"] = {"code": "invalid_training_file", "param": "training_file", "message": "line 3: no role"}

    def _events(self, request: Request, job_id: str) -> Reply:
        status = self.jobs[job_id]["status"]
        done = STEPS if status in ("hibernating", "succeeded") else 0
        events = [
            {
                "id": f"ftevent-{step}",
                "object": "fine_tuning.job.event",
                "created_at": self._now(),
                "level": "info",
                "message": f"Step {step}/{STEPS}",
                "type": "metrics",
                "data": {"step": step, "total_steps": STEPS, "train_loss": 2.0 / step},
            }
            for step in range(done, 0, -1)
        ]
        return _page(events, request)

    def _cancel(self, request: Request, job_id: str) -> Reply:
        job = self.jobs[job_id]
        if job["id"] not in self.running:
            return Reply(400, self.error(f"Job has already completed: {job_id}", "invalid_request"))
        job["status"], job["finished_at"] = "cancelled", self._now()
        return Reply(200, _shown(job))


def _shown(job: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(json.dumps(job))
    return shown


def _page(entries: list[dict[str, Any]], request: Request) -> Reply:
    after, limit = request.query.get("after"), int(request.query.get("limit", 20))
    start = 1 + next((n for n, entry in enumerate(entries) if entry["id"] == after), -1)
    page = entries[start : start + limit]
    body = {"object": "list", "data": page, "has_more": start + limit < len(entries)}
    return Reply(200, body | {"first_id": page[0]["id"] if page else None, "last_id": page[-1]["id"] if page else None})
