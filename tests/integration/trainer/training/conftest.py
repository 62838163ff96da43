"""Runs on the small random base model, and one trained and one stopped SFT run that several tests look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from integration.trainer.training.runs import Run, Runner


@pytest.fixture(scope="session")
def runner(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(tiny_base, lambda: tmp_path_factory.mktemp("job"))


@pytest.fixture(scope="session")
def fp32_runner(runner: Runner) -> Runner:
    return replace(runner, dtype="float32")


@pytest.fixture(scope="session")
def trained(runner: Runner) -> Run:
    """SFT with validation over three passes of ten rows, so that the order of rows matters to whoever resumes it."""
    return runner.sft(
        rows=10, optimizer={"max_steps": 8, "evaluation_interval_steps": 3, "batch_size": 4, "learning_rate": 1e-2}
    )
