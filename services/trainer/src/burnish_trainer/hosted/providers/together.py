"""Together AI: trains a LoRA adapter and gives its weights back.

Source: the wire of together-python 3.1 (resources/files, resources/fine_tuning, lib/resources). A job's own id travels in the suffix of
its model's name. Files are known to Together by their content, so each is made this job's alone (`own_copy`).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import together
from together.lib import FileTypeError
from together.lib.resources.files import FileAlreadyExistsError

from burnish.errors import InvalidInputError, PreconditionError
from burnish.schemas.training.hosted import PROVIDERS, ProviderName, RemoteModel
from burnish.schemas.training.hyperparameters import TARGET_MODULES
from burnish.schemas.training.job import JobSpec
from burnish_trainer.executors.events import Metrics
from burnish_trainer.hosted.answers import UNKNOWN_OUTCOME, Answers, answer_of, named
from burnish_trainer.hosted.archive import unpack
from burnish_trainer.hosted.held import is_shown, remote_model, remove
from burnish_trainer.hosted.provider import NotDone, NotYet, Refused, RemoteJob
from burnish_trainer.hosted.record import Outcome, Record

TIMEOUT_SECONDS = 60.0
TRANSFER_SECONDS = 3600.0
EVALUATIONS = 5
HALF = ("PENDING", "FAILED")  # states of a file whose content has not arrived
INVALID = "INVALID_FORMAT"
FAILED = ("error", "user_error")


def connect(access: Mapping[str, str]) -> TogetherTuning:
    """access: the variables of the provider, from the environment."""
    declared = PROVIDERS["together"]
    return TogetherTuning(access[declared.key], access.get(declared.address) or None)


class TogetherTuning:
    """burnish_trainer.hosted.provider.Provider."""

    name: ProviderName = "together"

    def __init__(self, key: str, base_url: str | None) -> None:
        self._client = together.Together(api_key=key, base_url=base_url, max_retries=0, timeout=TIMEOUT_SECONDS)
        self.endpoint = str(self._client.base_url).rstrip("/")
        silent = (together.APIError, httpx.HTTPError)
        self._answers = Answers("together", self.endpoint, lambda: key, together.APIStatusError, answer_of, silent)

    def prepare(self, spec: JobSpec) -> Mapping[str, object]:
        """The batch size is the nearest that the model can be trained with; everything else that it cannot be is refused."""
        assert spec.hosted is not None
        limits = self._limits(spec.hosted.model)
        optimizer, lora, own = spec.optimizer, spec.lora, limits.lora_training
        largest = own.max_batch_size if spec.method == "sft" else own.max_batch_size_dpo
        for field, value, low, high in (
            ("optimizer.learning_rate", optimizer.learning_rate, limits.min_learning_rate, limits.max_learning_rate),
            ("optimizer.epochs", optimizer.epochs, 1, limits.max_num_epochs),
            ("lora.rank", lora.rank, 1, own.max_rank),
        ):
            if not low <= value <= high:
                message = f"{field} is {value:g}, and together trains {spec.hosted.model} with {low:g} to {high:g}"
                raise Refused(InvalidInputError(message, field=field))
        return {
            "n_epochs": round(optimizer.epochs),
            "batch_size": max(own.min_batch_size, min(optimizer.batch_size, largest)),
            "gradient_accumulation_steps": optimizer.gradient_accumulation_steps,
            "learning_rate": optimizer.learning_rate,
            "lr_scheduler_type": "linear",
            "warmup_ratio": optimizer.warmup_share,
            "lora": True,
            "lora_r": lora.rank,
            "lora_alpha": lora.alpha,
            "lora_dropout": lora.dropout,
            "lora_trainable_modules": _modules(lora.target_modules),
        } | ({"dpo_beta": spec.params["beta"]} if spec.method == "dpo" else {"train_on_inputs": False})

    def uploads(self, job_id: str) -> Mapping[str, str]:
        with self._answers.translated():
            files = [file for file in _entries(self._client.files.list()) if file.filename.startswith(job_id)]
            return {file.filename + (" (half)" if _is_half(file) else ""): named(file) for file in files}

    def upload(self, name: str, file: Path) -> str:
        client = self._client.with_options(timeout=TRANSFER_SECONDS)
        with tempfile.TemporaryDirectory() as folder, self._answers.translated():
            copy = own_copy(file, Path(folder) / name)
            try:
                return named(client.files.upload(copy, check=True, raise_if_already_exists=True))
            except FileAlreadyExistsError as known:  # by an upload of this job whose answer was lost
                file_id = str(known.file_id)
                if not _is_half(client.files.retrieve(file_id)):
                    return file_id
                client.files.delete(file_id)
                raise NotDone(f"{file_id} was half sent before and is deleted") from known
            except FileTypeError as error:
                raise Refused(InvalidInputError(f"together's own check of {name}: {error}")) from error
            except together.AuthenticationError as error:  # the SDK says this of every 401, and hides what was answered
                raise Refused(
                    PreconditionError(
                        self._answers.without_secret(
                            f"{self.endpoint} answers 401 to the upload: the key is wrong, or the job would exceed the account's "
                            f"free credits ({error.response.text[:200]})"
                        ),
                        provider=self.name,
                    )
                ) from error

    def has_upload(self, upload_id: str) -> bool:
        return is_shown(self._answers.translated, lambda: named(self._client.files.retrieve(upload_id)) == upload_id)

    def discard(self, upload_id: str) -> None:
        remove(self._answers.translated, lambda: self._client.files.delete(upload_id))

    def estimate(self, record: Record) -> float | None:
        """In dollars, once the files are validated: NotDone until then."""
        sent = record.request.hyperparameters
        lora = {name: sent[name] for name in ("lora_r", "lora_alpha", "lora_dropout", "lora_trainable_modules")}
        method: Any = {"method": "sft", "train_on_inputs": False}
        if record.request.method == "dpo":
            method = {"method": "dpo", "dpo_beta": sent["dpo_beta"]}
        with self._answers.translated():
            found: Any = self._client.fine_tuning.estimate_price(
                model=record.request.model,
                training_file=record.uploads["train"],
                n_epochs=sent["n_epochs"],
                training_type={"type": "Lora", **lora},
                training_method=method,
                **self._validation(record),
            )
            if found.estimation_available is not True:
                self._check_unestimated(record, str(found.unavailable_reason))
                return None
            cost = float(found.estimated_total_price)
            if found.allowed_to_proceed is False:
                message = f"it estimates ${cost:,.2f} and the account may spend ${found.user_limit or 0:,.2f}: add credit there"
                raise Refused(self._answers.refusal(PreconditionError, message))
            return cost

    def create(self, record: Record) -> RemoteJob:
        request = record.request
        with self._answers.translated(), _before_the_job():
            job = self._client.fine_tuning.create(
                model=request.model,
                training_file=record.uploads["train"],
                training_method=request.method,
                random_seed=request.seed,
                suffix=_suffix(record),
                packing=False,
                model_limits=self._client.fine_tuning.model_limits(model_name=request.model),
                **self._validation(record),
                **request.hyperparameters,
            )
            return RemoteJob(named(job), "created")

    def find(self, record: Record) -> Sequence[RemoteJob]:
        with self._answers.translated():
            jobs = _entries(self._client.fine_tuning.list())
            return [self._job(job) for job in jobs if _is_of(job, record)]

    def poll(self, remote_id: str) -> RemoteJob:
        with self._answers.translated():
            job = self._job(self._client.fine_tuning.retrieve(remote_id))
            shown = self._client.fine_tuning.list_metrics(remote_id).metrics or []
            return RemoteJob(job.remote_id, job.says, job.outcome, job.uploads, _metrics(shown))

    def cancel(self, remote_id: str) -> None:
        with self._answers.translated():
            self._client.fine_tuning.cancel(remote_id)

    def close(self) -> None:
        self._client.close()

    def result(self, record: Record) -> RemoteModel:
        return remote_model(record, f"{self.endpoint}/v1")

    def fetch(self, record: Record, folder: Path, limit_bytes: int) -> bool:
        assert record.remote_id is not None
        archive = folder / "adapter.tar"
        tuning = self._client.with_options(timeout=TRANSFER_SECONDS).fine_tuning.with_streaming_response
        with self._answers.translated():
            with tuning.content(ft_id=record.remote_id, checkpoint="adapter") as answer, archive.open("wb") as file:
                for chunk in answer.iter_bytes():
                    file.write(chunk)
            unpack(archive, folder, limit_bytes)
        archive.unlink()
        return True

    def _limits(self, model: str) -> Any:
        with self._answers.translated():
            limits = self._client.fine_tuning.model_limits(model_name=model)
            if not isinstance(limits.lora_training.max_rank, int):
                raise ValueError("it names no limits")
            return limits

    def _validation(self, record: Record) -> dict[str, Any]:
        file = record.uploads.get("validation")
        return {"validation_file": file, "n_evals": EVALUATIONS} if file else {}

    def _check_unestimated(self, record: Record, reason: str) -> None:
        """NotYet if it will say later, Refused if it found the rows invalid. reason: a word of theirs."""
        if reason.endswith("_not_validated"):
            raise NotYet("it is still validating the rows")
        if reason.endswith("_invalid"):
            file = self._client.files.retrieve(record.uploads["validation" if reason.startswith("eval") else "train"])
            said = file.validation_report.error if file.validation_report else None
            raise Refused(self._answers.refusal(InvalidInputError, f"the rows are invalid: {said or reason}"))

    def _job(self, job: Any) -> RemoteJob:
        status = named(job, "status")
        outcome = None
        if status == "completed" and isinstance(job.x_model_output_name, str) and job.x_model_output_name:
            outcome = Outcome(state="succeeded", model=job.x_model_output_name)
        elif status in FAILED:
            outcome = self._failure(job)
        elif status == "cancelled":
            outcome = Outcome(state="cancelled")
        files = [file for file in (job.training_file, job.validation_file) if file]
        return RemoteJob(named(job), self._answers.without_secret(status), outcome, files)

    def _failure(self, job: Any) -> Outcome:
        """In the words of its last event that is an error."""
        events = _entries(self._client.fine_tuning.list_events(named(job)))
        errors = [event.message for event in events if "ERROR" in str(event.type).upper()]
        message = self._answers.without_secret(errors[-1]) if errors else "it says no more"
        return Outcome(state="failed", message=message)


@contextmanager
def _before_the_job() -> Iterator[None]:
    """`create` asks for limits and price before it starts the job. If these have no answer, nothing was started: NotDone."""
    try:
        yield
    except together.APIError as error:
        status = getattr(error, "status_code", 500)
        if error.request.url.path.endswith("/fine-tunes") or (status < 500 and status not in UNKNOWN_OUTCOME):
            raise
        raise NotDone(f"no answer before the job was sent: {type(error).__name__}") from error


def own_copy(file: Path, copy: Path) -> Path:
    """The same rows under another name, and with white space after the first that no other job's file has.

    Together gives files of one content one id: without this, jobs on one dataset would share a file, find each other by it, and
    the first to end would delete it.
    """
    digest = hashlib.sha256(copy.name.encode()).digest()[:8]
    mark = "".join(" \t"[byte >> bit & 1] for byte in digest for bit in range(8))
    with file.open("rb") as source, copy.open("wb") as target:
        first = source.readline().rstrip(b"\n")
        target.write(first + mark.encode() + b"\n")
        while chunk := source.read(1 << 20):
            target.write(chunk)
    return copy


def _suffix(record: Record) -> str:
    return f"{record.request.suffix}-{record.job_id}"


def _is_of(job: Any, record: Record) -> bool:
    return job.suffix == _suffix(record) or job.training_file in record.every_upload


def _is_half(file: Any) -> bool:
    return file.processing_status in HALF


def _modules(names: Iterable[str]) -> str:
    return "all-linear" if set(names) == set(TARGET_MODULES) else ",".join(sorted(names))


def _entries(answer: Any) -> list[Any]:
    if not isinstance(answer.data, list):
        raise ValueError("a list without its entries")
    return answer.data


def _metrics(shown: Sequence[Mapping[str, float]]) -> list[Metrics]:
    """Those of training steps, then those of evaluations. Keys are train/… and eval/…; one without step and loss is left out."""
    found = []
    for kind, field in (("train", "train_loss"), ("eval", "validation_loss")):
        for one in shown:
            step, loss = one.get(f"{kind}/global_step"), one.get(f"{kind}/loss")
            if step is not None and loss is not None:
                rate = one.get("train/learning_rate") if kind == "train" else None
                values = {field: float(loss), "learning_rate": rate}
                found.append(
                    Metrics.model_validate({"step": int(step), "total_steps": int(step), "epoch": 0.0, **values})
                )
    return found
