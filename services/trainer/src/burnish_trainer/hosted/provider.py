"""The port that every provider implements, and what its calls say. A provider's file is the only one that imports its SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from burnish.errors import BurnishError
from burnish.schemas.training.hosted import ProviderName, RemoteModel
from burnish.schemas.training.job import JobSpec
from burnish_trainer.executors.events import Metrics
from burnish_trainer.hosted.record import Outcome, Record


class Unanswered(Exception):
    """It is not known what the call did, or it did nothing and may be repeated later. retry_after_seconds: as the provider asks."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NotDone(Unanswered):
    """The provider says that it did nothing, since it is busy: repeat the call later."""


class NotYet(NotDone):
    """The provider did nothing, since something that comes first is still under way there: look again later."""


class Refused(Exception):
    """The provider did nothing, and will not do it if it is asked again."""

    def __init__(self, error: BurnishError) -> None:
        super().__init__(error.message)
        self.error = error


class Missing(Refused):
    """The provider shows no such thing to this account."""


@dataclass(frozen=True)
class RemoteJob:
    """A job as the provider shows it. says: its own word for the state. outcome: None while it may still run, unknown words
    included. uploads: ids of the files that it trains on. metrics: those of all steps that it shows. cost_usd: as the provider
    estimates it, if it says so only now."""

    remote_id: str
    says: str
    outcome: Outcome | None = None
    uploads: Sequence[str] = ()
    metrics: Sequence[Metrics] = ()
    cost_usd: float | None = None


class Provider(Protocol):
    """Calls block, and are sent once: nothing here repeats one. Each raises Unanswered and Refused.

    endpoint: base URL. The credential is in no message that a call raises or returns.
    """

    name: ProviderName
    endpoint: str

    def prepare(self, spec: JobSpec) -> Mapping[str, object]:
        """The spec's hyperparameters under the provider's names. It may be asked for its limits: Refused, with the fields, if it
        does not take them."""
        ...

    def uploads(self, job_id: str) -> Mapping[str, str]:
        """Name -> id of the files that the account has of this job, whichever call made them."""
        ...

    def upload(self, name: str, file: Path) -> str:
        """Upload a file; its id. Costs nothing."""
        ...

    def has_upload(self, upload_id: str) -> bool:
        """Whether this account shows the file: if it does not, what else it does not show proves nothing."""
        ...

    def discard(self, upload_id: str) -> None:
        """Delete a file; no error if there is none."""
        ...

    def estimate(self, record: Record) -> float | None:
        """What the provider says that the job will cost in US dollars, its rows being uploaded; None: it says nothing."""
        ...

    def create(self, record: Record) -> RemoteJob:
        """Start the job, which costs money. It carries the job's own id."""
        ...

    def find(self, record: Record) -> Sequence[RemoteJob]:
        """Every job of the account that carries this job's own id, or trains on one of its files."""
        ...

    def poll(self, remote_id: str) -> RemoteJob:
        """Raises Missing if the account shows no such job."""
        ...

    def cancel(self, remote_id: str) -> None:
        """Ask that it ends; Refused if it has ended."""
        ...

    def close(self) -> None:
        """End its connections."""
        ...

    def result(self, record: Record) -> RemoteModel:
        """The tuned model of a record that ended by success. No call."""
        ...

    def fetch(self, record: Record, folder: Path, limit_bytes: int) -> bool:
        """Put the adapter of a record that ended by success into the folder, as PEFT writes one: adapter_config.json and
        adapter_model.safetensors. False if the provider gives no weights. CorruptDataError if what it gives is no adapter, or is
        larger than the limit."""
        ...
