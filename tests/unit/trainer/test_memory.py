"""What is said and done when a run is out of memory: by how much, what would fit, and what it is tried again with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from unit.trainer.made import job_spec

from burnish.schemas.base import VersionRef
from burnish.schemas.training.tuning import RunEstimate, SmallerRun
from burnish_trainer.executors.assignment import Assignment
from burnish_trainer.worker import memory
from burnish_trainer.worker.memory import Shortage

GB = 10**9
DATASET = VersionRef(name="colours", version="0" * 16)
SAID = (
    "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 22.06 GiB of which 1.19 GiB is free. "
    "Including non-PyTorch memory, this process has 20.86 GiB memory in use. Of the allocated memory 19.00 GiB is allocated by "
    "PyTorch, and 1.20 GiB is reserved by PyTorch but unallocated."
)


def smaller(what: str, peak: float, **fields: Any) -> SmallerRun:
    asked = {"quantization": "none", "rank": 32, "batch_size": 8, "gradient_accumulation_steps": 1, "max_length": 2048}
    return SmallerRun(what=what, peak_memory_bytes=int(peak * GB), **asked | fields)


WAYS = (
    smaller("a batch of 4", 20, batch_size=4, gradient_accumulation_steps=2),
    smaller("rows of 1024 tokens", 14, max_length=1024),
    smaller("4 bits", 12, quantization="nf4"),
    smaller("4 bits, rank 8", 10, quantization="nf4", rank=8),
)


def assignment(retry_smaller: bool, ways: tuple[SmallerRun, ...] = WAYS) -> Assignment:
    estimate = RunEstimate(
        seconds=1,
        load_seconds=1,
        peak_memory_bytes=20 * GB,
        disk_bytes=1,
        steps=1,
        tokens=1,
        basis="a test",
        smaller=ways,
    )
    spec = job_spec(DATASET, retry_smaller=retry_smaller, lora={"rank": 32}, optimizer={"batch_size": 8})
    return Assignment(job_id="job-1", attempt=1, spec=spec, estimate=estimate, base_model=Path("/base"))


def never() -> None:
    pytest.fail("the checkpoints are deleted only if another spec is trained")


def test_torchs_words_and_its_counters_say_how_much_is_missing() -> None:
    short = memory.on_gpu(SAID, "NVIDIA A10", 19 << 30, 20 << 30, 1 << 30)
    assert (short.wanted_bytes, short.missing_bytes) == (int(21.5 * (1 << 30)), (1 << 30) // 2)


def test_room_that_a_limit_of_the_process_forbids_is_none() -> None:
    """`set_per_process_memory_fraction`, or a container's limit: the card has 100 GiB free."""
    short = memory.on_gpu(SAID, "NVIDIA A10", 19 << 30, 20 << 30, 100 << 30)
    assert (short.room_bytes, short.missing_bytes) == (20 << 30, 3 << 29)


def test_a_real_failure_on_the_cpu_is_recognised() -> None:
    with pytest.raises(RuntimeError) as failed:
        torch.empty(1 << 60, dtype=torch.uint8)
    short = memory.shortage(failed.value)
    assert short is not None
    assert short.missing_bytes > 1 << 59
    assert memory.shortage(RuntimeError("something else")) is None


def test_the_failure_says_by_how_much_and_what_would_fit() -> None:
    """The estimate was 20 GB and 24 were wanted, so each way is taken to need 1.2 times its own."""
    failed = memory.failure(Shortage("NVIDIA A10", 24 * GB, 22 * GB), assignment(retry_smaller=False), never)
    assert (failed.retry, failed.changed_spec) == (False, None)
    assert failed.error["message"] == (
        "out of memory: the run wanted at least 24.00 GB and NVIDIA A10 has room for 22.00 GB, 2.00 GB less; by the estimate "
        "would fit: rows of 1024 tokens; or 4 bits; or 4 bits, rank 8"
    )
    assert failed.error["metadata"]["missing_bytes"] == str(2 * GB)


def test_a_job_that_allows_it_is_trained_again_with_all_its_rows_and_its_rank() -> None:
    restarted: list[bool] = []
    asked = assignment(retry_smaller=True)
    failed = memory.failure(Shortage("NVIDIA A10", 24 * GB, 22 * GB), asked, lambda: restarted.append(True))
    assert failed.retry
    assert restarted == [True]
    assert failed.error["message"].endswith("it is trained once more, from the start, with 4 bits")
    changed = failed.changed_spec
    assert changed is not None
    assert (changed.quantization, changed.retry_smaller) == ("nf4", False)
    assert changed.model_copy(update={"quantization": "none", "retry_smaller": True}) == asked.spec


@pytest.mark.parametrize("ways", [(), WAYS[3:]])
def test_nothing_that_fits_is_not_tried(ways: tuple[SmallerRun, ...]) -> None:
    failed = memory.failure(Shortage("a GPU", 30 * GB, 8 * GB), assignment(True, ways), never)
    assert not failed.retry
    assert "nothing smaller would fit" in failed.error["message"]
