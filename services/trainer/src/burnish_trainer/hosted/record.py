"""What is known of a job at its provider: written before each call that cannot be taken back, and again once its answer is known.

In the object store, so that a trainer on another machine goes on from it. Each change is a conditional write: of two workers that
believe to have the job, one is told by ConflictError.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import AwareDatetime, Field, ValidationError

from burnish.digests import canonical_json, sha256_hex
from burnish.errors import AlreadyExistsError, ConflictError, CorruptDataError, NotFoundError, validation_problems
from burnish.layout import hosted
from burnish.ports import ObjectStore
from burnish.schemas.base import FileEntry, Frozen
from burnish.schemas.training.hosted import ProviderName
from burnish.schemas.training.methods import Method

State = Literal["uploading", "uploaded", "creating", "fencing", "created", "ended"]
Split = Literal["train", "validation"]


class Request(Frozen):
    """What is asked of the provider. suffix: for the tuned model's name. hyperparameters: under the provider's names."""

    model: str
    method: Method
    hyperparameters: dict[str, Any]
    seed: int
    suffix: str
    files: dict[Split, FileEntry]

    @property
    def digest(self) -> str:
        return sha256_hex(canonical_json(self.model_dump(mode="json")))


class Outcome(Frozen):
    """How the job ended at the provider. model: the tuned one, if it succeeded; message: the provider's own words, if it did not."""

    state: Literal["succeeded", "failed", "cancelled"]
    model: str | None = None
    message: str = ""


class Record(Frozen):
    """uploads: the provider's ids of the files of this generation. fenced: those of earlier generations, which were deleted so
    that a call whose answer was lost cannot take effect later. generation: counts what was uploaded to be trained on.
    """

    job_id: str
    provider: ProviderName
    endpoint: str
    request: Request
    request_digest: str
    time: AwareDatetime
    state: State = "uploading"
    generation: int = 1
    uploads: dict[Split, str] = {}
    fenced: list[str] = []
    remote_id: str | None = None
    outcome: Outcome | None = None
    released: bool = Field(default=False, description="nothing of the job is left at the provider but its result")

    @property
    def every_upload(self) -> list[str]:
        return [*self.uploads.values(), *self.fenced]

    def upload_name(self, split: Split) -> str:
        """By which the provider lists the file, so that one whose answer was lost is found again."""
        return f"{self.job_id}-{self.generation}-{split}.jsonl"

    def to(self, state: State, **changes: Any) -> Record:
        return self.model_copy(update={"state": state, **changes})

    def after_fence(self) -> Record:
        """A new generation: nothing of this one can start any more."""
        fenced = [*self.fenced, *self.uploads.values()]
        return self.to("uploading", generation=self.generation + 1, uploads={}, fenced=fenced)


def first_record(job_id: str, provider: ProviderName, endpoint: str, request: Request, time: datetime) -> Record:
    return Record(
        job_id=job_id, provider=provider, endpoint=endpoint, request=request, request_digest=request.digest, time=time
    )


class RecordFile:
    """The record of one job. Knows the version that it read or wrote last, and overwrites no other."""

    def __init__(self, store: ObjectStore, job_id: str) -> None:
        self._store = store
        self._key = hosted(job_id)
        self._etag = ""

    def read(self) -> Record | None:
        """None if nothing was ever sent. CorruptDataError if it cannot be read: then nothing may be sent either."""
        try:
            self._etag = self._store.stat(self._key).etag
            record = Record.model_validate_json(self._store.get(self._key))
        except NotFoundError:
            return None
        except ValidationError as error:
            raise CorruptDataError(f"{self._key} is no record of a hosted job: {validation_problems(error)}") from error
        if record.request.digest != record.request_digest:
            raise CorruptDataError(f"{self._key}: its request is not the one of its digest")
        return record

    def write(self, record: Record) -> Record:
        """ConflictError if somebody else has changed it since."""
        data = canonical_json(record.model_dump(mode="json"))
        try:
            written = (
                self._store.put_if_match(self._key, data, self._etag)
                if self._etag
                else self._store.put_if_absent(self._key, data)
            )
        except AlreadyExistsError as error:
            raise ConflictError(f"{self._key} was written by another worker of this job") from error
        self._etag = written.etag
        return record
