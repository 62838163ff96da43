"""The reference pass by itself: right to the bit of a plain forward, stopped and gone on with, and the same for every row order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from integration.trainer.training.preference_losses import Base
from unit.trainer.made import dpo_rows, job_spec, put_dataset

from burnish.digests import sha256_hex
from burnish.objectstores.memory import MemoryObjectStore
from burnish_trainer.artifacts import reference_log_probabilities as references
from burnish_trainer.data.tokens import Example
from burnish_trainer.executors import events
from burnish_trainer.executors.assignment import Assignment
from burnish_trainer.executors.events import EventWriter, Note
from burnish_trainer.worker.context import RunContext, StopRequested
from burnish_trainer.worker.loop import reference_pass
from burnish_trainer.worker.main import make_context

pytestmark = pytest.mark.model

Made = tuple[RunContext, Any, list[Example]]


class StopAfter(threading.Event):
    """Comes true when it has been asked `calls` times."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.left = calls

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.fixture(scope="module")
def base(tiny_base: Path) -> Base:
    return Base(tiny_base)


@pytest.fixture
def make(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: Base) -> Callable[..., Made]:
    """A context over one store, its model and all sequences of 12 pairs; passes take a few rows a batch."""
    monkeypatch.setattr(reference_pass, "BATCH_TOKENS", 256)
    store = MemoryObjectStore()
    spec = job_spec(put_dataset(store, dpo_rows(12)), "dpo")

    def made(stop: threading.Event | None = None, **changes: Any) -> Made:
        assignment = Assignment(job_id="job-1", attempt=1, spec=spec, base_model=tiny_base, device="cpu")
        writer = EventWriter(tmp_path / "events.jsonl")
        ctx = replace(make_context(assignment, tmp_path, store, writer, stop or threading.Event()), **changes)
        examples = [base.encode(row.prompt, end) for row in dpo_rows(12) for end in (row.chosen, row.rejected)]
        return ctx, ctx.load_model(), examples

    return made


def test_values_are_those_of_a_plain_forward(make: Callable[..., Made], base: Base) -> None:
    ctx, model, examples = make(dtype="float32")
    found = reference_pass.log_probabilities(ctx, model, examples, None)
    for row in dpo_rows(12):
        expected = float(base.log_probabilities(row.prompt, row.rejected).sum())
        assert found.of(base.encode(row.prompt, row.rejected)) == pytest.approx(expected, rel=1e-4)


def test_a_stopped_pass_goes_on_and_row_order_does_not_matter(make: Callable[..., Made], base: Base) -> None:
    """Three batches done, a torn fourth line: the rest is computed, to the same bits as in one go."""
    stopped, model, examples = make(StopAfter(3))
    with pytest.raises(StopRequested):
        reference_pass.log_probabilities(stopped, model, examples, None)
    (path,) = (stopped.folder / references.FOLDER).iterdir()
    assert len(path.read_bytes().splitlines()) == 3
    path.write_bytes(path.read_bytes() + b"[-12.5,")
    ctx, model, _ = make()
    seen = count_forwards(model)
    resumed = reference_pass.log_probabilities(ctx, model, examples, None)
    batches = len(path.read_bytes().splitlines())
    assert batches > 4
    assert len(seen) == batches - 3
    for info in list(ctx.store.list("references/")):
        ctx.store.delete(info.key)
    path.unlink()
    whole = reference_pass.log_probabilities(ctx, model, examples[::-1], None)
    assert whole == resumed


def count_forwards(model: torch.nn.Module) -> list[bool]:
    """Grows by one at each forward; True where gradients were on."""
    seen: list[bool] = []
    model.register_forward_pre_hook(lambda *_: seen.append(torch.is_grad_enabled()))
    return seen


def test_another_job_s_values_are_taken_where_it_was_quicker(make: Callable[..., Made], base: Base) -> None:
    """Both computed; one manifest stands, and both train against what it says."""
    ctx, model, examples = make()
    first = reference_pass.log_probabilities(ctx, model, examples, None)
    keys = [info.key for info in ctx.store.list("references/")]
    manifest = references.ReferenceManifest.model_validate_json(ctx.store.get(keys[-1]))
    late = {key: value + 1e-3 for key, value in first.values.items()}
    assert (
        references.write(ctx.store, manifest.inputs, late, ctx.base_model, ctx.spec, "job-2", replacing=False) == first
    )


@pytest.mark.parametrize(
    "damage", ["file altered", "file gone", "manifest torn", "of another precision", "of other rows"]
)
def test_what_is_damaged_is_computed_again_and_replaced(make: Callable[..., Made], base: Base, damage: str) -> None:
    ctx, model, examples = make()
    good = reference_pass.log_probabilities(ctx, model, examples[:4], None)
    file, manifest = sorted(info.key for info in ctx.store.list("references/"))
    data, text = ctx.store.get(file), ctx.store.get(manifest)
    if damage == "file altered":
        ctx.store.put(file, data.replace(b",-", b",-1", 1))
    elif damage == "file gone":
        ctx.store.delete(file)
    elif damage == "manifest torn":
        ctx.store.put(manifest, text[:-40])
    elif damage == "of another precision":
        ctx.store.put(manifest, text.replace(f'"dtype":"{ctx.dtype}"'.encode(), b'"dtype":"float16"'))
    else:
        fewer = b"".join(data.splitlines(keepends=True)[:-1])
        ctx.store.put(file, fewer)
        ctx.store.put(manifest, text.replace(sha256_hex(data).encode(), sha256_hex(fewer).encode()))
    assert reference_pass.log_probabilities(ctx, model, examples[:4], None) == good
    assert ctx.store.get(file) == data
    inputs = references.ReferenceManifest.model_validate_json(ctx.store.get(manifest)).inputs
    assert references.read(ctx.store, inputs) == good
    said = [
        event.message
        for event in events.parse((ctx.folder / "events.jsonl").read_bytes())[0]
        if isinstance(event, Note)
    ]
    assert ["computed in" in message for message in said] == [True, False, True]
    assert "not used" in said[1]
