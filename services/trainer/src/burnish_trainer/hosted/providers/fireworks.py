"""Fireworks AI: trains a LoRA adapter and gives its weights back.

Source: the wire of fireworks-ai 1.2 (resources/datasets, supervised_fine_tuning_jobs, dpo_jobs, models). The caller names datasets, jobs and
models there, and a name is taken once: a job is found by its own, and a second one of that name is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fireworks
import httpx
from fireworks.lib.dataset_upload import DatasetUploadError, count_dataset_examples, upload_dataset_shards

from burnish.errors import InvalidInputError, PreconditionError
from burnish.schemas.training.hosted import PROVIDERS, ProviderName, RemoteModel
from burnish.schemas.training.job import JobSpec
from burnish_trainer.artifacts.adapters import CONFIG, WEIGHTS
from burnish_trainer.hosted.answers import Answers, answer_of, named
from burnish_trainer.hosted.held import is_shown, remote_model, remove, write_at_most
from burnish_trainer.hosted.provider import Missing, Refused, RemoteJob, Unanswered
from burnish_trainer.hosted.record import Outcome, Record

TIMEOUT_SECONDS = 60.0
TRANSFER_SECONDS = 900.0
AT_ONCE_BYTES = 150_000_000
PAGE = 200
MOST_BETA = 0.5
READY = "READY"  # of a dataset whose rows have arrived
JOBS = {"sft": "supervisedFineTuningJobs", "dpo": "dpoJobs"}  # method -> collection, as in a job's name
SUCCEEDED, CANCELLED, FAILED = "JOB_STATE_COMPLETED", "JOB_STATE_CANCELLED", ("JOB_STATE_FAILED", "JOB_STATE_EXPIRED")


def connect(access: Mapping[str, str]) -> FireworksTuning:
    """access: the variables of the provider, from the environment."""
    declared = PROVIDERS["fireworks"]
    (account,) = declared.settings
    return FireworksTuning(access[declared.key], access[account], access.get(declared.address) or None)


class FireworksTuning:
    """burnish_trainer.hosted.provider.Provider. A job's remote id is its whole name: accounts/…/<collection>/<id>.

    at_once_bytes: the largest file that one request takes; larger ones go to an address that Fireworks signs.
    """

    name: ProviderName = "fireworks"

    def __init__(self, key: str, account: str, base_url: str | None, at_once_bytes: int = AT_ONCE_BYTES) -> None:
        self._client = fireworks.Fireworks(
            api_key=key, account_id=account, base_url=base_url, max_retries=0, timeout=TIMEOUT_SECONDS
        )
        self._parent = f"accounts/{account}"
        self._at_once_bytes = at_once_bytes
        self._base = str(self._client.base_url).rstrip("/")
        self.endpoint = f"{self._base}/v1/{self._parent}"
        silent = (fireworks.APIError, httpx.HTTPError, httpx.InvalidURL)
        self._answers = Answers("fireworks", self.endpoint, lambda: key, fireworks.APIStatusError, answer_of, silent)

    def prepare(self, spec: JobSpec) -> Mapping[str, object]:
        beta = spec.params.get("beta", 0.1)
        if not 0 < beta < MOST_BETA:
            message = f"dpo.beta is {beta:g}, and fireworks takes more than 0 and less than {MOST_BETA:g}"
            raise Refused(InvalidInputError(message, field="dpo.beta"))
        own = {
            "epochs": round(spec.optimizer.epochs),
            "batch_size_samples": spec.optimizer.batch_size,
            "gradient_accumulation_steps": spec.optimizer.gradient_accumulation_steps,
            "learning_rate": spec.optimizer.learning_rate,
            "lora_rank": spec.lora.rank,
        }
        return own | ({"beta": spec.params["beta"]} if spec.method == "dpo" else {})

    def uploads(self, job_id: str) -> Mapping[str, str]:
        """One whose rows have not arrived has a name that no file has."""
        found = {}
        with self._answers.translated():
            for dataset in self._client.datasets.list(page_size=PAGE):
                own = _id(dataset)
                if own.startswith(job_id):
                    found[own + (".jsonl" if dataset.state == READY else " (half)")] = own
        return found

    def upload(self, name: str, file: Path) -> str:
        """A dataset is named first and filled then. One that was named before, by a call whose answer was lost, is filled."""
        own = name.removesuffix(".jsonl")
        rows = count_dataset_examples(str(file))
        try:
            with self._answers.translated():
                self._client.datasets.create(
                    dataset_id=own, dataset={"user_uploaded": {}, "example_count": str(rows), "display_name": own}
                )
        except Unanswered:
            state = self._state_of(own)
            if state is None:
                raise
            if state == READY:  # though the list did not show it yet
                return own
        try:
            self._fill(own, file)
        except Refused:  # also if a call whose answer was lost has filled it meanwhile
            if self._state_of(own) != READY:
                raise
        return own

    def _fill(self, own: str, file: Path) -> None:
        if file.stat().st_size > self._at_once_bytes:
            return self._fill_by_address(own, file)
        client = self._client.with_options(timeout=TRANSFER_SECONDS)
        with self._answers.translated(), file.open("rb") as content:
            client.datasets.upload(own, file=(f"{own}.jsonl", content))

    def _state_of(self, own: str) -> str | None:
        """Of a dataset; None if there is none of that name."""
        try:
            with self._answers.translated():
                return named(self._client.datasets.get(own), "state")
        except Missing:
            return None

    def _fill_by_address(self, own: str, file: Path) -> None:
        """By an address of the store behind Fireworks, which whoever knows it may write to: no message has it."""
        try:
            with self._answers.translated():
                upload_dataset_shards(self._client, own, str(file))
        except Unanswered as error:
            cause = error.__cause__
            if isinstance(cause, httpx.HTTPStatusError):
                raise Unanswered(f"HTTP {cause.response.status_code} from the store that takes the rows") from None
            raise
        except DatasetUploadError as error:
            if "returned no signed URL" in str(error):  # else it is encryption, or an address without TLS
                raise Unanswered(f"its answer cannot be read: {error}") from error
            raise Refused(self._answers.refusal(PreconditionError, str(error))) from error

    def has_upload(self, upload_id: str) -> bool:
        return is_shown(self._answers.translated, lambda: _id(self._client.datasets.get(upload_id)) == upload_id)

    def discard(self, upload_id: str) -> None:
        remove(self._answers.translated, lambda: self._client.datasets.delete(upload_id))

    def estimate(self, record: Record) -> float | None:
        """It says a price only of a job that it has."""
        return None

    def create(self, record: Record) -> RemoteJob:
        request, own = record.request, _job_id(record, record.generation)
        sent = dict(request.hyperparameters) | {"base_model": request.model, "output_model": own}
        dataset = f"{self._parent}/datasets/{record.uploads['train']}"
        with self._answers.translated():
            if request.method == "dpo":
                loss: Any = {"method": "DPO", "dpo": {"beta": sent.pop("beta")}}
                job: Any = self._client.dpo_jobs.create(
                    dataset=dataset,
                    dpo_job_id=own,
                    display_name=request.suffix,
                    training_config=sent,
                    loss_config=loss,
                )
            else:
                validation = record.uploads.get("validation")
                job = self._client.supervised_fine_tuning_jobs.create(
                    dataset=dataset,
                    supervised_fine_tuning_job_id=own,
                    display_name=request.suffix,
                    evaluation_dataset=f"{self._parent}/datasets/{validation}" if validation else fireworks.omit,
                    **sent,
                )
            return self._job(job)

    def find(self, record: Record) -> Sequence[RemoteJob]:
        """By the names of all generations; nothing else can be this job's."""
        collection, found = JOBS[record.request.method], []
        for generation in range(1, record.generation + 1):
            try:
                found.append(self.poll(f"{self._parent}/{collection}/{_job_id(record, generation)}"))
            except Missing:
                continue
        return found

    def poll(self, remote_id: str) -> RemoteJob:
        with self._answers.translated():
            return self._job(self._jobs(remote_id).get(remote_id.rpartition("/")[2]))

    def cancel(self, remote_id: str) -> None:
        with self._answers.translated():
            self._jobs(remote_id).cancel(remote_id.rpartition("/")[2], body={})

    def close(self) -> None:
        self._client.close()

    def result(self, record: Record) -> RemoteModel:
        return remote_model(record, f"{self._base}/inference/v1")

    def fetch(self, record: Record, folder: Path, limit_bytes: int) -> bool:
        """From signed addresses, which take no credential and are shown to nobody."""
        assert record.outcome is not None
        assert record.outcome.model is not None
        own = record.outcome.model.rpartition("/")[2]
        with self._answers.translated(), httpx.Client(timeout=TRANSFER_SECONDS) as plain:
            urls = self._client.models.get_download_endpoint(own).filename_to_signed_urls
            if not isinstance(urls, dict):
                raise ValueError("it names no files")
            for path, url in urls.items():
                if (file := Path(path).name) in (CONFIG, WEIGHTS):
                    self._download(plain, url, folder / file, limit_bytes)
        return True

    def _download(self, client: httpx.Client, url: str, target: Path, limit_bytes: int) -> None:
        with client.stream("GET", url) as answer:
            if answer.status_code != 200:
                raise Unanswered(f"HTTP {answer.status_code} for {target.name}")
            write_at_most(answer.iter_bytes(), target, limit_bytes)

    def _jobs(self, remote_id: str) -> Any:
        client = self._client
        return client.dpo_jobs if f"/{JOBS['dpo']}/" in remote_id else client.supervised_fine_tuning_jobs

    def _job(self, job: Any) -> RemoteJob:
        state, outcome = named(job, "state"), None
        config = getattr(job, "training_config", None) or job
        if state == SUCCEEDED:
            outcome = Outcome(state="succeeded", model=named(config, "output_model"))
        elif state in FAILED:
            message = job.status.message if job.status else None
            outcome = Outcome(state="failed", message=self._answers.without_secret(message or "it says no more"))
        elif state == CANCELLED:
            outcome = Outcome(state="cancelled")
        datasets = [name.rpartition("/")[2] for name in (job.dataset, getattr(job, "evaluation_dataset", None)) if name]
        says = self._answers.without_secret(state) + _percent(job)
        return RemoteJob(named(job, "name"), says, outcome, datasets, cost_usd=_cost_usd(job))


def _job_id(record: Record, generation: int) -> str:
    return f"{record.job_id}-{generation}"


def _id(dataset: Any) -> str:
    return named(dataset, "name").rpartition("/")[2]


def _percent(job: Any) -> str:
    progress = getattr(job, "job_progress", None)
    return f", {progress.percent} %" if progress and progress.percent else ""


def _cost_usd(job: Any) -> float | None:
    cost = getattr(job, "estimated_cost", None)
    if cost is None or cost.currency_code != "USD":
        return None
    return float(cost.units or 0) + float(cost.nanos or 0) / 1e9
