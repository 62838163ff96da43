"""DPO on a small real model: from the base, and on top of an SFT adapter."""

from __future__ import annotations

import math

import pytest
import torch
from integration.trainer.training.runs import Run, Runner
from unit.trainer.made import dpo_rows, encode, job_spec, put_dataset

from burnish.schemas.base import VersionRef
from burnish_trainer.artifacts.reference_log_probabilities import ReferenceManifest
from burnish_trainer.executors.events import Note

pytestmark = pytest.mark.model

OPTIMIZER = {"max_steps": 6, "evaluation_interval_steps": 3, "learning_rate": 1e-2, "warmup_share": 0.2}


@pytest.fixture(scope="module")
def from_base(runner: Runner) -> Run:
    return runner.dpo(optimizer=OPTIMIZER)


@pytest.fixture(scope="module")
def continued(runner: Runner) -> Run:
    """An SFT adapter, and DPO on top of it."""
    sft = runner.sft(optimizer={"max_steps": 4, "learning_rate": 1e-2}, lora={"rank": 4})
    initial = VersionRef(name=sft.spec.adapter_name, version=sft.version)
    dataset = put_dataset(sft.store, dpo_rows(16), dpo_rows(4, "v"), name="pairs")
    spec = job_spec(
        dataset,
        "dpo",
        adapter_name="preferring",
        params={"initial_adapter": initial.model_dump()},
        lora={"rank": 4},
        optimizer=OPTIMIZER,
    )
    run = runner.dpo(spec=spec, store=sft.store)
    run.initial = sft  # type: ignore[attr-defined]
    return run


def test_first_loss_is_ln_2_and_then_falls(from_base: Run) -> None:
    """Before the first update policy and reference are one: the loss is -log sigmoid(0), whatever the precision."""
    losses = from_base.series("train_loss")
    assert losses[1] == pytest.approx(math.log(2), abs=1e-4)
    assert losses[6] < 0.5 * losses[1]
    assert from_base.series("validation_loss")[6] < math.log(2)


def test_first_loss_is_ln_2_on_top_of_an_adapter(continued: Run) -> None:
    """The reference is the adapter that is continued: with the base as reference it would differ."""
    assert continued.series("train_loss")[1] == pytest.approx(math.log(2), abs=1e-4)


def test_the_result_is_one_plain_adapter(from_base: Run, continued: Run) -> None:
    for run in (from_base, continued):
        keys = [info.key for info in run.store.list(f"adapters/{run.spec.adapter_name}/{run.version}/")]
        assert sorted(key.rsplit("/", 1)[1] for key in keys) == [
            "README.md",
            "adapter_config.json",
            "adapter_model.safetensors",
            "manifest.json",
        ]
        assert not any("ref" in name for name in run.weights())
        assert not list(run.folder.rglob("ref"))
    assert set(continued.weights()) == set(from_base.weights())


def test_the_initial_adapter_is_a_parent_and_is_left_as_it_was(continued: Run) -> None:
    initial: Run = continued.initial  # type: ignore[attr-defined]
    parents = {parent.kind: (parent.name, parent.digest) for parent in continued.manifest().parents}
    assert parents["adapter"] == (initial.spec.adapter_name, initial.version)
    assert any(not torch.equal(weight, continued.weights()[name]) for name, weight in initial.weights().items()), (
        "training changed nothing"
    )


def test_chosen_answers_become_likelier_than_rejected_ones(continued: Run, runner: Runner) -> None:
    initial: Run = continued.initial  # type: ignore[attr-defined]
    assert margin(runner, continued) > margin(runner, initial) + 1


