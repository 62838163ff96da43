"""Vertex AI's tuning jobs, Google's storage and its tokens, as google-genai 3.6 and google-cloud-storage 3.17 were seen to use them.

A job goes one state further with each look at it. The token is what the service account's own token address gives.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from hosted_fakes.frame import FakeTuning, Route, copied, token_page
from hosted_fakes.server import Reply, Request

STATES = tuple(f"JOB_STATE_{word}" for word in ("QUEUED", "PENDING", "RUNNING", "HIBERNATING", "UPDATING", "SUCCEEDED"))
ENDS = {"succeeded": "JOB_STATE_SUCCEEDED", "failed": "JOB_STATE_FAILED", "cancelled": "JOB_STATE_CANCELLED"}
PLACE = "projects/me/locations/here"
JOBS = rf"/v1beta1/{PLACE}/tuningJobs"
OBJECTS = r"/storage/v1/b/rows/o"


class VertexTuning(FakeTuning):
    provider, model = "vertex", "gemini-2.5-flash"
    create, search, look = f"POST {JOBS}$", f"GET {JOBS}$", f"GET {JOBS}/[^/:]+$"
    cancel = f"POST {JOBS}/[^/]+:cancel$"
    upload, file = "POST /upload/storage/v1/b/rows/o$", f"GET {OBJECTS}/"
    state_field, states, ends = "state", STATES, ENDS
    running_state, unknown_state, pair = "JOB_STATE_RUNNING", "JOB_STATE_HIBERNATING", b'"completions"'
    open_paths = ("/token/",)

    def access(self, url: str, token: str) -> dict[str, str]:
        account = {
            "type": "service_account",
            "client_email": "burnish@me.example",
            "private_key": private_key(),
            "private_key_id": "1",
            "token_uri": f"{url}/token/{token}",
        }
        path = Path(tempfile.mkdtemp()) / "account.json"
        path.write_text(json.dumps(account))
        return {
            "GOOGLE_APPLICATION_CREDENTIALS": str(path),
            "GOOGLE_CLOUD_PROJECT": "me",
            "GOOGLE_CLOUD_LOCATION": "here",
            "BURNISH_VERTEX_BUCKET": "rows",
            "GOOGLE_VERTEX_BASE_URL": url,
            "STORAGE_EMULATOR_HOST": url,
        }

    def tuned(self, job_id: str) -> str:
        """The endpoint of the model that a job has made."""
        name: str = self.jobs[job_id]["tunedModel"]["endpoint"]
        return name

    @staticmethod
    def error(message: str, code: str | None = None) -> dict[str, Any]:
        return {"error": {"code": 400, "message": message, "status": code}}

    def routes(self) -> Iterable[Route]:
        return (
            ("POST", r"/token/(.+)", self._grant),
            ("POST", r"/upload/storage/v1/b/rows/o", self._upload),
            ("GET", OBJECTS, self._list_objects),
            ("GET", rf"{OBJECTS}/([^/]+)", self._object),
            ("DELETE", rf"{OBJECTS}/([^/]+)", self._delete),
            ("POST", JOBS, self._create),
            ("GET", JOBS, self._list_jobs),
            ("GET", rf"{JOBS}/([^/:]+)", self._look),
            ("POST", rf"{JOBS}/([^/:]+):cancel", self._cancel),
        )

    def _grant(self, request: Request, token: str) -> Reply:
        assert b"jwt-bearer" in request.body
        return Reply(200, {"access_token": token, "expires_in": 3600, "token_type": "Bearer"})

    def _upload(self, request: Request) -> Reply:
        described, content = request.parts()
        name = json.loads(described)["name"]
        made = {
            "kind": "storage#object",
            "bucket": "rows",
            "name": name,
            "size": str(len(content)),
            "md5Hash": base64.b64encode(hashlib.md5(content).digest()).decode(),
        }
        self.files[f"gs://rows/{name}"], self.contents[f"gs://rows/{name}"] = made, content
        return Reply(200, made)

    def _list_objects(self, request: Request) -> Reply:
        every = [made for made in self.files.values() if made["name"].startswith(request.query.get("prefix", ""))]
        return token_page(every, "items", request)

    def _object(self, request: Request, name: str) -> Reply:
        found = self.files.get(f"gs://rows/{unquote(name)}")
        return Reply(200, found) if found else Reply(404, self.error(f"{name} not found"))

    def _delete(self, request: Request, name: str) -> Reply:
        if self.files.pop(f"gs://rows/{unquote(name)}", None) is None:
            return Reply(404, self.error(f"{name} not found"))
        return Reply(204, b"")

    def _create(self, request: Request) -> Reply:
        asked = request.json()
        spec = asked.get("supervisedTuningSpec") or asked["preferenceOptimizationSpec"]
        for name in ("trainingDatasetUri", "validationDatasetUri"):
            if spec.get(name) and spec[name] not in self.files:
                return Reply(400, self.error(f"{spec[name]} does not exist"))
        name = f"{PLACE}/tuningJobs/{len(self.jobs) + 1}"
        made = {**asked, "name": name, "createTime": self.now()}
        if not self.keeps_own_id:
            made.pop("labels", None)
        self.take(name, made)
        return Reply(200, self.jobs[name])

    def _list_jobs(self, request: Request) -> Reply:
        return token_page(list(reversed(self.jobs.values())), "tuningJobs", request)

    def _look(self, request: Request, number: str) -> Reply:
        name = f"{PLACE}/tuningJobs/{number}"
        if name not in self.jobs:
            return Reply(404, self.error(f"{number} not found"))
        if self.look_at(name):
            job = self.jobs[name]
            if self.ends_as == "failed":
                job["error"] = {"code": 3, "message": self.failure}
            elif self.ends_as == "succeeded":
                job["tunedModel"] = {"model": f"{PLACE}/models/7@1", "endpoint": f"{PLACE}/endpoints/{number}7"}
        return Reply(200, copied(self.jobs[name]))

    def _cancel(self, request: Request, number: str) -> Reply:
        name = f"{PLACE}/tuningJobs/{number}"
        if self.has_ended(name):
            return Reply(400, self.error(f"{number} has ended already"))
        self.jobs[name]["state"] = ENDS["cancelled"]
        return Reply(200, {})


@functools.cache
def private_key() -> str:
    key = rsa.generate_private_key(65537, 2048)
    kind = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()
