"""OpenAI's tuning API, and every server of its shape (Azure, Nebius, your own) by OPENAI_BASE_URL.

Source: the wire of openai-python 3.57 (resources/files, resources/fine_tuning). A job's own id travels as metadata; servers that
keep none are searched by the id of the training file, which is this job's alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import openai

from burnish.errors import InvalidInputError
from burnish.schemas.training.hosted import PROVIDERS, ProviderName, RemoteModel
from burnish.schemas.training.job import JobSpec
from burnish_trainer.artifacts.adapters import CONFIG, WEIGHTS
from burnish_trainer.executors.events import Metrics
from burnish_trainer.hosted.answers import Answers, answer_of, named
from burnish_trainer.hosted.held import is_shown, remote_model, remove, write_at_most
from burnish_trainer.hosted.provider import Missing, NotYet, Refused, RemoteJob
from burnish_trainer.hosted.record import Outcome, Record

OWN_ID = "burnish_job"  # in a job's metadata
TIMEOUT_SECONDS = 60.0
UPLOAD_SECONDS = 900.0
PAGE = 100
METHODS = {"sft": "supervised", "dpo": "dpo"}
SUCCEEDED = "succeeded"
READING_IN, UNREADABLE = ("pending", "running", "processing"), ("error", "failed")  # states of a file


def connect(access: Mapping[str, str]) -> OpenAITuning:
    """access: the variables of the provider, from the environment."""
    declared = PROVIDERS["openai"]
    return OpenAITuning(access[declared.key], access.get(declared.address) or None)


class OpenAITuning:
    """burnish_trainer.hosted.provider.Provider."""

    name: ProviderName = "openai"

    def __init__(self, key: str, base_url: str | None) -> None:
        self._client = openai.OpenAI(api_key=key, base_url=base_url, max_retries=0, timeout=TIMEOUT_SECONDS)
        self.endpoint = str(self._client.base_url).rstrip("/")
        silent = (openai.APIError,)
        self._answers = Answers("openai", self.endpoint, lambda: key, openai.APIStatusError, answer_of, silent)

    def prepare(self, spec: JobSpec) -> Mapping[str, object]:
        """The learning rate stays the provider's: it takes a multiple of a rate that it does not name."""
        own = {"n_epochs": round(spec.optimizer.epochs), "batch_size": spec.optimizer.batch_size}
        return own | ({"beta": spec.params["beta"]} if spec.method == "dpo" else {})

    def uploads(self, job_id: str) -> Mapping[str, str]:
        with self._answers.translated():
            files = _all(self._client.files.list(purpose="fine-tune", limit=PAGE))
            return {file.filename: named(file) for file in files if file.filename.startswith(job_id)}

    def upload(self, name: str, file: Path) -> str:
        with self._answers.translated(), file.open("rb") as content:
            client = self._client.with_options(timeout=UPLOAD_SECONDS)
            return named(client.files.create(file=(name, content), purpose="fine-tune"))

    def has_upload(self, upload_id: str) -> bool:
        return is_shown(self._answers.translated, lambda: named(self._client.files.retrieve(upload_id)) == upload_id)

    def discard(self, upload_id: str) -> None:
        remove(self._answers.translated, lambda: self._client.files.delete(upload_id))

    def estimate(self, record: Record) -> float | None:
        """It says no price. NotYet while a file is being read in: some servers of this shape refuse a job on one that is."""
        for upload_id in record.uploads.values():
            try:
                with self._answers.translated():
                    file = self._client.files.retrieve(upload_id)
            except Missing:
                continue  # `create` says what that means
            if file.status in READING_IN:
                raise NotYet(f"it is still reading {upload_id} in")
            if file.status in UNREADABLE:
                said = self._answers.without_secret(file.status_details or "it says no more")
                raise Refused(self._answers.refusal(InvalidInputError, f"the rows are invalid: {said}"))
        return None

    def create(self, record: Record) -> RemoteJob:
        request = record.request
        kind = METHODS[request.method]
        method: Any = {"type": kind, kind: {"hyperparameters": request.hyperparameters}}
        with self._answers.translated():
            job = self._client.fine_tuning.jobs.create(
                model=request.model,
                training_file=record.uploads["train"],
                validation_file=record.uploads.get("validation"),
                method=method,
                seed=request.seed,
                suffix=request.suffix,
                metadata={OWN_ID: record.job_id},
            )
            return self._job(job)

    def find(self, record: Record) -> Sequence[RemoteJob]:
        with self._answers.translated():
            jobs = _all(self._client.fine_tuning.jobs.list(limit=PAGE))
            return [self._job(job) for job in jobs if _is_of(job, record)]

    def poll(self, remote_id: str) -> RemoteJob:
        with self._answers.translated():
            job = self._job(self._client.fine_tuning.jobs.retrieve(remote_id))
            events = self._client.fine_tuning.jobs.list_events(remote_id, limit=PAGE)
            metrics = [found for event in events.data or () if (found := _metrics(event))]
        outcome = job.outcome
        if job.says == SUCCEEDED and outcome is None and (last := self._last_checkpoint(remote_id)):
            name = last.fine_tuned_model_checkpoint or f"{remote_id}:{named(last)}"
            outcome = Outcome(state="succeeded", model=name)
        return RemoteJob(job.remote_id, job.says, outcome, job.uploads, metrics[::-1])

    def cancel(self, remote_id: str) -> None:
        with self._answers.translated():
            self._client.fine_tuning.jobs.cancel(remote_id)

    def close(self) -> None:
        self._client.close()

    def result(self, record: Record) -> RemoteModel:
        declared = PROVIDERS["openai"]
        expires_at = declared.answers_until if self.endpoint == declared.usual_address else None
        return remote_model(record, self.endpoint, expires_at)

    def fetch(self, record: Record, folder: Path, limit_bytes: int) -> bool:
        """OpenAI gives none; a server of its shape may, as the files of the last checkpoint."""
        assert record.remote_id is not None
        checkpoint = self._last_checkpoint(record.remote_id)
        files = getattr(checkpoint, "result_files", None) or ()
        client = self._client.with_options(timeout=UPLOAD_SECONDS)
        for file_id in files:
            with self._answers.translated():
                name = Path(named(client.files.retrieve(file_id), "filename")).name
                if name in (CONFIG, WEIGHTS):
                    with client.files.with_streaming_response.content(file_id) as answer:
                        write_at_most(answer.iter_bytes(), folder / name, limit_bytes)
        return bool(files)

    def _last_checkpoint(self, remote_id: str) -> Any:
        """None if there is none, or if the server knows no checkpoints."""
        try:
            with self._answers.translated():
                found = _all(self._client.fine_tuning.jobs.checkpoints.list(remote_id))
                return max(found, key=lambda one: one.step_number or 0, default=None)
        except Missing:
            return None

    def _job(self, job: Any) -> RemoteJob:
        """SDK objects are not validated, so a body of another kind is found here."""
        status = job.status
        if not isinstance(status, str):
            raise ValueError("a job without a status")
        outcome = None
        if status == SUCCEEDED and isinstance(job.fine_tuned_model, str) and job.fine_tuned_model:
            outcome = Outcome(state="succeeded", model=job.fine_tuned_model)
        elif status == "failed":
            outcome = Outcome(state="failed", message=self._answers.without_secret(_failure(job.error)))
        elif status == "cancelled":
            outcome = Outcome(state="cancelled")
        files = [file for file in (job.training_file, job.validation_file) if file]
        return RemoteJob(named(job), self._answers.without_secret(status), outcome, files)


def _all(first: Any) -> Iterator[Any]:
    """Of every page, whatever its order. A server that gives one page again and again has no more."""
    seen: set[str] = set()
    for page in first.iter_pages():
        if not isinstance(page.data, list):
            raise ValueError("a list without its entries")
        new = [one for one in page.data if named(one) not in seen]
        seen |= {one.id for one in new}
        yield from new
        if not new:
            return


def _is_of(job: Any, record: Record) -> bool:
    own = (job.metadata or {}).get(OWN_ID) == record.job_id
    return own or job.training_file in record.every_upload


def _failure(error: Any) -> str:
    parts = [getattr(error, name, None) for name in ("code", "param", "message")]
    return ": ".join(str(part) for part in parts if part) or "it says no more"


def _metrics(event: Any) -> Metrics | None:
    """Of an event that has a step's figures; None for any other."""
    data = event.data if isinstance(event.data, dict) else {}
    step, total, loss = data.get("step"), data.get("total_steps"), data.get("train_loss")
    if event.type != "metrics" or not isinstance(step, int) or not isinstance(loss, int | float):
        return None
    return Metrics(step=step, total_steps=total if isinstance(total, int) else step, epoch=0.0, train_loss=float(loss))
