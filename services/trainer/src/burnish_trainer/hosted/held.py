"""What providers hold of a job, done alike by most of them: their files there, and the model that they tuned. Used by providers/."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from burnish.errors import CorruptDataError
from burnish.schemas.training.hosted import RemoteModel
from burnish_trainer.hosted.provider import Missing
from burnish_trainer.hosted.record import Record

Calls = Callable[[], AbstractContextManager[None]]  # around each call of an SDK: its errors in the words of the port


def is_shown(calls: Calls, look: Callable[[], bool]) -> bool:
    """Whether the account shows a thing; False if the provider says that there is none."""
    try:
        with calls():
            return look()
    except Missing:
        return False


def remove(calls: Calls, delete: Callable[[], object]) -> None:
    """Delete a thing; no error if there is none."""
    try:
        with calls():
            delete()
    except Missing:
        return


def write_at_most(chunks: Iterable[bytes], target: Path, limit_bytes: int) -> None:
    """CorruptDataError if there is more."""
    left = limit_bytes
    with target.open("wb") as file:
        for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                raise CorruptDataError(
                    f"{target.name} has more than {limit_bytes:,} bytes, which no adapter of this base has"
                )
            file.write(chunk)


def remote_model(record: Record, endpoint: str, expires_at: datetime | None = None) -> RemoteModel:
    """Of a record that ended by success. endpoint: base URL of the provider's chat completions."""
    assert record.outcome is not None
    assert record.outcome.model is not None
    return RemoteModel(
        provider=record.provider,
        endpoint=endpoint,
        model=record.outcome.model,
        base_model=record.request.model,
        expires_at=expires_at,
    )
