"""The whole table of the device's state machine, and what holds in every state that any order of events reaches."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from burnish_inference.device.machine import AFTER, AWAY, Ask, GiveBack, Lease, Phase, Report, State, Tick, step

MINE, RENEWED, OTHER = Lease("job-a", 1, 10.0), Lease("job-a", 2, 20.0), Lease("job-b", 1, 10.0)
WORKING = {Phase.DRAINING, Phase.SLEEPING, Phase.STOPPING, Phase.WAKING, Phase.STARTING}
SUCCESS = {
    Phase.DRAINING: Report.DRAINED,
    Phase.SLEEPING: Report.SLEPT,
    Phase.STOPPING: Report.ENDED,
    Phase.WAKING: Report.WOKEN,
    Phase.STARTING: Report.UP,
}
EVENTS = [Ask(MINE), Ask(RENEWED), Ask(OTHER), GiveBack("job-a"), GiveBack("job-b"), Tick(10.0), Tick(20.0), *Report]

# phase -> (with an ask, after a return or an expiry), from a phase without and with a lease
WISHES = {
    Phase.SERVING: ("draining", None),
    Phase.DRAINING: (None, "serving"),
    Phase.SLEEPING: (None, "sleeping"),
    Phase.ASLEEP: (None, "waking"),
    Phase.STOPPING: ("stopping", "stopping"),
    Phase.STOPPED: (None, "starting"),
    Phase.WAKING: ("waking", "waking"),
    Phase.STARTING: ("stopping", None),
}

# phase, report -> (without a lease, with one); whatever is not here changes nothing
REPORTS = {
    ("serving", "died"): ("starting", None),
    ("draining", "drained"): (None, "sleeping"),
    ("draining", "overdue"): (None, "stopping"),
    ("draining", "died"): (None, "stopping"),
    ("sleeping", "slept"): ("waking", "asleep"),
    ("sleeping", "sleep failed"): ("stopping", "stopping"),
    ("sleeping", "died"): ("stopping", "stopping"),
    ("asleep", "died"): (None, "stopping"),
    ("stopping", "ended"): ("starting", "stopped"),
    ("waking", "woken"): ("serving", "draining"),
    ("waking", "wake failed"): ("stopping", "stopping"),
    ("waking", "died"): ("stopping", "stopping"),
    ("starting", "up"): ("serving", None),
}


def reachable() -> set[State]:
    """Every state from the two of a start, over all events in any order."""
    found = {State(Phase.STARTING), State(Phase.STOPPED, MINE)}
    frontier = list(found)
    while frontier:
        state = frontier.pop()
        for event in EVENTS:
            after = step(state, event)
            if after not in found:
                found.add(after)
                frontier.append(after)
    return found


@pytest.mark.parametrize("phase", Phase)
def test_an_ask_and_a_return_by_phase(phase: Phase) -> None:
    asked, returned = WISHES[phase]
    if asked is not None:
        assert step(State(phase), Ask(MINE)) == State(Phase(asked), MINE)
    if returned is not None:
        assert step(State(phase, MINE), GiveBack("job-a")) == State(Phase(returned))
        assert step(State(phase, MINE), Tick(10.0)) == State(Phase(returned))
    with_lease = State(phase, MINE)
    if with_lease in reachable():
        assert step(with_lease, Tick(9.9)) == with_lease
        assert step(with_lease, Ask(RENEWED)) == State(phase, RENEWED), "a renewal changes the lease alone"
        assert step(with_lease, Ask(OTHER)) == with_lease, "nobody else's ask changes it"
        assert step(with_lease, GiveBack("job-b")) == with_lease


@pytest.mark.parametrize(("phase", "report"), list(product(Phase, Report)), ids=str)
def test_reports_by_phase(phase: Phase, report: Report) -> None:
    expected = REPORTS.get((phase.value, report.value), (phase.value, phase.value))
    for lease, after in zip((None, MINE), expected, strict=True):
        if State(phase, lease) in reachable():
            assert step(State(phase, lease), report) == State(Phase(after or phase.value), lease)
        else:
            assert after is None or (phase.value, report.value) not in REPORTS, f"{phase} with {lease} is not reached"


def test_the_table_above_is_the_whole_of_it() -> None:
    assert {(phase.value, report.value) for phase, report in AFTER} == set(REPORTS)


def test_serving_and_a_grant_exclude_each_other_in_every_state() -> None:
    states = reachable()
    assert {state.phase for state in states} == set(Phase)
    for state in states:
        assert state.is_granted == (state.lease is not None and state.phase in AWAY)
        assert state.phase is not Phase.SERVING or state.lease is None, "who waits for a lease is not forgotten"
        assert state.phase not in AWAY or state.lease is not None, "vLLM is away for somebody only"


def test_a_holder_changes_only_by_a_return_or_an_expiry() -> None:
    for state in reachable():
        if state.lease is None:
            continue
        for event in EVENTS:
            after = step(state, event)
            gone = event == GiveBack(state.lease.holder) or (
                isinstance(event, Tick) and event.now >= state.lease.expires_at
            )
            assert (after.lease is None) == gone, (state, event)
            assert gone or (after.lease is not None and after.lease.holder == state.lease.holder)


@pytest.mark.parametrize("failure", [Report.DIED, None])
def test_from_every_state_serving_comes_back_and_an_ask_is_granted(failure: Report | None) -> None:
    """Whatever happened: after one failure more, operations that succeed lead to the wish in a few steps."""
    for start in reachable():
        first = step(start, failure) if failure else start
        back = settle(step(first, GiveBack(first.lease.holder)) if first.lease else first)
        assert back == State(Phase.SERVING), start
        assert settle(step(first, Ask(MINE))).is_granted, start


@pytest.mark.parametrize("report", [Report.OVERDUE, Report.SLEEP_FAILED, Report.WAKE_FAILED, Report.DIED])
def test_each_failure_leads_round_by_a_stop_and_a_start(report: Report) -> None:
    for state in reachable():
        if (state.phase, report) not in AFTER:
            continue
        after = step(state, report)
        assert after.phase is (Phase.STARTING if state.phase is Phase.SERVING else Phase.STOPPING)
        assert after.lease == state.lease, "a failure of vLLM takes nobody's lease"


def settle(state: State) -> State:
    """All operations succeed until nothing is under way."""
    for _ in range(10):
        if state.phase not in WORKING:
            return state
        state = step(state, SUCCESS[state.phase])
    raise AssertionError(f"{state} does not come to rest")


def test_an_expired_lease_is_anothers_at_once() -> None:
    expired = step(State(Phase.ASLEEP, MINE), Tick(10.0))
    assert step(expired, Ask(OTHER)) == State(Phase.WAKING, OTHER)
    assert settle(step(expired, Ask(OTHER))) == State(Phase.ASLEEP, OTHER)
    assert replace(OTHER, expires_at=10.0) == OTHER
