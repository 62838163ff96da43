"""OpenAI's files and fine_tuning API as its client of 3.57 was seen to use it. A job goes one state further with each look at it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from hosted_fakes.frame import FakeTuning, Route, copied
from hosted_fakes.server import Reply, Request

STATES = ("validating_files", "queued", "running", "hibernating", "succeeded")  # one that no client knows is among them
STEPS = 3


class OpenAITuning(FakeTuning):
    """A job is paid for once it has passed validation."""

    provider, model = "openai", "gpt-4.1-nano"
    create, search, look = (
        "POST /v1/fine_tuning/jobs$",
        "GET /v1/fine_tuning/jobs$",
        "GET /v1/fine_tuning/jobs/ftjob-[^/]+$",
    )
    cancel = "POST /v1/fine_tuning/jobs/[^/]+/cancel$"
    upload, file = "POST /v1/files$", "GET /v1/files/file-"
    states, ends = STATES, {word: word for word in ("succeeded", "failed", "cancelled")}
    running_state, unknown_state = "running", "hibernating"
    failure = "invalid_training_file: training_file: line 3: no role"
    steps = (1, 2, 3)

    def access(self, url: str, token: str) -> dict[str, str]:
        return {"OPENAI_API_KEY": token, "OPENAI_BASE_URL": f"{url}/v1"}

    def tuned(self, job_id: str) -> str:
        """The name of the model that a job has made."""
        name: str = self.jobs[job_id]["fine_tuned_model"]
        return name

    def routes(self) -> Iterable[Route]:
        return (
            ("POST", r"/v1/files", self._upload),
            ("GET", r"/v1/files", self._list_files),
            ("GET", r"/v1/files/([^/]+)", self._file),
            ("DELETE", r"/v1/files/([^/]+)", self._delete),
            ("POST", r"/v1/fine_tuning/jobs", self._create),
            ("GET", r"/v1/fine_tuning/jobs", self._list_jobs),
            ("GET", r"/v1/fine_tuning/jobs/([^/]+)", self._look),
            ("GET", r"/v1/fine_tuning/jobs/([^/]+)/events", self._events),
            ("GET", r"/v1/fine_tuning/jobs/([^/]+)/checkpoints", self._checkpoints),
            ("POST", r"/v1/fine_tuning/jobs/([^/]+)/cancel", self._cancel),
        )

    def _seconds(self) -> int:
        return int(time.time() + self.clock)

    def _upload(self, request: Request) -> Reply:
        parts = request.form()
        assert parts["purpose"].get_content().strip() == "fine-tune"
        content = parts["file"].get_payload(decode=True)
        made = {
            "id": self.new_id("file"),
            "object": "file",
            "bytes": len(content),
            "created_at": self._seconds(),
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
                return Reply(400, self.error(f"{asked[name]} does not exist", "invalid_file"))
        made = {
            "id": self.new_id("ftjob"),
            "object": "fine_tuning.job",
            "created_at": self._seconds(),
            "finished_at": None,
            "estimated_finish": None,
            "model": asked["model"],
            "fine_tuned_model": None,
            "organization_id": "org-1",
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
        self.take(made["id"], made)
        return Reply(200, copied(self.jobs[made["id"]]))

    def _list_jobs(self, request: Request) -> Reply:
        return _page([copied(job) for job in reversed(self.jobs.values())], request)

    def _look(self, request: Request, job_id: str) -> Reply:
        job = self.jobs.get(job_id)
        if job is None:
            return Reply(404, self.error(f"Could not find fine tune: {job_id}", "fine_tune_not_found"))
        if self.look_at(job_id):
            job["finished_at"] = self._seconds()
            if self.ends_as == "succeeded":
                job["fine_tuned_model"] = f"ft:{job['model']}:org-1:{job['suffix']}:{job_id[-6:]}"
            elif self.ends_as == "failed":
                job["error"] = {"code": "invalid_training_file", "param": "training_file", "message": "line 3: no role"}
        return Reply(200, copied(job))

    def _events(self, request: Request, job_id: str) -> Reply:
        status = self.jobs[job_id]["status"]
        done = STEPS if status in ("hibernating", "succeeded") else 0
        events = [
            {
                "id": f"ftevent-{step}",
                "object": "fine_tuning.job.event",
                "created_at": self._seconds(),
                "level": "info",
                "message": f"Step {step}/{STEPS}",
                "type": "metrics",
                "data": {"step": step, "total_steps": STEPS, "train_loss": 2.0 / step},
            }
            for step in range(done, 0, -1)
        ]
        return _page(events, request)

    def _checkpoints(self, request: Request, job_id: str) -> Reply:
        return _page([], request)

    def _cancel(self, request: Request, job_id: str) -> Reply:
        job = self.jobs[job_id]
        if self.has_ended(job_id):
            return Reply(400, self.error(f"Job has already completed: {job_id}", "invalid_request"))
        job["status"], job["finished_at"] = "cancelled", self._seconds()
        return Reply(200, copied(job))


def _page(entries: list[dict[str, Any]], request: Request) -> Reply:
    after, limit = request.query.get("after"), int(request.query.get("limit", 20))
    start = 1 + next((n for n, entry in enumerate(entries) if entry["id"] == after), -1)
    page = entries[start : start + limit]
    body = {"object": "list", "data": page, "has_more": start + limit < len(entries)}
    return Reply(200, body | {"first_id": page[0]["id"] if page else None, "last_id": page[-1]["id"] if page else None})
