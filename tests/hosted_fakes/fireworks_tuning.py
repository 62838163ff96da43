"""Fireworks' datasets, tuning jobs and models as its client of 1.2 was seen to use them. The caller names datasets and jobs.

A job goes one state further with each look at it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from hosted_fakes.frame import FakeTuning, Route, copied, token_page
from hosted_fakes.server import Reply, Request

STATES = tuple(
    f"JOB_STATE_{word}" for word in ("CREATING", "VALIDATING", "RUNNING", "HIBERNATING", "WRITING_RESULTS", "COMPLETED")
)  # one that no client knows is among them
ENDS = {"succeeded": "JOB_STATE_COMPLETED", "failed": "JOB_STATE_FAILED", "cancelled": "JOB_STATE_CANCELLED"}
SIGNATURE = "5ec4e7f00d"
ACCOUNT = r"/v1/accounts/me"
JOBS = rf"{ACCOUNT}/(supervisedFineTuningJobs|dpoJobs)"


class FireworksTuning(FakeTuning):
    """price_usd: that it estimates of each job. adapter: the files of each tuned model, by name. A job's own id is its name, which it keeps.

    storage_url: where the store is that takes large files, by https alone. encrypted: datasets would have to be encrypted by who uploads.
    """

    provider, model = "fireworks", "accounts/fireworks/models/llama-v3p1-8b-instruct"
    create, search = f"POST {JOBS}$", f"GET {JOBS}$"
    look = f"GET {JOBS}/[^/]+$"
    cancel = f"POST {JOBS}/[^/]+:cancel$"
    upload, file = f"POST {ACCOUNT}/datasets$", f"GET {ACCOUNT}/datasets/"
    weights = f"GET {ACCOUNT}/models/[^/]+:getDownloadEndpoint"
    state_field, states, ends = "state", STATES, ENDS
    running_state, unknown_state = "JOB_STATE_RUNNING", "JOB_STATE_HIBERNATING"
    open_paths = ("/signed/", "/store/")

    def __init__(self, token: str = "", clock: float = 0.0) -> None:
        super().__init__(token, clock)
        self.adapter: dict[str, bytes] = {}
        self.price_usd = 0.25
        self.storage_url = ""
        self.encrypted = False
        self._registered: dict[str, dict[str, str]] = {}
        self._stored: dict[str, dict[str, bytes]] = {}

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

    def routes(self) -> Iterable[Route]:
        return (
            ("POST", rf"{ACCOUNT}/datasets", self._name),
            ("POST", rf"{ACCOUNT}/datasets/([^/:]+):upload", self._fill),
            ("POST", rf"{ACCOUNT}/datasets/([^/:]+):getUploadEndpoint", self._register),
            ("PUT", r"/store/([^/]+)/([^/]+)", self._store),
            ("POST", rf"{ACCOUNT}/datasets/([^/:]+):validateUpload", self._validate),
            ("GET", rf"{ACCOUNT}/datasets", self._list),
            ("GET", rf"{ACCOUNT}/datasets/([^/:]+)", self._dataset),
            ("DELETE", rf"{ACCOUNT}/datasets/([^/:]+)", self._delete),
            ("POST", JOBS, self._create),
            ("GET", rf"{JOBS}/([^/:]+)", self._look),
            ("POST", rf"{JOBS}/([^/:]+):cancel", self._cancel),
            ("GET", rf"{ACCOUNT}/models/([^/:]+):getDownloadEndpoint", self._addresses),
            ("GET", r"/signed/(.+)", self._signed),
        )

    def _name(self, request: Request) -> Reply:
        asked = request.json()
        own = asked["datasetId"]
        if own in self.files:
            return Reply(409, self.error(f"{own} exists already"))
        assert re.fullmatch(r"[a-z][a-z0-9-]{0,62}", own)
        self.files[own] = asked["dataset"] | {"name": f"accounts/me/datasets/{own}", "state": "UPLOADING"}
        if self.encrypted:
            self.files[own]["encryptionState"] = "ENCRYPTION_STATE_CMEK"
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

    def _register(self, request: Request, own: str) -> Reply:
        """Of a dataset that waits for its rows; the files that were registered before are forgotten."""
        if own not in self.files:
            return Reply(404, self.error(f"{own} not found"))
        if self.files[own]["state"] != "UPLOADING":
            return Reply(400, self.error(f"{own} has its rows already"))
        self._registered[own], self._stored[own] = request.json()["filenameToSize"], {}
        urls = {
            name: f"{self.storage_url}/store/{own}/{name}?X-Goog-Signature={SIGNATURE}"
            for name in self._registered[own]
        }
        return Reply(200, {"filenameToSignedUrls": urls})

    def _store(self, request: Request, own: str, name: str) -> Reply:
        """As a store behind a signed address: it knows no key, and the length is part of what was signed."""
        assert "authorization" not in request.headers
        size = self._registered[own][name]
        if request.query.get("X-Goog-Signature") != SIGNATURE:
            return Reply(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        if request.headers["x-goog-content-length-range"] != f"{size},{size}" or len(request.body) != int(size):
            return Reply(400, b"<Error><Code>EntityTooLarge</Code></Error>")
        self._stored[own][name] = request.body
        return Reply(200, b"")

    def _validate(self, request: Request, own: str) -> Reply:
        if own not in self.files:
            return Reply(404, self.error(f"{own} not found"))
        stored = self._stored.get(own, {})
        rows = b"".join(stored.values())
        if set(stored) != set(self._registered.get(own, {})) or not rows:
            return Reply(400, self.error(f"{own} lacks files"))
        assert len(rows.splitlines()) == int(self.files[own]["exampleCount"])
        self.files[own]["state"], self.contents[own] = "READY", rows
        return Reply(200, {})

    def _list(self, request: Request) -> Reply:
        return token_page(list(self.files.values()), "datasets", request)

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
        made = {**asked, "name": name, "createTime": self.now()}
        units, nanos = divmod(round(self.price_usd * 1e9), 10**9)
        made["estimatedCost"] = {"currencyCode": "USD", "units": str(units), "nanos": nanos}
        config = made.get("trainingConfig", made)
        config["outputModel"] = f"accounts/me/models/{config['outputModel']}"
        self.take(name, made)
        return Reply(200, self.jobs[name])

    def _look(self, request: Request, collection: str, own: str) -> Reply:
        name = f"accounts/me/{collection}/{own}"
        if name not in self.jobs:
            return Reply(404, self.error(f"{own} not found"))
        if self.look_at(name) and self.ends_as == "failed":
            self.jobs[name]["status"] = {"code": "INVALID_ARGUMENT", "message": self.failure}
        return Reply(200, copied(self.jobs[name]))

    def _cancel(self, request: Request, collection: str, own: str) -> Reply:
        name = f"accounts/me/{collection}/{own}"
        if self.has_ended(name):
            return Reply(400, self.error(f"{own} has ended already"))
        self.jobs[name]["state"] = ENDS["cancelled"]
        return Reply(200, {})

    def _addresses(self, request: Request, own: str) -> Reply:
        url = f"http://{request.headers['host']}/signed"
        return Reply(200, {"filenameToSignedUrls": {name: f"{url}/{name}" for name in self.adapter}})

    def _signed(self, request: Request, name: str) -> Reply:
        assert "authorization" not in request.headers
        return Reply(200, self.adapter[name], {"Content-Type": "application/octet-stream"})
