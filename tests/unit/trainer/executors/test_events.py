"""The worker's event file: whole lines count, torn ones wait."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from burnish.schemas.base import VersionRef
from burnish_trainer.executors.events import EventWriter, Failed, Metrics, Note, Succeeded, parse


def test_events_come_back_as_they_were_written(tmp_path: Path) -> None:
    written = [
        Metrics(step=1, total_steps=2, epoch=0.5, train_loss=1.25, tokens_per_second=3.0),
        Note(message="line\nbreak and ünïcode"),
        Failed(error={"code": "INTERNAL"}, retry=True),
        Succeeded(adapter=VersionRef(name="a", version="0" * 16)),
    ]
    writer = EventWriter(tmp_path / "events.jsonl")
    for event in written:
        writer.write(event)
    writer.close()
    data = (tmp_path / "events.jsonl").read_bytes()
    assert parse(data) == (written, len(data))


def test_a_torn_line_waits_for_its_rest() -> None:
    whole = Note(message="one").model_dump_json().encode() + b"\n"
    second = Note(message="two").model_dump_json().encode() + b"\n"
    for cut in range(len(second)):
        events, length = parse(whole + second[:cut])
        assert ([event.message for event in events], length) == (["one"], len(whole))  # type: ignore[union-attr]
    assert len(parse(whole + second)[0]) == 2
    assert parse(b"") == ([], 0)


def test_a_line_that_is_no_event_is_an_error() -> None:
    with pytest.raises(ValidationError):
        parse(b'{"kind": "nonsense"}\n')


def test_writers_append(tmp_path: Path) -> None:
    for message in ("one", "two"):
        writer = EventWriter(tmp_path / "events.jsonl")
        writer.write(Note(message=message))
        writer.close()
    assert len(parse((tmp_path / "events.jsonl").read_bytes())[0]) == 2