def margin(runner: Runner, run: Run) -> float:
    """Mean log-probability of chosen minus rejected over validation pairs, under a run's adapter as anyone would load it."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from burnish_trainer.artifacts import adapters

    tokenizer = AutoTokenizer.from_pretrained(runner.base_model)
    base = AutoModelForCausalLM.from_pretrained(runner.base_model, dtype=torch.float32)
    ref = VersionRef(name=run.spec.adapter_name, version=run.version)
    model = PeftModel.from_pretrained(base, str(adapters.fetch(run.store, ref, runner.folders())))

    def log_probability(example) -> float:  # type: ignore[no-untyped-def]
        ids = torch.tensor([example.ids])
        with torch.no_grad():
            logits = model(ids).logits[0, example.prompt_tokens - 1 : -1]
        return float(logits.log_softmax(-1).gather(1, ids[0, example.prompt_tokens :, None]).sum())

    pairs = [
        (
            encode(tokenizer, row.prompt, row.chosen),
            encode(tokenizer, row.prompt, row.rejected),
        )
        for row in dpo_rows(4, "v")
    ]
    return sum(log_probability(good) - log_probability(bad) for good, bad in pairs) / len(pairs)


def test_a_stopped_run_resumes_to_the_same_bits(from_base: Run, runner: Runner) -> None:
    """And no attempt makes the reference pass again."""
    stopped = runner.dpo(spec=from_base.spec, store=from_base.store, stop_at=4)
    assert stopped.again().version == from_base.version
    assert all("no pass needed" in message for message in said(stopped))
    assert len(said(stopped)) == 2


def test_dropout_is_kept_where_it_is_asked_for(runner: Runner) -> None:
    """TRL turns it off by itself; then a run with dropout would be the run without."""
    optimizer = {"max_steps": 2, "warmup_share": 0}
    runs = [runner.dpo(lora={"dropout": share}, optimizer=optimizer) for share in (0.0, 0.5)]
    plain, dropped = (run.series("train_loss") for run in runs)
    assert dropped[1] == plain[1], "a fresh adapter gives nothing, dropped or not"
    assert dropped[2] != plain[2]


def test_a_quantised_policy_starts_as_its_reference(runner: Runner) -> None:
    """On top of an SFT adapter, whose weights TRL would round to bf16 on the way in."""
    sft = runner.sft(optimizer={"max_steps": 2, "learning_rate": 1e-2, "evaluation_interval_steps": 2})
    initial = VersionRef(name=sft.spec.adapter_name, version=sft.version).model_dump()
    dataset = put_dataset(sft.store, dpo_rows(8), [], name="pairs")
    spec = job_spec(dataset, "dpo", params={"initial_adapter": initial}, quantization="nf4", optimizer={"max_steps": 2})
    run = runner.dpo(spec=spec, store=sft.store)
    assert run.series("train_loss")[1] == pytest.approx(math.log(2), abs=1e-4)


def said(run: Run) -> list[str]:
    return [event.message for event in run.events if isinstance(event, Note) and "reference log-prob" in event.message]


def kept(run: Run) -> list[str]:
    return [info.key for info in run.store.list("references/")]


def test_a_second_run_skips_the_pass_and_loses_alike(from_base: Run, runner: Runner) -> None:
    """Bit for bit; also under another adapter's name, which nothing of it depends on."""
    before = kept(from_base)
    again = runner.dpo(spec=from_base.spec.model_copy(update={"adapter_name": "again"}), store=from_base.store)
    assert ["computed in" in message for message in said(from_base)] == [True]
    assert ["no pass needed" in message for message in said(again)] == [True]
    for series in ("train_loss", "validation_loss"):
        assert again.series(series) == from_base.series(series)
    assert again.version == from_base.version
    assert kept(from_base) == before


def test_another_reference_is_kept_apart(from_base: Run, continued: Run) -> None:
    """Base and continued adapter, over the same rows."""
    manifests = [
        ReferenceManifest.model_validate_json(run.store.get(key))
        for run in (from_base, continued)
        for key in kept(run)
        if key.endswith("manifest.json")
    ]
    one, other = manifests
    assert one.inputs.sequences == other.inputs.sequences
    assert one.digest != other.digest
    initial: Run = continued.initial  # type: ignore[attr-defined]
    assert (one.inputs.adapter, other.inputs.adapter) == (None, initial.version)
    assert {parent.kind for parent in one.parents} == {"base_model", "dataset", "job"}
