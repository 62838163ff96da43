"""SFT on a small real model: what must move moves, what must not stays, and a broken run ends as an unbroken one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from integration.trainer.training.runs import Run, Runner
from safetensors.torch import load_file
from unit.trainer.made import assistant, job_spec, put_dataset, sft_rows, user

from burnish.errors import PreconditionError, from_dict
from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.base import VersionRef
from burnish.schemas.dataset import SftRow
from burnish.schemas.training.hyperparameters import TARGET_MODULES
from burnish_trainer.data.batches import make_schedule
from burnish_trainer.executors.events import CheckpointSaved, Failed, Metrics, Note, Suspended

pytestmark = pytest.mark.model


def test_loss_falls_and_the_series_is_whole(trained: Run) -> None:
    train = trained.series("train_loss")
    assert list(train) == list(range(1, 9))
    assert train[8] < 0.95 * train[1]
    validation = trained.series("validation_loss")
    assert list(validation) == [3, 6, 8]
    assert validation[8] < validation[3]


def test_every_step_tells_its_pace(trained: Run) -> None:
    steps = [event for event in trained.events if isinstance(event, Metrics) and event.train_loss is not None]
    assert all(event.tokens_per_second and event.tokens_per_second > 0 for event in steps)
    assert all(event.gradient_norm and event.gradient_norm > 0 for event in steps)
    assert steps[-1].seconds_left == 0
    assert steps[-1].epoch == pytest.approx(8 * 4 / 10)
    assert steps[1].learning_rate == pytest.approx(1e-2)


def test_every_phase_and_every_step_in_it_is_progress_that_the_trainer_sees(trained: Run) -> None:
    """What scheduler/policy.py judges a worker by: a step or a batch that went unsaid would be taken for a hang."""
    told = trained.progress
    assert list(dict.fromkeys(told)) == [
        "loading",
        "starting",
        "first-step",
        "training",
        "evaluating",
        "saving",
        "publishing",
    ]
    assert told.count("evaluating") >= 3, "each batch of each of three evaluations"
    assert told.count("training") >= 8
    assert told.count("saving") == 3


def test_the_adapter_is_lora_on_all_seven_projections_and_nothing_else(trained: Run) -> None:
    weights = trained.weights()
    modules = {name.split(".")[-3] for name in weights}
    assert modules == set(TARGET_MODULES)
    assert {name.split(".")[-2] for name in weights} == {"lora_A", "lora_B"}
    assert all(weight.dtype == torch.float32 for weight in weights.values())
    assert all(weight.abs().max() > 0 for name, weight in weights.items() if "lora_B" in name), "a B that never moved"


def test_the_manifest_says_how_it_was_made(trained: Run) -> None:
    manifest = trained.manifest()
    assert (manifest.backend, manifest.quantization, manifest.method) == ("peft", "none", "sft")
    assert (manifest.rank, manifest.alpha, manifest.seed) == (8, 8, 0)
    assert {parent.kind: parent.digest for parent in manifest.parents} == {
        "dataset": trained.spec.dataset.version,
        "base_model": manifest.base_model.digest,
        "job": trained.job_id,
    }
    assert (manifest.training.steps, manifest.training.best_step) == (8, 8)
    assert manifest.training.best_validation_loss == trained.series("validation_loss")[8]
    assert manifest.params["optimizer"]["learning_rate"] == 1e-2
    assert {entry.path for entry in manifest.files} == {"README.md", "adapter_config.json", "adapter_model.safetensors"}


def test_config_names_the_base_and_no_folder_of_this_machine(trained: Run, tiny_base: Path) -> None:
    config = trained.config()
    assert config["base_model_name_or_path"] == "tiny"
    assert config["target_modules"] == sorted(TARGET_MODULES)
    assert str(tiny_base.parent) not in str(config)


def test_another_seed_gives_another_adapter(runner: Runner) -> None:
    assert len({runner.sft(seed=seed, optimizer={"max_steps": 1}).version for seed in (1, 2)}) == 2


def test_eight_rows_at_once_equal_eight_steps_of_one(fp32_runner: Runner) -> None:
    """Gradient accumulation weighs tokens, not batches: rows differ in length here. In fp32, since bf16 rounds apart."""
    one, many = (
        fp32_runner.sft(optimizer={"max_steps": 3, "batch_size": size, "gradient_accumulation_steps": 8 // size})
        for size in (8, 1)
    )
    assert many.series("train_loss") == pytest.approx(one.series("train_loss"), rel=1e-4)
    for name, weight in one.weights().items():
        torch.testing.assert_close(many.weights()[name], weight, rtol=2e-2, atol=1e-4)


@pytest.mark.parametrize("at", [3, 5])
def test_a_stopped_run_resumes_to_the_same_bits(trained: Run, runner: Runner, at: int) -> None:
    """Stopped at a step boundary, at a checkpoint and between two; the same weights are the same version again."""
    stopped = runner.sft(spec=trained.spec, store=trained.store, stop_at=at)
    assert isinstance(stopped.events[-1], Suspended)
    resumed = stopped.again()
    assert resumed.version == trained.version
    assert resumed.series("train_loss") == trained.series("train_loss")
    assert resumed.series("validation_loss") == trained.series("validation_loss")
    assert any("exists already" in event.message for event in resumed.events if isinstance(event, Note))


def test_a_resumed_run_goes_on_behind_its_checkpoint(trained: Run, runner: Runner) -> None:
    """Its second attempt trains the steps that are left and none before them, each on the rows of its place in the order."""
    stopped = runner.sft(spec=trained.spec, store=trained.store, stop_at=4)
    first = len(stopped.events)
    stopped.again()
    told = [event for event in stopped.events[first:] if isinstance(event, Metrics) and event.train_loss is not None]
    assert [event.step for event in told if event.repeated] == [1, 2, 3, 4]
    assert [event.step for event in told if not event.repeated] == [5, 6, 7, 8]
    before = [event for event in trained.events if isinstance(event, Metrics) and event.train_loss is not None]
    assert [(event.tokens, event.train_loss) for event in told[4:]] == [
        (event.tokens, event.train_loss) for event in before[4:]
    ]


def test_a_job_goes_on_in_another_folder_from_the_stored_checkpoint(
    trained: Run, runner: Runner, tmp_path: Path
) -> None:
    """Also if the machine's own copy is torn: neither is looked at without its manifest's digests."""
    stopped = runner.sft(spec=trained.spec, store=trained.store, stop_at=3)
    torn = tmp_path / "elsewhere" / "checkpoints" / "checkpoint-3"
    shutil.copytree(stopped.folder / "checkpoints" / "checkpoint-3", torn)
    weights = torn / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert stopped.again(folder=tmp_path / "elsewhere").version == trained.version


def test_only_newest_and_best_checkpoint_can_be_resumed_from(trained: Run) -> None:
    keys = [info.key.split("/") for info in trained.store.list(f"checkpoints/{trained.job_id}/")]
    assert {step for _, _, step, file in keys if file == "optimizer.pt"} == {"00000008"}
    assert {step for _, _, step, file in keys if file == "adapter_model.safetensors"} == {
        "00000003",
        "00000006",
        "00000008",
    }
    told = [event.step for event in trained.events if isinstance(event, CheckpointSaved)]
    assert told == [3, 6, 8]


def test_training_stops_early_and_keeps_the_best(runner: Runner) -> None:
    """Validation rows that contradict the training rows: every step makes them less likely."""
    validation = [
        row.model_copy(update={"completion": assistant("zebra crossing nonsense")}) for row in sft_rows(4, "v")
    ]
    run = runner.sft(
        validation=validation,
        optimizer={
            "max_steps": 20,
            "evaluation_interval_steps": 1,
            "early_stopping_patience": 2,
            "learning_rate": 3e-2,
        },
    )
    losses = run.series("validation_loss")
    training = run.manifest().training
    assert training.stopped_early
    assert training.steps < 20
    assert losses[training.best_step] == min(losses.values()) == training.best_validation_loss
    assert training.best_step == training.steps - 2
    best = load_file(run.folder / "checkpoints" / f"checkpoint-{training.best_step}" / "adapter_model.safetensors")
    assert all(torch.equal(best[name], weight) for name, weight in run.weights().items())


def test_without_validation_rows_the_last_step_is_kept(runner: Runner) -> None:
    run = runner.sft(validation=[], optimizer={"max_steps": 3, "evaluation_interval_steps": 2})
    training = run.manifest().training
    assert (training.best_step, training.best_validation_loss, training.stopped_early) == (3, None, False)
    assert run.series("validation_loss") == {}


def refused(run: Run) -> Any:
    final = run.events[-1]
    assert isinstance(final, Failed)
    assert not final.retry
    assert not any(isinstance(event, Metrics) for event in run.events), "refused before a step was taken"
    return from_dict(final.error)


def test_long_rows_are_refused_by_name(runner: Runner) -> None:
    rows = sft_rows(8)
    rows[5] = rows[5].model_copy(update={"prompt": user("very long " * 80)})
    error = refused(runner.sft(train=rows, optimizer={"max_length": 100}))
    assert error.reason == "INVALID_INPUT"
    assert "longer than max_length 100" in error.message
    assert error.metadata["question_ids"] == "q5"


def test_empty_completions_are_refused_by_name(runner: Runner) -> None:
    rows = [*sft_rows(3), SftRow(question_id="bare", source="correction", prompt=user("?"), completion=assistant(""))]
    error = refused(runner.sft(train=rows))
    assert "bare" in error.message


def test_changed_rows_are_refused(runner: Runner) -> None:
    store = MemoryObjectStore()
    dataset = put_dataset(store, sft_rows(4))
    store.put(f"datasets/{dataset.name}/{dataset.version}/train.jsonl", b"{}\n")
    assert refused(runner.sft(spec=job_spec(dataset), store=store)).reason == "CORRUPT_DATA"


def test_a_loss_that_is_no_number_ends_the_job_with_advice() -> None:
    from burnish_trainer.worker.loop.progress import metrics_of

    schedule = make_schedule([3], [1], job_spec(VersionRef(name="colours", version="0" * 16)).optimizer, seed=0)
    with pytest.raises(PreconditionError, match="step 7: train again with a lower learning rate"):
        metrics_of({"loss": float("nan"), "step": 7}, schedule)
