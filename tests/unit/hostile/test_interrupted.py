"""A hostile round that somebody ends early shows what it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

import psutil
import pytest
from hostile import kills
from hostile.figures import Figure, table
from hostile.round import worked
from hostile.traffic import Ledger


class HitTwice:
    """In place of a Killer. The next hit is interrupted."""

    def __init__(self) -> None:
        self.hits = Counter({"SIGKILL worker": 2})
        self.restarts_by_hand, self.tracebacks = 0, list[str]()

    def hit(self, count: int) -> None:
        raise KeyboardInterrupt

    def start_if_down(self) -> None: ...

    def read_logs(self) -> None: ...


class Sent:
    """In place of a Traffic."""

    def __init__(self) -> None:
        self.ledger = Ledger(imports={"a": 1, "b": 2}, jobs={"train-0": "job-0"})

    def end(self) -> None: ...

    def unfinished(self) -> list[str]:
        return []


class Sleeper:
    """In place of a process. It cannot be stopped, since it ends first."""

    pid = 0

    def kill(self) -> None: ...

    def wait(self, timeout: float | None = None) -> int:
        return 0

    def suspend(self) -> None:
        raise psutil.NoSuchProcess(self.pid)


class Healthy:
    """In place of a stack. It cannot be asked for what it has: that is interrupted, or fails."""

    def __init__(self, failure: BaseException) -> None:
        self._failure = failure

    def wait_healthy(self) -> bool:
        return True

    def curator(self) -> Any:
        raise self._failure


def shown(failure: BaseException) -> dict[str, Figure]:
    """The figures that came before the interruption."""
    found: dict[str, Figure] = {}
    figures = kills.figures(cast(Any, Healthy(failure)), cast(Any, Sent()), cast(Any, HitTwice()), 100)
    with pytest.raises(KeyboardInterrupt):
        found.update((each.name, each) for each in figures)
    return found


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError("no answer")])
def test_kills_show_what_was_accepted_and_claim_nothing_that_nobody_looked_for(failure: BaseException) -> None:
    found = shown(failure)
    assert found["accepted: imports"].value == 2
    assert found["accepted: jobs trained"].value == 1
    assert found["processes killed or stopped"].value == 2
    assert found["processes killed or stopped"].is_missed  # 100 were asked for
    assert found["accepted: evaluations"].is_missed  # there was none to lose
    assert not {"accepted and lost", "doubled"} & set(found)
    assert found["errors of the round itself"].value == isinstance(failure, OSError)


def test_a_killer_hits_as_often_as_it_is_told() -> None:
    """Also if some of the processes are gone when they are to be hit."""

    class Processes(Healthy):
        asked = 0

        def log_watch(self) -> None: ...

        def was_given_up(self) -> bool:
            return False

        def processes(self) -> dict[str, list[Sleeper]]:
            self.asked += 1
            return {"worker": [Sleeper()], "whole": [Sleeper()]} if self.asked % 2 else {}

    killer = kills.Killer(cast(Any, Processes(OSError())), seed=1, pause_seconds=0.001)
    killer.hit(10)
    assert killer.hits.total() == 10


def test_a_bar_is_shown_and_missed_from_below_too() -> None:
    missed, kept = Figure("kills", "accepted: jobs trained", 0, at_least=1), Figure("kills", "x", 1, at_least=1)
    assert (missed.is_missed, kept.is_missed) == (True, False)
    assert ">= 1  MISSED" in table([missed])


def test_a_round_that_is_interrupted_shows_what_its_parts_have() -> None:
    def interrupted() -> Iterator[Figure]:
        yield Figure("kills", "accepted: imports", 2)
        raise KeyboardInterrupt

    def failing() -> list[Figure]:
        raise OSError("no answer")

    figures = worked({"calls": failing, "kills": interrupted, "fuzz": lambda: pytest.fail("called")}, print)
    assert [figure.name for figure in figures] == ["ended by an error", "accepted: imports", "interrupted"]
    assert figures[-1].is_missed
    assert "in kills" in table(figures)
