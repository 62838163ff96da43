"""What is refused before a job is queued, and what is filled in."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from unit.trainer.made import dpo_rows, kto_rows, put_dataset, sft_rows

from burnish.digests import canonical_json
from burnish.errors import (
    BurnishError,
    CorruptDataError,
    IncompatibleAdapterError,
    InvalidInputError,
    NotFoundError,
    PreconditionError,
)
from burnish.layout import adapter as adapter_key
from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.adapter import AdapterManifest, TrainingSummary
from burnish.schemas.base import BaseModelRef, VersionRef
from burnish.schemas.training.hyperparameters import TARGET_MODULES
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.methods import METHODS, Method
from burnish_trainer.rpc.admission import Admission, check_fields, queue_options

BASE = BaseModelRef(name="base", digest="sha256:" + "b" * 64)
SUMMARY = TrainingSummary(
    steps=1,
    best_step=1,
    first_train_loss=1,
    final_train_loss=1,
    best_validation_loss=None,
    trained_tokens=1,
    duration_seconds=1,
    peak_memory_bytes=1,
    stopped_early=False,
)


class Case:
    """A store with one dataset of each format and one adapter, and the admission over it."""

    def __init__(self) -> None:
        self.store = MemoryObjectStore()
        self.sft = put_dataset(self.store, sft_rows(60))
        self.dpo = put_dataset(self.store, dpo_rows(8), name="pairs")
        self.kto = put_dataset(self.store, kto_rows(8), name="thumbs")
        self.adapter = self.put_adapter(BASE.digest)
        self.admission = Admission(self.store, BASE, ["cpu"])

    def put_adapter(self, base_digest: str) -> VersionRef:
        ref = VersionRef(name="first", version=base_digest[-16:])
        manifest = AdapterManifest(
            name=ref.name,
            version=ref.version,
            base_model=BaseModelRef(name="base", digest=base_digest),
            job_id="job-1",
            method="sft",
            backend="peft",
            quantization="none",
            rank=4,
            alpha=8,
            target_modules=["q_proj", "v_proj"],
            seed=0,
            params={},
            training=SUMMARY,
            packages={},
        )
        self.store.put(adapter_key(ref.name, ref.version), canonical_json(manifest.model_dump(mode="json")))
        return ref

    def admit(self, method: str = "sft", **fields: Any) -> JobSpec:
        dataset = {"sft": self.sft, "kto": self.kto}.get(method, self.dpo).model_dump()
        return self.admission.admit({"method": method, "dataset": dataset, "adapter_name": "fixed", **fields})


@pytest.fixture
def case() -> Case:
    return Case()


def test_defaults_of_sft(case: Case) -> None:
    spec = case.admit()
    assert (spec.lora.rank, spec.lora.alpha, spec.lora.dropout) == (32, 32, 0)
    assert spec.lora.target_modules == TARGET_MODULES
    optimizer = spec.optimizer
    assert (optimizer.learning_rate, optimizer.batch_size, optimizer.gradient_accumulation_steps) == (5e-4, 8, 1)
    assert (optimizer.epochs, optimizer.max_steps, optimizer.warmup_share, optimizer.max_length) == (3, 0, 0.1, 2048)
    assert (optimizer.evaluation_interval_steps, optimizer.early_stopping_patience) == (4, 3)  # a fifth of 23 steps
    assert (spec.quantization, spec.backend, spec.seed) == ("none", "auto", 0)


def test_the_modules_are_those_that_the_base_has(case: Case) -> None:
    phi = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
    case.admission = Admission(case.store, BASE, ["cpu"], projections=phi)
    assert set(case.admit().lora.target_modules) == set(phi)
    assert case.admit(lora={"target_modules": ["qkv_proj"]}).lora.target_modules == ("qkv_proj",)


def test_a_job_is_for_the_base_model_that_the_trainer_holds(case: Case) -> None:
    assert case.admit().base_model == BASE
    assert case.admit(base_model={"name": BASE.name}).base_model == BASE
    for asked in ({"name": "qwen"}, {"name": BASE.name, "digest": "sha256:" + "7" * 64}):
        with pytest.raises(PreconditionError, match="this trainer holds base") as refused:
            case.admit(base_model=asked)
        assert refused.value.metadata["field"] == "base_model"


def test_a_base_model_may_be_named_without_its_digest() -> None:
    """As `burnish train --base-model NAME` does: fields are checked before the trainer fills in its own."""
    fields = {"method": "sft", "adapter_name": "a", "dataset": {"name": "d", "version": "0" * 16}}
    check_fields({**fields, "base_model": {"name": "base"}})


def test_a_job_of_another_base_model_is_not_trained(case: Case) -> None:
    other = BaseModelRef(name="other", digest="sha256:" + "7" * 64)
    case.admit().require_base(BASE)
    with pytest.raises(PreconditionError, match="burnish up --model base"):
        case.admit().require_base(other)


def test_defaults_of_dpo(case: Case) -> None:
    spec = case.admit("dpo")
    assert spec.params == {"beta": 0.1, "initial_adapter": None}
    assert spec.optimizer.learning_rate == 5e-5


@pytest.mark.parametrize("method", get_args(Method))
def test_each_method_has_its_own_defaults(case: Case, method: Method) -> None:
    spec = case.admit(method)
    assert spec.optimizer.learning_rate == METHODS[method].learning_rate
    assert spec.params == METHODS[method].params().model_dump(mode="json")


@pytest.mark.parametrize(
    ("method", "dataset", "advice"),
    [
        ("sft", "dpo", "holds dpo rows and sft learns from sft rows.*--format sft.*train dpo or orpo or simpo"),
        ("kto", "sft", "holds sft rows and kto learns from kto rows.*--format kto.*train sft"),
        ("simpo", "kto", "holds kto rows and simpo learns from dpo rows.*--format dpo.*train kto"),
    ],
)
def test_rows_of_another_format_are_refused(case: Case, method: str, dataset: str, advice: str) -> None:
    with pytest.raises(InvalidInputError, match=advice):
        case.admit(method, dataset=getattr(case, dataset).model_dump())


def test_more_devices_than_there_are_is_refused(case: Case) -> None:
    with pytest.raises(PreconditionError, match="2 are wanted and this trainer can give a job 1"):
        case.admit(device_count=2)
    gpus = Admission(case.store, BASE, ["cuda:0", "cuda:1"])
    fields = {"method": "sft", "dataset": case.sft.model_dump(), "adapter_name": "fixed"}
    spec = gpus.admit({**fields, "device_count": 2, "backend": "unsloth"})
    assert spec.device_count == 2
    assert spec.optimizer.evaluation_interval_steps == 2  # a fifth of the 12 steps in which both take 8 rows
    with pytest.raises(PreconditionError, match="3 are wanted"):
        gpus.admit({**fields, "device_count": 3})


def test_what_can_be_answered_for_is_accepted(case: Case) -> None:
    assert case.admit(accepted_findings=["duplicate-rows"]).accepted_findings == ("duplicate-rows",)


def test_priority_labels_and_deadline() -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    options = queue_options(-100, {"team": "x" * 128}, later)
    assert dict(options) == {"priority": -100, "labels": {"team": "x" * 128}, "deadline": later}
    with pytest.raises(InvalidInputError, match=r"deadline: .*passed already.*future"):
        queue_options(0, {}, datetime.now(UTC))
    with pytest.raises(InvalidInputError, match=r"labels: .*'a b'"):
        queue_options(0, {"a b": ""}, None)


def test_what_is_set_is_kept(case: Case) -> None:
    spec = case.admit(lora={"rank": 16}, optimizer={"max_steps": 3, "early_stopping_patience": 0}, seed=7)
    assert (spec.lora.rank, spec.lora.alpha, spec.seed) == (16, 16, 7)
    assert (spec.optimizer.evaluation_interval_steps, spec.optimizer.early_stopping_patience) == (1, 0)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"lora": {"rank": 0}}, "lora.rank"),
        ({"lora": {"rank": 513}}, "lora.rank"),
        ({"lora": {"alpha": 0}}, "lora.alpha"),
        ({"lora": {"dropout": 1.0}}, "lora.dropout"),
        ({"lora": {"target_modules": ["lm_head"]}}, "lora.target_modules"),
        ({"optimizer": {"learning_rate": 0.0}}, "optimizer.learning_rate"),
        ({"optimizer": {"learning_rate": float("nan")}}, "optimizer.learning_rate"),
        ({"optimizer": {"max_steps": -1}}, "optimizer.max_steps"),
        ({"optimizer": {"epochs": 0.0}}, "optimizer.epochs"),
        ({"optimizer": {"batch_size": 0}}, "optimizer.batch_size"),
        ({"optimizer": {"gradient_accumulation_steps": 0}}, "optimizer.gradient_accumulation_steps"),
        ({"optimizer": {"warmup_share": 1.0}}, "optimizer.warmup_share"),
        ({"optimizer": {"max_length": 0}}, "optimizer.max_length"),
        ({"optimizer": {"evaluation_interval_steps": 0}}, "optimizer.evaluation_interval_steps"),
        ({"optimizer": {"early_stopping_patience": -1}}, "optimizer.early_stopping_patience"),
        ({"adapter_name": ""}, "adapter_name"),
        ({"adapter_name": "../escape"}, "adapter_name"),
        ({"seed": -1}, "seed"),
        ({"dataset": {"name": "colours"}}, "dataset.version"),
        ({"dataset": {"name": "colours", "version": "latest"}}, "dataset.version"),
        ({"dataset": {"name": "a/b", "version": "0" * 16}}, "dataset.name"),
        ({"method": "dpo", "params": {"beta": 0.0}}, "dpo.beta"),
        ({"method": "dpo"}, "dataset"),
        ({"device_count": 0}, "device_count"),
        ({"accepted_findings": ["completion-cutt"]}, "accepted_findings"),
        ({"accepted_findings": ["eos-not-trained"]}, "accepted_findings"),
    ],
)
def test_a_wrong_field_is_named(case: Case, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(BurnishError) as refusal:
        case.admission.admit({"method": "sft", "dataset": case.sft.model_dump(), "adapter_name": "fixed", **fields})
    assert refusal.value.reason == "INVALID_INPUT"
    assert refusal.value.metadata["field"] == field
    assert field.rsplit(".", 1)[-1] in refusal.value.message


def test_all_wrong_fields_are_told_at_once_in_words_of_our_own(case: Case) -> None:
    fields = {
        "adapter_name": "fixed",
        "method": "dpo",
        "params": {"beta": 0.0},
        "dataset": {"name": "colours", "version": "latest"},
        "lora": {"rank": 600, "dropout": 1.0},
        "optimizer": {"epochs": float("nan")},
        "backend": 9,
        "accepted_findings": ["no-such-code"],
    }
    with pytest.raises(InvalidInputError) as refusal:
        case.admission.admit(fields)
    assert dict(refusal.value.violations) == {
        "dpo.beta": "must be above 0, not 0.0",
        "dataset.version": "must match ^[0-9a-f]{16}$, not 'latest'",
        "lora.rank": "must be at most 512, not 600",
        "lora.dropout": "must be below 1, not 1.0",
        "optimizer.epochs": "must be at most 1000, not nan",
        "backend": "must be 'auto', 'peft' or 'unsloth', not 9",
        "accepted_findings": "'no-such-code' is no code of preflight; docs/preflight.md lists them",
    }
    assert refusal.value.metadata == {"field": "dpo.beta"}
    assert pickle.loads(pickle.dumps(refusal.value)).violations == refusal.value.violations


@pytest.mark.parametrize(
    ("optimizer", "field"),
    [
        ({"batch_size": 4096, "gradient_accumulation_steps": 4096}, "optimizer.gradient_accumulation_steps"),
        ({"batch_size": 4096, "gradient_accumulation_steps": 17}, "optimizer.gradient_accumulation_steps"),
        ({"batch_size": 64, "max_steps": 1_000_000}, "optimizer.max_steps"),
        ({"batch_size": 4096, "gradient_accumulation_steps": 16, "max_steps": 200}, "optimizer.max_steps"),
    ],
)
def test_a_run_that_nobody_can_mean_is_refused(case: Case, optimizer: dict[str, int], field: str) -> None:
    with pytest.raises(InvalidInputError, match="at most") as refusal:
        case.admit(optimizer=optimizer)
    assert refusal.value.metadata["field"] == field


def test_a_run_may_be_large(case: Case) -> None:
    case.admit(optimizer={"batch_size": 4096, "gradient_accumulation_steps": 16})
    case.admit(optimizer={"batch_size": 10, "max_steps": 1_000_000})


def test_a_missing_dataset_is_not_found(case: Case) -> None:
    with pytest.raises(NotFoundError, match=r"colours/0000000000000000 does not exist.*dataset ls"):
        case.admit(dataset={"name": "colours", "version": "0" * 16})


def test_a_broken_dataset_manifest_is_data_loss(case: Case) -> None:
    case.store.put(f"datasets/colours/{'1' * 16}/manifest.json", b"{}")
    with pytest.raises(CorruptDataError, match="no dataset manifest"):
        case.admit(dataset={"name": "colours", "version": "1" * 16})


def test_a_continued_adapter_keeps_its_shape(case: Case) -> None:
    spec = case.admit("dpo", params={"initial_adapter": case.adapter.model_dump()})
    assert (spec.lora.rank, spec.lora.alpha, spec.lora.target_modules) == (4, 8, ("q_proj", "v_proj"))
    with pytest.raises(BurnishError, match=r"lora.rank: first/b+ has 4 and the job asks for 32"):
        case.admit("dpo", params={"initial_adapter": case.adapter.model_dump()}, lora={"rank": 32})
    with pytest.raises(BurnishError, match=r"lora.use_dora: first/b+ has False and the job asks for True"):
        case.admit("kto", params={"initial_adapter": case.adapter.model_dump()}, lora={"use_dora": True})


def test_an_adapter_of_another_base_is_refused(case: Case) -> None:
    other = case.put_adapter("sha256:" + "c" * 64)
    with pytest.raises(IncompatibleAdapterError, match="trained on base"):
        case.admit("dpo", params={"initial_adapter": other.model_dump()})


def test_a_missing_adapter_is_not_found(case: Case) -> None:
    for method in ("dpo", "kto"):
        with pytest.raises(NotFoundError, match="adapters ls") as refusal:
            case.admit(method, params={"initial_adapter": {"name": "first", "version": "0" * 16}})
        assert refusal.value.metadata["field"] == f"{method}.initial_adapter"


def test_unsloth_is_refused_where_there_is_no_gpu(case: Case) -> None:
    with pytest.raises(PreconditionError, match="NVIDIA"):
        case.admit(backend="unsloth")
