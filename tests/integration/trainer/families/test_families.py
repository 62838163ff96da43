"""Six model families at tiny random size: preflight, a few steps of SFT, QLoRA and DPO, and the adapter's checks before it is served.

`make bench-families` goes on from there, to vLLM (docs/models.md).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from families.models import BY_NAME, Family, make
from integration.trainer.training.runs import Run, Runner
from unit.trainer.made import dpo_rows, job_spec, put_dataset, sft_rows

from burnish.adapters.base import BaseModel as ServedModel
from burnish.adapters.checks import check_folder, check_manifest
from burnish.objectstores.memory import MemoryObjectStore
from burnish_trainer.preflight.base_model import load_base_model
from burnish_trainer.preflight.examine import check

pytestmark = pytest.mark.model


SMALL = {"max_steps": 6, "evaluation_interval_steps": 6, "batch_size": 4, "learning_rate": 2e-2, "warmup_share": 0.0}


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Family], Path]:
    @cache
    def made(name: str) -> Path:
        folder = tmp_path_factory.mktemp("families") / name
        make(BY_NAME[name], folder)
        return folder

    return lambda family: made(family.name)


@pytest.fixture(params=BY_NAME.values(), ids=BY_NAME)
def family(request: pytest.FixtureRequest) -> Family:
    return request.param


@pytest.fixture
def runner(family: Family, folder_of: Callable[[Family], Path], tmp_path: Path) -> Runner:
    return Runner(folder_of(family), lambda: tmp_path / "job", dtype="float32")


def modules_of(folder: Path) -> tuple[str, ...]:
    return load_base_model(folder).projections


def refusals(folder: Path, method: str) -> list[str]:
    store = MemoryObjectStore()
    rows = sft_rows(60) if method == "sft" else dpo_rows(60)
    spec = job_spec(put_dataset(store, rows), method, lora={"target_modules": modules_of(folder)})
    report = check(spec, load_base_model(folder), store)
    assert report.workload is not None
    assert report.model is not None
    return [f"{found.code}: {found.message}" for found in report.findings if found.severity == "refusal"]


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_preflight_finds_nothing_to_refuse(family: Family, folder_of: Callable[[Family], Path], method: str) -> None:
    assert refusals(folder_of(family), method) == []


def servable(run: Run, folder: Path, tmp_path: Path) -> None:
    """Passes the checks of the inference service."""
    base, manifest = ServedModel.open(folder), run.manifest()
    check_manifest(manifest, base, 32)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    for entry in manifest.files:
        (adapter / entry.path).write_bytes(run._file(entry.path))
    check_folder(adapter, manifest, base, 32)


def test_sft_learns_and_its_adapter_can_be_served(runner: Runner, tmp_path: Path) -> None:
    run = runner.sft(rows=8, validation=[], optimizer=SMALL, lora={"target_modules": modules_of(runner.base_model)})
    losses = run.series("train_loss")
    assert losses[6] < 0.8 * losses[1]
    servable(run, runner.base_model, tmp_path)


def test_qlora_learns(runner: Runner) -> None:
    run = runner.sft(
        rows=8,
        validation=[],
        optimizer=SMALL,
        quantization="nf4",
        lora={"target_modules": modules_of(runner.base_model)},
    )
    losses = run.series("train_loss")
    assert losses[6] < 0.8 * losses[1]


def test_dpo_prefers_the_chosen(runner: Runner, tmp_path: Path) -> None:
    run = runner.dpo(rows=8, validation=[], optimizer=SMALL, lora={"target_modules": modules_of(runner.base_model)})
    losses = run.series("train_loss")
    assert losses[1] == pytest.approx(0.6931, abs=1e-3)
    assert losses[6] < 0.6
    servable(run, runner.base_model, tmp_path)
