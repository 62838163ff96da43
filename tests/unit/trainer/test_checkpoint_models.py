"""Checkpoints as models: listed while and after a job runs, published as versions, kept as weights only."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.trainer.made import job_spec

from burnish.digests import sha256_hex
from burnish.errors import CorruptDataError, NotFoundError
from burnish.layout import checkpoint as checkpoint_key
from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.adapter import TrainingSummary
from burnish.schemas.base import BaseModelRef, VersionRef
from burnish_trainer.artifacts import adapters
from burnish_trainer.artifacts.checkpoint_models import Keep, list_checkpoints, publish_checkpoint, retain
from burnish_trainer.artifacts.checkpoints import Checkpoint, CheckpointMetrics, Checkpoints, RunRecord

JOB = "job-0123456789abcdef"
RUN = RunRecord(
    adapter_name="colours",
    base_model=BaseModelRef(name="tiny", digest="sha256:" + "0" * 64),
    backend="peft",
    backend_why="there is no CUDA device",
    device="cpu",
    dtype="bfloat16",
    packages={"torch": "2.13.0"},
)
LOSSES = {5: 1.5, 10: 0.5, 13: None, 15: 0.5, 20: 0.9}  # 13: saved by a pause, between two evaluations


@pytest.fixture
def saved(memory_store: MemoryObjectStore, tmp_path: Path) -> Checkpoints:
    """Five checkpoints in both places, nothing dropped yet."""
    checkpoints = Checkpoints(memory_store, JOB, tmp_path)
    for step, loss in LOSSES.items():
        checkpoints.upload(_save(checkpoints, step, loss))
    return checkpoints


def _save(checkpoints: Checkpoints, step: int, loss: float | None) -> Checkpoint:
    folder = checkpoints.at(step)
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"r": 8, "base_model_name_or_path": "/somewhere/here"}')
    (folder / "adapter_model.safetensors").write_bytes(b"weights of step %d" % step)
    (folder / "optimizer.pt").write_bytes(b"moments")
    (folder / "rng_state_0.pth").write_bytes(b"random")
    (folder / "trainer_state.json").write_text(f'{{"global_step": {step}, "best_global_step": null}}')
    training = TrainingSummary(
        steps=step,
        best_step=step,
        first_train_loss=2.0,
        final_train_loss=1.0,
        best_validation_loss=loss,
        trained_tokens=10 * step,
        duration_seconds=1.0,
        peak_memory_bytes=1,
        stopped_early=False,
    )
    metrics = CheckpointMetrics(
        step=step, epoch=step / 10, validation_loss=loss, elapsed_seconds=1.0, training=training
    )
    return checkpoints.seal(metrics, RUN)


SPEC = job_spec(VersionRef(name="colours", version="a" * 16))


def publish(store: MemoryObjectStore, step: int) -> VersionRef:
    return publish_checkpoint(store, JOB, step, SPEC, findings=[], estimate=None)


def _files(store: MemoryObjectStore, step: int) -> set[str]:
    return {info.key.rsplit("/", 1)[1] for info in store.list(checkpoint_key(JOB, step, file=""))}


def test_checkpoints_are_listed_by_step_with_the_first_lowest_loss_as_best(
    memory_store: MemoryObjectStore, saved: Checkpoints
) -> None:
    listed = list_checkpoints(memory_store, JOB)
    assert {info.step: info.validation_loss for info in listed} == LOSSES
    assert [info.step for info in listed] == sorted(LOSSES)
    assert [info.step for info in listed if info.best] == [10]
    assert [info.epoch for info in listed] == [step / 10 for step in LOSSES]
    assert all(info.adapter is None and info.size_bytes > 0 for info in listed)
    assert list_checkpoints(memory_store, "job-fedcba9876543210") == []


def test_a_checkpoint_becomes_an_adapter_version_once(memory_store: MemoryObjectStore, saved: Checkpoints) -> None:
    ref = publish(memory_store, 10)
    manifest = adapters.read_manifest(memory_store, ref)
    assert manifest.checkpoint_step == 10
    assert manifest.version == ref.version
    made_with = {"device": "cpu", "dtype": "bfloat16", "backend_why": "there is no CUDA device"}
    assert manifest.params == SPEC.model_dump(mode="json") | made_with
    assert [parent.kind for parent in manifest.parents] == ["dataset", "base_model", "job"]
    assert manifest.training.steps == 10
    files = {entry.path: entry.sha256 for entry in manifest.files}
    assert files["adapter_model.safetensors"] == sha256_hex(b"weights of step 10")
    assert b"/somewhere/here" not in memory_store.get(f"adapters/colours/{ref.version}/adapter_config.json")
    assert f"colours@{ref.version}" in memory_store.get(f"adapters/colours/{ref.version}/README.md").decode()
    before = manifest.created_at
    retain(memory_store, JOB, "none")
    with pytest.raises(NotFoundError):
        publish(memory_store, 10)
    assert adapters.read_manifest(memory_store, ref).created_at == before


def test_a_published_checkpoint_says_so_and_is_not_published_twice(
    memory_store: MemoryObjectStore, saved: Checkpoints
) -> None:
    first = publish(memory_store, 15)
    made = adapters.read_manifest(memory_store, first).created_at
    assert publish(memory_store, 15) == first
    assert adapters.read_manifest(memory_store, first).created_at == made
    assert {info.step: info.adapter for info in list_checkpoints(memory_store, JOB) if info.adapter} == {15: first}


def test_what_cannot_be_published_says_what_there_is(memory_store: MemoryObjectStore, saved: Checkpoints) -> None:
    with pytest.raises(NotFoundError, match="no checkpoint of step 7; those kept: 5, 10, 13, 15, 20"):
        publish(memory_store, 7)
    memory_store.put(checkpoint_key(JOB, 5, "adapter_model.safetensors"), b"other weights")
    with pytest.raises(CorruptDataError, match="does not have the size"):
        publish(memory_store, 5)
    assert list(memory_store.list("adapters/")) == []


@pytest.mark.parametrize(("keep", "steps"), [("all", sorted(LOSSES)), ("best", [10]), ("none", [])])
def test_what_stays_of_a_finished_job_is_weights_alone(
    memory_store: MemoryObjectStore, saved: Checkpoints, keep: Keep, steps: list[int]
) -> None:
    for _ in range(2):  # safe to repeat
        retain(memory_store, JOB, keep)
        assert [info.step for info in list_checkpoints(memory_store, JOB)] == steps
        for step in steps:
            assert _files(memory_store, step) == {"adapter_config.json", "adapter_model.safetensors", "manifest.json"}
    if steps:
        assert [info.step for info in list_checkpoints(memory_store, JOB) if info.best] == [10]
        assert publish(memory_store, 10).name == "colours"
    else:
        assert list(memory_store.list("checkpoints/")) == []


def test_a_slim_checkpoint_is_not_resumed_from(
    memory_store: MemoryObjectStore, saved: Checkpoints, tmp_path: Path
) -> None:
    saved.retain({15})
    elsewhere = Checkpoints(memory_store, JOB, tmp_path / "elsewhere")
    found = elsewhere.latest()
    assert found is not None
    assert found.step == 15
    assert (found.folder / "rng_state_0.pth").is_file()
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-15"]


def test_slimming_goes_on_where_a_kill_broke_it_off(memory_store: MemoryObjectStore, saved: Checkpoints) -> None:
    retain(memory_store, JOB, "all")
    memory_store.put(checkpoint_key(JOB, 5, "optimizer.pt"), b"left behind")
    retain(memory_store, JOB, "all")
    assert "optimizer.pt" not in _files(memory_store, 5)
