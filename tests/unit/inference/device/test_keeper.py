"""The lease with a scripted engine: every death at every step, and what a job and a caller see of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from unit.inference.device.scripted_engine import CARD, JOB, Service

from burnish.errors import DeviceLentError, UnavailableError
from burnish.schemas.device import LeaseRequest
from burnish_inference.device.keeper import HEADROOM, is_enough
from burnish_inference.device.lease_file import NAME, LeaseFile
from burnish_inference.device.machine import Phase

# phase -> how it is reached: what halts there, and whether the job asks, and gives back
STEPS = {
    Phase.STARTING: ({"start"}, False, False),
    Phase.SERVING: (set(), False, False),
    Phase.DRAINING: (set(), True, False),  # a request is under way
    Phase.SLEEPING: ({"sleep"}, True, False),
    Phase.ASLEEP: (set(), True, False),
    Phase.STOPPING: ({"stop"}, True, False),
    Phase.STOPPED: (set(), True, False),
    Phase.WAKING: ({"wake"}, True, True),
}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    service = Service(tmp_path)
    await service.start()
    yield service
    await service.die()


async def bring_to(service: Service, phase: Phase, ttl: float) -> None:
    halted, asks, gives_back = STEPS[phase]
    if phase is not Phase.STARTING:
        await service.until_serving()
    else:
        service.engine.die()
    service.engine.halted |= halted
    if phase in (Phase.STOPPING, Phase.STOPPED):
        service.engine.failing.add("sleep")
    if phase is Phase.DRAINING:
        await service.gate.enter()
    if asks:
        await service.ask(ttl=ttl)
    if gives_back:
        await service.until(Phase.ASLEEP)
        await service.keeper.give_back("job-a")
    await service.until(phase)


def let_go(service: Service, phase: Phase) -> None:
    service.engine.halted.clear()
    service.engine.failing.clear()
    if phase is Phase.DRAINING:
        service.gate.leave()


@pytest.mark.parametrize("phase", STEPS)
async def test_the_engine_dies(service: Service, phase: Phase) -> None:
    await bring_to(service, phase, ttl=60)
    holder = service.state.lease.holder if service.state.lease else None
    service.engine.die()
    service.check()
    let_go(service, phase)
    if holder:
        await service.until_granted(holder)
    await service.keeper.give_back("job-a")
    await service.until_serving()


@pytest.mark.parametrize("phase", STEPS)
async def test_the_service_dies(service: Service, phase: Phase) -> None:
    await bring_to(service, phase, ttl=60)
    holder = service.state.lease.holder if service.state.lease else None
    await service.die()
    await service.start()
    assert (service.state.lease.holder if service.state.lease else None) == holder
    if holder:
        assert service.state.phase is Phase.STOPPED
        assert service.engine.calls == [], "it is not started on a card that a job has"
        with pytest.raises(DeviceLentError):
            await service.gate.enter()
        assert (await service.ask(holder)).granted
        await service.keeper.give_back(holder)
    await service.until_serving()


@pytest.mark.parametrize("phase", STEPS)
async def test_the_trainer_dies(service: Service, phase: Phase) -> None:
    """It renews nothing, and the lease ends by itself."""
    await bring_to(service, phase, ttl=0.2)
    if service.state.lease is None:
        await service.ask(ttl=0.2)
    async with asyncio.timeout(20):
        while service.state.lease is not None:
            await asyncio.sleep(0.005)
    let_go(service, phase)
    await service.until_serving()


@pytest.mark.parametrize("phase", STEPS)
async def test_service_and_trainer_die(service: Service, phase: Phase) -> None:
    await bring_to(service, phase, ttl=0.2)
    await service.die()
    await service.start()
    await service.until_serving()


@pytest.mark.parametrize("phase", STEPS)
async def test_the_worker_dies(service: Service, phase: Phase) -> None:
    """Its trainer gives the card back at that moment, twice."""
    await bring_to(service, phase, ttl=60)
    await service.keeper.give_back("job-a")
    let_go(service, phase)
    await service.keeper.give_back("job-a")
    await service.until_serving()
    assert service.state.lease is None


@pytest.mark.parametrize("phase", STEPS)
async def test_another_job_asks(service: Service, phase: Phase) -> None:
    """It waits for as long as the first one has or wants the card, and no longer."""
    await bring_to(service, phase, ttl=60)
    is_taken = service.state.lease is not None
    answer = await service.ask("job-b")
    assert answer.needed
    assert answer.granted is False
    assert answer.device.holder == ("job-a" if is_taken else "job-b")
    await service.keeper.give_back("job-a")
    let_go(service, phase)
    await service.until_granted("job-b")
    await service.keeper.give_back("job-b")
    await service.until_serving()


@pytest.mark.parametrize("operation", ["sleep", "wake"])
async def test_an_operation_that_fails_ends_in_a_restart(service: Service, operation: str) -> None:
    await service.until_serving()
    service.engine.failing.add(operation)
    await service.until_granted()
    assert service.state.phase is (Phase.STOPPED if operation == "sleep" else Phase.ASLEEP)
    await service.keeper.give_back("job-a")
    await service.until_serving()
    after = ["stop", "start"] if operation == "sleep" else ["wake", "stop", "start"]
    assert service.engine.calls == ["start", "sleep", *after]


async def test_the_usual_way(service: Service) -> None:
    await service.until_serving()
    await service.until_granted()
    answer = await service.ask()
    assert answer.granted
    assert answer.device.phase == "asleep"
    assert answer.device.free_bytes == 24
    assert 0 <= (answer.device.held_seconds or -1) < 20
    assert 0 < (answer.device.expires_seconds or 0) <= 60
    status = await service.keeper.give_back("job-b")
    assert status.is_granted, "of another job it is not given back"
    await service.keeper.give_back("job-a")
    await service.until_serving()
    assert service.engine.calls == ["start", "sleep", "wake"]
    assert 0 < service.keeper.lent_seconds < 20


async def test_sleep_that_frees_nothing_is_no_sleep(service: Service) -> None:
    await service.until_serving()
    service.engine.keeps_memory_asleep = True
    await service.until_granted()
    assert service.engine.calls == ["start", "sleep", "stop"]


async def test_a_job_of_unknown_need_gets_the_whole_card(service: Service) -> None:
    await service.until_serving()
    assert (await service.ask(size=None)).needed
    await service.until(Phase.STOPPED)
    assert service.engine.calls[-1] == "stop"


async def test_requests_that_do_not_end_are_broken_off_with_the_engine(tmp_path: Path) -> None:
    service = Service(tmp_path, drain_seconds=0.05)
    await service.start()
    await service.until_serving()
    await service.gate.enter()
    await service.ask()
    await service.until(Phase.STOPPED)
    assert "sleep" not in service.engine.calls
    await service.die()


async def test_requests_under_way_end_first_and_new_ones_are_sent_away(service: Service) -> None:
    await service.until_serving()
    await service.gate.enter()
    await service.ask()
    assert service.state.phase is Phase.DRAINING
    with pytest.raises(DeviceLentError, match=r"job-a .*ask again in 10 s"):
        await service.gate.enter()
    assert service.engine.calls == ["start"]
    service.gate.leave()
    await service.until(Phase.ASLEEP)


async def test_no_lease_is_needed_beside_the_engine_or_on_other_cards(service: Service) -> None:
    await service.until_serving()
    beside = await service.ask(size=3)
    assert (beside.needed, beside.granted, beside.may_start) == (False, False, True)
    other = await service.keeper.ask(LeaseRequest(holder="job-a", devices=["GPU-2"], ttl_seconds=9))
    assert other.may_start
    assert service.state.lease is None
    both = await service.keeper.ask(
        LeaseRequest(holder="job-a", devices=["GPU-2", CARD], size_bytes=JOB, ttl_seconds=9)
    )
    assert not both.may_start


async def test_the_result_of_an_operation_given_up_counts_for_nothing(service: Service) -> None:
    await bring_to(service, Phase.SLEEPING, ttl=60)
    service.engine.die()
    await service.until(Phase.STOPPED)
    await service.keeper.give_back("job-a")
    await service.until_serving()
    await service.ask("job-b")
    await service.until(Phase.SLEEPING)
    assert [task.get_name() for task in asyncio.all_tasks()].count("device sleeping") == 1


async def test_a_lease_that_expires_while_the_service_starts(tmp_path: Path) -> None:
    """The engine was held for it, and the keeper finds none any more."""
    service = Service(tmp_path)
    LeaseFile(tmp_path).write("job-a", JOB, 60)
    starting = asyncio.create_task(service.start())
    await asyncio.sleep(0)
    LeaseFile(tmp_path, lambda: -1e9).write("job-a", JOB, 0)
    await starting
    await service.until_serving()
    await service.die()


async def test_what_cannot_be_written_is_not_granted(service: Service, tmp_path: Path) -> None:
    await service.until_serving()
    (tmp_path / f"{Path(NAME).stem}.new").mkdir()
    with pytest.raises(UnavailableError, match="cannot be written"):
        await service.ask()
    assert service.state.lease is None


def test_a_torn_or_expired_file_is_no_lease(tmp_path: Path) -> None:
    now = 1000.0
    file = LeaseFile(tmp_path, lambda: now)
    assert file.read() is None
    file.write("job-a", None, 30)
    assert file.read() == ("job-a", None, 30)
    now = 1031.0
    assert file.read() is None
    now = 0.0  # the clock was set back
    assert file.read() == ("job-a", None, 1030)
    (tmp_path / NAME).write_text('{"holder": "job-')
    assert file.read() is None
    file.remove()
    file.remove()


def test_an_estimate_has_room_to_err() -> None:
    assert is_enough(int(10 * HEADROOM), 10)
    assert not is_enough(10, 10)
    assert not is_enough(None, 10)
    assert not is_enough(10, None)
