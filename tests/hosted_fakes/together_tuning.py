"""Together AI's files and fine-tunes API as its client of 3.1 was seen to use it: upload by redirect, limits, prices, archives.

A job goes one state further with each look at it; a file is validated once its price has been asked for.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import time
from collections.abc import Iterable
from typing import Any

from hosted_fakes.frame import FakeTuning, Route
from hosted_fakes.server import Reply, Request

STATES = (
    "pending",
    "queued",
    "running",
    "hibernating",
    "uploading",
    "completed",
)  # one that no client knows is among them
STEPS = 3


class TogetherTuning(FakeTuning):
    """price_usd: that it estimates for each job. adapter: the files that a job's archive holds, by name.

    user_limit_usd: what the account may spend. invalid: what validation says of every file. archive: instead of the adapter's.
    """

    provider, model = "together", "meta-llama/Llama-3.2-1B-Instruct"
    create, search, look = "POST /v1/fine-tunes$", "GET /v1/fine-tunes$", "GET /v1/fine-tunes/ft-[^/]+$"
    cancel = "POST /v1/fine-tunes/[^/]+/cancel$"
    upload, file = "POST /v1/files$", "GET /v1/files/file-"
    weights = "GET /v1/finetune/download"
    states, ends = STATES, {"succeeded": "completed", "failed": "error", "cancelled": "cancelled"}
    running_state, unknown_state = "running", "hibernating"
    steps = (1, 2, 3)
    open_paths = ("/storage/",)

    def __init__(self, token: str = "", clock: float = 0.0) -> None:
        super().__init__(token, clock)
        self.price_usd = 0.25
        self.user_limit_usd = 100.0
        self.invalid = ""
        self.adapter: dict[str, bytes] = {}
        self.archive: bytes | None = None
        self._checksums: dict[str, str] = {}

    def access(self, url: str, token: str) -> dict[str, str]:
        return {"TOGETHER_API_KEY": token, "TOGETHER_BASE_URL": url}

    def tuned(self, job_id: str) -> str:
        """The name of the model that a job has made."""
        name: str = self.jobs[job_id]["model_output_name"]
        return name

    def routes(self) -> Iterable[Route]:
        return (
            ("POST", r"/v1/files", self._offer),
            ("PUT", r"/storage/([^/]+)", self._store),
            ("POST", r"/v1/files/([^/]+)/preprocess", self._file),
            ("GET", r"/v1/files", self._list_files),
            ("GET", r"/v1/files/([^/]+)", self._file),
            ("DELETE", r"/v1/files/([^/]+)", self._delete),
            ("GET", r"/v1/fine-tunes/models/limits", self._limits),
            ("POST", r"/v1/fine-tunes/estimate-price", self._estimate),
            ("POST", r"/v1/fine-tunes", self._create),
            ("GET", r"/v1/fine-tunes", self._list_jobs),
            ("GET", r"/v1/fine-tunes/([^/]+)", self._look),
            ("GET", r"/v1/fine-tunes/([^/]+)/events", self._events),
            ("GET", r"/v1/fine-tunes/([^/]+)/metrics", self._metrics),
            ("POST", r"/v1/fine-tunes/([^/]+)/cancel", self._cancel),
            ("GET", r"/v1/finetune/download", self._download),
        )

    def _offer(self, request: Request) -> Reply:
        """Where to put a file. One whose content is known is not taken again."""
        asked: dict[str, str] = {name: str(part.get_content()).strip() for name, part in request.form().items()}
        known = self._checksums.get(asked["checksum"])
        if known in self.files:
            return Reply(409, {"file_id": known})
        made: dict[str, Any] = {
            "id": self.new_id("file"),
            "object": "file",
            "bytes": 0,
            "created_at": int(time.time() + self.clock),
            "filename": asked["file_name"],
            "FileType": asked["file_type"],
            "purpose": asked["purpose"],
            "processing_status": "PENDING",
        }
        self.files[made["id"]] = made
        self._checksums[asked["checksum"]] = made["id"]
        location = f"http://{request.headers['host']}/storage/{made['id']}"
        return Reply(302, b"", {"Location": location, "X-Together-File-Id": made["id"]})

    def _store(self, request: Request, file_id: str) -> Reply:
        if file_id not in self.files:
            return Reply(403, b"the signature is not valid any more")
        (checksum,) = (digest for digest, known in self._checksums.items() if known == file_id)
        assert hashlib.sha256(request.body).hexdigest() == checksum
        self.files[file_id] |= {"processing_status": "QUEUED", "bytes": len(request.body)}
        self.contents[file_id] = request.body
        return Reply(200, b"")

    def _file(self, request: Request, file_id: str) -> Reply:
        found = self.files.get(file_id)
        return Reply(200, found) if found else Reply(404, self.error(f"File {file_id} not found"))

    def _list_files(self, request: Request) -> Reply:
        return Reply(200, {"object": "list", "data": list(self.files.values())})

    def _delete(self, request: Request, file_id: str) -> Reply:
        if self.files.pop(file_id, None) is None:
            return Reply(404, self.error(f"File {file_id} not found"))
        return Reply(200, {"id": file_id, "deleted": True})

    def _limits(self, request: Request) -> Reply:
        if request.query["model_name"] != self.model:
            return Reply(404, self.error(f"{request.query['model_name']} cannot be tuned"))
        lora = {"default_rank": 8, "max_rank": 64, "min_batch_size": 8, "max_batch_size": 32, "max_batch_size_dpo": 16}
        return Reply(
            200,
            {
                "model_name": self.model,
                "default_gradient_accumulation_steps": 1,
                "lora_training": {**lora, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]},
                "max_learning_rate": 0.01,
                "min_learning_rate": 1e-08,
                "max_num_checkpoints": 10,
                "max_num_epochs": 20,
                "max_num_evals": 100,
                "max_seq_length_dpo": 8192,
                "max_seq_length_sft": 32768,
                "min_max_seq_length": 512,
                "merge_output_lora": True,
                "supports_full_training": False,
                "supports_reasoning": False,
                "supports_tools": True,
                "supports_vision": False,
            },
        )

    def _estimate(self, request: Request) -> Reply:
        asked = request.json()
        for split, name in (("train", "training_file"), ("eval", "validation_file")):
            if not asked.get(name):
                continue
            file = self.files.get(asked[name])
            if file is None:
                return Reply(404, self.error(f"File {asked[name]} not found"))
            if file["processing_status"] == "QUEUED":
                file["processing_status"] = "INVALID_FORMAT" if self.invalid else "COMPLETED"
                file["validation_report"] = {"valid": not self.invalid, "error": self.invalid or None}
                return self._unavailable(f"{split}_file_not_validated")
            if file["processing_status"] == "INVALID_FORMAT":
                return self._unavailable(f"{split}_file_invalid")
        return Reply(
            200,
            {
                "estimation_available": True,
                "allowed_to_proceed": self.price_usd <= self.user_limit_usd,
                "estimated_total_price": self.price_usd,
                "estimated_train_token_count": 1000,
                "estimated_eval_token_count": 0,
                "user_limit": self.user_limit_usd,
            },
        )

    def _unavailable(self, reason: str) -> Reply:
        return Reply(200, {"estimation_available": False, "unavailable_reason": reason})

    def _create(self, request: Request) -> Reply:
        asked = request.json()
        for name in ("training_file", "validation_file"):
            if asked.get(name) and asked[name] not in self.files:
                return Reply(400, self.error(f"{asked[name]} does not exist", "invalid_file"))
        assert len(asked["suffix"]) <= 40
        made = {
            **asked,
            "id": self.new_id("ft"),
            "user_id": "user-1",
            "created_at": self.now(),
            "updated_at": self.now(),
            "model_output_name": None,
            "suffix": asked["suffix"] if self.keeps_own_id else None,
        }
        self.take(made["id"], made)
        return Reply(200, self.jobs[made["id"]])

    def _list_jobs(self, request: Request) -> Reply:
        return Reply(200, {"data": list(reversed(self.jobs.values()))})

    def _look(self, request: Request, job_id: str) -> Reply:
        job = self.jobs.get(job_id)
        if job is None:
            return Reply(404, self.error(f"{job_id} not found"))
        if self.look_at(job_id) and self.ends_as == "succeeded":
            job["model_output_name"] = f"me/{job['model'].rpartition('/')[2]}-{job['suffix']}-{job_id[-6:]}"
        return Reply(200, job)

    def _events(self, request: Request, job_id: str) -> Reply:
        kinds = ["JOB_PENDING", *(["JOB_USER_ERROR"] if self.jobs[job_id]["status"] == "error" else [])]
        words = {"JOB_PENDING": "Job created", "JOB_USER_ERROR": self.failure}
        return Reply(
            200,
            {
                "data": [
                    {"object": "fine-tune-event", "created_at": self.now(), "type": kind, "message": words[kind]}
                    for kind in kinds
                ]
            },
        )

    def _metrics(self, request: Request, job_id: str) -> Reply:
        if job_id not in self.jobs:
            return Reply(404, self.error(f"{job_id} not found"))
        done = STEPS if self.jobs[job_id]["status"] in ("hibernating", "uploading", "completed") else 0
        train = [
            {"train/global_step": step, "train/loss": 2.0 / step, "train/learning_rate": 1e-4, "train/epoch": 1.0}
            for step in range(1, done + 1)
        ]
        return Reply(200, {"metrics": [*train, *([{"eval/global_step": done, "eval/loss": 0.75}] if done else [])]})

    def _cancel(self, request: Request, job_id: str) -> Reply:
        job = self.jobs[job_id]
        if self.has_ended(job_id):
            return Reply(400, self.error(f"{job_id} has ended already"))
        job["status"] = "cancelled"
        return Reply(200, job)

    def _download(self, request: Request) -> Reply:
        if self.jobs[request.query["ft_id"]]["status"] != "completed" or request.query["checkpoint"] != "adapter":
            return Reply(400, self.error("there is no such checkpoint"))
        archive = tar_of(self.adapter) if self.archive is None else self.archive
        return Reply(200, archive, {"Content-Type": "application/octet-stream"})


def tar_of(files: dict[str, bytes]) -> bytes:
    """An archive of the files, in a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(f"final/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
