"""The model card: read back as Hugging Face's hub reads it, and complete."""

from __future__ import annotations

from typing import Any

import pytest
from huggingface_hub import ModelCard
from unit.trainer.made import put_dataset, sft_rows

from burnish.layout import dataset as dataset_key
from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.adapter import AdapterManifest, TrainingSummary
from burnish.schemas.base import BaseModelRef, Parent
from burnish.schemas.dataset import DatasetManifest
from burnish.schemas.training.job import hyperparameters_of
from burnish.schemas.training.methods import METHODS, Method
from burnish.schemas.training.tuning import Finding, RunEstimate, RunMeasurement
from burnish_trainer.artifacts.model_card import model_card


def manifest(**changes: Any) -> AdapterManifest:
    fields: dict[str, Any] = {
        "name": "colours",
        "version": "0123456789abcdef",
        "base_model": BaseModelRef(name="small: model", digest="sha256:aa"),
        "job_id": "job-1",
        "method": "sft",
        "backend": "peft",
        "quantization": "none",
        "rank": 24,
        "alpha": 24,
        "target_modules": ["q_proj", "v_proj"],
        "seed": 3,
        "params": {
            "optimizer": {"learning_rate": 1e-4, "batch_size": 8, "gradient_accumulation_steps": 2},
            "params": {},
        },
        "training": TrainingSummary(
            steps=40,
            best_step=32,
            first_train_loss=2.0,
            final_train_loss=0.5,
            best_validation_loss=0.7,
            trained_tokens=4096,
            duration_seconds=60,
            peak_memory_bytes=10**9,
            stopped_early=True,
        ),
        "findings": [Finding(code="few-rows", severity="warning", message="only 12 rows | more generalise")],
        "estimate": RunEstimate(
            seconds=55,
            load_seconds=2,
            peak_memory_bytes=2 * 10**9,
            disk_bytes=1,
            steps=40,
            tokens=5000,
            basis="1 like run",
        ),
        "measured": RunMeasurement(
            seconds=61.25, load_seconds=1.5, peak_memory_bytes=19 * 10**8, tokens=4900, queue_seconds=0.5
        ),
        "packages": {"torch": "2.13.0", "peft": "0.21.2"},
        "parents": [Parent(kind="dataset", name="colours", digest="feed")],
    }
    return AdapterManifest.model_validate(fields | changes)


def dataset() -> DatasetManifest:
    store = MemoryObjectStore()
    ref = put_dataset(store, sft_rows(12), sft_rows(3, "v"))
    return DatasetManifest.model_validate_json(store.get(dataset_key(ref.name, ref.version)))


def header(card: str) -> dict[str, Any]:
    """As huggingface_hub parses it."""
    fields: dict[str, Any] = ModelCard(card).data.to_dict()  # type: ignore[no-untyped-call]
    return fields


def test_the_hub_reads_its_header() -> None:
    assert header(model_card(manifest(), dataset(), "Apache-2.0")) == {
        "base_model": "small: model",
        "base_model_relation": "adapter",
        "library_name": "peft",
        "license": "apache-2.0",
        "pipeline_tag": "text-generation",
        "tags": ["lora", "sft", "burnish"],
    }


@pytest.mark.parametrize(
    ("licence", "said"),
    [
        (None, {}),
        ("Our own: for research only", {"license": "other", "license_name": "Our own: for research only"}),
    ],
)
def test_a_licence_that_the_hub_does_not_know(licence: str | None, said: dict[str, str]) -> None:
    text = model_card(manifest(), licence=licence)
    assert {name: value for name, value in header(text).items() if name.startswith("license")} == said
    assert ("names no licence: look it up" in text) is (licence is None)


def test_it_says_all_that_somebody_needs_to_judge_it() -> None:
    text = model_card(manifest(), dataset(), "apache-2.0")
    for heading in (
        "Intended use",
        "Data",
        "Method",
        "Training",
        "Warnings",
        "How to serve",
        "Limits",
        "Every parameter",
    ):
        assert f"## {heading}\n" in text
    for said in (
        "| trained on | 12 |",
        "| validation | 3 |",
        "| rank | 24 |",
        "| learning_rate | 0.0001 |",
        "| batch_size | 8 rows |",
        "| warmup_share | unknown |",
        "| scale of the adapter | alpha / rank |",
        "| steps (of which best) | 40 (32), stopped early |",
        "| training, evaluations and checkpoints | 61.2 s | 55.0 s |",
        "| peak memory | 1900 MB | 2000 MB |",
        "Estimated from: 1 like run.",
        "- **few-rows**: only 12 rows",
        "--max-lora-rank 32 ",
        "digest `sha256:aa`",
    ):
        assert said in text, said


@pytest.mark.parametrize("method", METHODS)
def test_every_hyperparameter_of_the_method_is_in_it(method: Method) -> None:
    initial = {"initial_adapter": {"name": "first", "version": "0" * 16}, "beta": 0.25, "gamma": 0.5}
    text = model_card(manifest(method=method, params={"params": initial, "backend": "auto", "device_count": 2}))
    for group in hyperparameters_of(method).values():
        assert all(f"\n| {name} | " in text for name in group)
    assert "| target_modules | q_proj, v_proj |" in text
    assert "| device_count | 2 GPUs |" in text
    if method == "dpo":
        assert "| initial_adapter | first@0000000000000000 |" in text
        assert "| beta | 0.25 |" in text


def test_what_is_not_known_is_left_out() -> None:
    text = model_card(manifest(estimate=None, measured=None, findings=[]))
    assert "cost" not in text
    assert "| trained on |" not in text
    assert "None, before or during the run." in text
    assert "| – |" in model_card(manifest(estimate=None)), "measured, and nothing was estimated"


def test_variants_are_named_and_what_vllm_does_not_take_is_said() -> None:
    assert "A weight-decomposed QLoRA (DoRA) adapter" in (
        text := model_card(manifest(quantization="nf4", use_dora=True))
    )
    assert "vLLM does not load DoRA" in text
    assert "Trained on 4-bit weights" in text
    assert "alpha / √rank (rsLoRA)" in model_card(manifest(use_rslora=True))
    assert "This is its checkpoint of step 20." in model_card(manifest(checkpoint_step=20))
