"""Fireworks' datasets, tuning jobs and models as its client of 1.2 was seen to use them. The caller names datasets and jobs.

A job goes one state further with each look at it.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any

from hosted_fakes.server import Reply, Request

STATES = tuple(
    f"JOB_STATE_{word}" for word in ("CREATING", "VALIDATING", "RUNNING", "HIBERNATING", "WRITING_RESULTS", "COMPLETED")
)  # one that no client knows is among them
ENDS = {"succeeded": "JOB_STATE_COMPLETED", "failed": "JOB_STATE_FAILED", "cancelled": "JOB_STATE_CANCELLED"}
ACCOUNT = r"/v1/accounts/me"
JOBS = rf"{ACCOUNT}/(supervisedFineTuningJobs|dpoJobs)"
PAGE = 2


class FireworksTuning:
    """paid: names of the jobs that were taken, each of which costs money. clock: seconds that its clock is ahead."""

    provider, model = "fireworks", "accounts/fireworks/models/llama-v3p1-8b-instruct"
    create, search = f"POST {JOBS}$", f"GET {JOBS}$"
    look = f"GET {JOBS}/[^/]+$"
    upload, file = f"POST {ACCOUNT}/datasets$", f"GET {ACCOUNT}/datasets/"
    weights = f"GET {ACCOUNT}/models/[^/]+:getDownloadEndpoint"
    running_state, unknown_state, pair = "JOB_STATE_RUNNING", "JOB_STATE_HIBERNATING", b"non_preferred_output"
    failure = "line 3: no role"
    steps: tuple[int, ...] = ()  # that it shows the loss of
    open_paths: tuple[str, ...] = ("/signed/",)

    def __init__(self, token: str = "fireworks-secret", clock: float = 0.0) -> None:
        self.token = token
        self.clock = clock
        self.files: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.paid: list[str] = []
        self.ends_as = "succeeded"
        self.holds_at = ""
        self.keeps_own_id = True  # a job's own id is its name, which it cannot lose
        self.adapter: dict[str, bytes] = {}
        self.price_usd = 0.25

    @property
    def running(self) -> list[str]:
        return [name for name, job in self.jobs.items() if job["state"] not in ENDS.values()]

    def access(self, url: str, token: str) -> dict[str, str]:
        return {"FIREWORKS_API_KEY": token, "FIREWORKS_ACCOUNT_ID": "me", "FIREWORKS_BASE_URL": url}

    def tuned(self, job_id: str) -> str:
        """The name of the model that a job has made."""
        job = self.jobs[job_id]
        name: str = job.get("trainingConfig", job)["outputModel"]
        return name

    @staticmethod
    def error(message: str, code: str | None = None) -> dict[str, Any]:
        return {"error": {"code": code, "message": message}}

    def answer(self, request: Request) -> Reply:
        for method, pattern, answer in (
            ("POST", rf"{ACCOUNT}/datasets", self._name),
            ("POST", rf"{ACCOUNT}/datasets/([^/:]+):upload", self._fill),
            ("GET", rf"{ACCOUNT}/datasets", self._list),
            ("GET", rf"{ACCOUNT}/datasets/([^/:]+)", self._dataset),
            ("DELETE", rf"{ACCOUNT}/datasets/([^/:]+)", self._delete),
            ("POST", JOBS, self._create),
            ("GET", rf"{JOBS}/([^/:]+)", self._look),
            ("POST", rf"{JOBS}/([^/:]+):cancel", self._cancel),
            ("GET", rf"{ACCOUNT}/models/([^/:]+):getDownloadEndpoint", self._addresses),
            ("GET", r"/signed/(.+)", self._signed),
        ):
            match = re.fullmatch(pattern, request.path)
            if request.method == method and match:
                return answer(request, *match.groups())
        return Reply(404, self.error(f"Invalid URL ({request.name})"))

    def _name(self, request: Request) -> Reply:
        asked = request.json()
        own = asked["datasetId"]
        if own in self.files:
            return Reply(409, self.error(f"{own} exists already"))
        assert re.fullmatch(r"[a-z][a-z0-9-]{0,62}", own)
        self.files[own] = asked["dataset"] | {"name": f"accounts/me/datasets/{own}", "state": "UPLOADING"}
        return Reply(200, self.files[own])

    def _fill(self, request: Request, own: str) -> Reply:
        if own not in self.files:
            return Reply(404, self.error(f"{own} not found"))
        content = request.form()["file"].get_payload(decode=True)
        assert isinstance(content, bytes)
        assert len(content.splitlines()) == int(self.files[own]["exampleCount"])
        self.files[own]["state"] = "READY"
        self.contents[own] = content
        return Reply(200, {"filename": own, "object": "file"})

    def _list(self, request: Request) -> Reply:
        start = int(request.query.get("pageToken", 0))
        every = list(self.files.values())
        more = {"nextPageToken": str(start + PAGE)} if start + PAGE < len(every) else {}
        return Reply(200, {"datasets": every[start : start + PAGE], **more})

    def _dataset(self, request: Request, own: str) -> Reply:
        found = self.files.get(own)
        return Reply(200, found) if found else Reply(404, self.error(f"{own} not found"))

    def _delete(self, request: Request, own: str) -> Reply:
        if self.files.pop(own, None) is None:
            return Reply(404, self.error(f"{own} not found"))
        return Reply(200, {})

    def _create(self, request: Request, collection: str) -> Reply:
        asked = request.json()
        own = request.query["dpoJobId" if collection == "dpoJobs" else "supervisedFineTuningJobId"]
        name = f"accounts/me/{collection}/{own}"
        if name in self.jobs:
            return Reply(409, self.error(f"{name} exists already"))
        for dataset in (asked["dataset"], asked.get("evaluationDataset")):
            if dataset and dataset.rpartition("/")[2] not in self.files:
                return Reply(400, self.error(f"{dataset} does not exist"))
        made = {**asked, "name": name, "state": STATES[0], "createTime": self._now()}
        units, nanos = divmod(round(self.price_usd * 1e9), 10**9)
        made["estimatedCost"] = {"currencyCode": "USD", "units": str(units), "nanos": nanos}
        config = made.get("trainingConfig", made)
        config["outputModel"] = f"accounts/me/models/{config['outputModel']}"
        self.jobs[name] = made
        self.paid.append(name)
        return Reply(200, made)

    def _now(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.clock))

    def _look(self, request: Request, collection: str, own: str) -> Reply:
        job = self.jobs.get(f"accounts/me/{collection}/{own}")
        if job is None:
            return Reply(404, self.error(f"{own} not found"))
        if job["state"] not in (*ENDS.values(), self.holds_at):
            job["state"] = STATES[STATES.index(job["state"]) + 1]
            if job["state"] == STATES[-1]:
                job["state"] = ENDS[self.ends_as]
                if self.ends_as == "failed":
                    job["status"] = {"code": "INVALID_ARGUMENT", "message": self.failure}
        return Reply(200, json.loads(json.dumps(job)))

    def _cancel(self, request: Request, collection: str, own: str) -> Reply:
        job = self.jobs[f"accounts/me/{collection}/{own}"]
        if job["state"] in ENDS.values():
            return Reply(400, self.error(f"{own} has ended already"))
        job["state"] = ENDS["cancelled"]
        return Reply(200, {})

    def _addresses(self, request: Request, own: str) -> Reply:
        url = f"http://{request.headers['host']}/signed"
        return Reply(200, {"filenameToSignedUrls": {name: f"{url}/{name}" for name in self.adapter}})

    def _signed(self, request: Request, name: str) -> Reply:
        assert "authorization" not in request.headers
        return Reply(200, self.adapter[name], {"Content-Type": "application/octet-stream"})
