"""For how long a worker may stay on a device that serving lent."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from unit.trainer.scheduler.jobs import job

from burnish.schemas.training.tuning import RunEstimate
from burnish_trainer.preflight.estimate import CUDA_CONTEXT_BYTES
from burnish_trainer.scheduler.device_lease import DeviceLeases, Hold, needed_bytes


@pytest.mark.parametrize(
    ("renewed_at", "is_lost", "now", "left"),
    [
        (None, False, 1e9, None),  # no lease is needed
        (1000.0, False, 1000.0, None),
        (1000.0, False, 1059.9, None),
        (1000.0, False, 1060.0, 60.0),
        (1000.0, False, 1119.0, 1.0),
        (1000.0, False, 1500.0, 0.0),
        (1000.0, True, 1001.0, 0.0),
    ],
)
def test_a_worker_stays_while_the_lease_is_renewed(
    renewed_at: float | None, is_lost: bool, now: float, left: float | None
) -> None:
    assert Hold(120.0, renewed_at, is_lost).seconds_left(now) == left


async def test_a_job_without_a_device_asks_serving_for_nothing() -> None:
    serving = Mock(spec_set=["ask", "give_back"])
    async with DeviceLeases(Mock(), serving, {}, 120.0).held(job(devices=[]), lambda _: True) as (_, hold):
        assert hold.seconds_left(1e9) is None
    assert serving.mock_calls == []


def test_a_gpu_must_have_room_for_the_drivers_part_too() -> None:
    """A job that fits beside vLLM without it would run out of memory there."""
    estimate = RunEstimate(
        seconds=1, load_seconds=1, peak_memory_bytes=1000, disk_bytes=1, steps=1, tokens=1, basis="a test"
    )
    assert needed_bytes(estimate, ["cpu"]) == 1000
    assert needed_bytes(estimate, ["cuda:1"]) == 1000 + CUDA_CONTEXT_BYTES
    assert needed_bytes(None, ["cuda:0"]) is None
