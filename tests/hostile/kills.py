"""Part 4: SIGKILL and SIGSTOP at random over every process of a stack, with work in flight. What was accepted is there once afterwards.

The stack is the embedded one, or containers (`--target compose`).
"""

from __future__ import annotations

import random
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import psutil
from hostile.compose import ComposeStack
from hostile.figures import Figure, counted
from hostile.stack import Stack
from hostile.traffic import Audit, Traffic, audit

# Of 25; the whole last: the supervisor, after which a person starts the stack again, or a container. No part is hit more often than it is restarted by itself.
MIX = (
    *["objectstore"] * 3, *["curator"] * 4, *["trainer"] * 4, *["worker"] * 6, *["checker"] * 3, *["inference"] * 1, *["vllm"] * 3,
)  # fmt: skip
STOPPED_SHARE = 0.3
STAY_STOPPED_SHARE = 0.2  # of those stopped: they never go on, and somebody must notice
LONGEST_STOP_SECONDS = 8.0
TRIES = 3  # a hit
JOBS_SECONDS = 600.0  # for the jobs that are under way at the end: each needs two processes that load torch


class Killer:
    def __init__(self, stack: Stack | ComposeStack, seed: int, pause_seconds: float) -> None:
        """pause_seconds: between two hits, on average."""
        self.hits: Counter[str] = Counter()
        self.restarts_by_hand = 0
        self.tracebacks: list[str] = []
        self._stack = stack
        self._dice = random.Random(seed)
        self._pause_seconds = pause_seconds
        self._stopped: list[threading.Timer] = []
        self._logs = stack.log_watch()

    def hit(self, count: int) -> None:
        """Until so many were hit; what is not there cannot be."""
        try:
            for kind in islice(self._kinds(count), TRIES * count):
                if self.hits.total() >= count:
                    break
                time.sleep(self._dice.expovariate(1 / self._pause_seconds))
                self._strike(kind)
                self.start_if_down()
        finally:
            for timer in self._stopped:
                timer.join()

    def _kinds(self, count: int) -> Iterator[str]:
        """The whole ends each block, also a short one."""
        while True:
            yield from self._dice.sample(MIX, len(MIX))[: count - 1]
            yield "whole"

    def _strike(self, kind: str) -> None:
        """One process of the kind; of any other but a whole if there is none just now."""
        living = self._stack.processes()
        victims = living.get(kind) or [one for name, some in living.items() if name != "whole" for one in some]
        if not victims:
            return
        victim = self._dice.choice(victims)
        name = next(name for name, some in living.items() if victim in some)
        with suppress(psutil.NoSuchProcess):
            if name == "whole" or self._dice.random() >= STOPPED_SHARE:
                victim.kill()
                psutil.wait_procs([victim], timeout=10)
                self.hits[f"SIGKILL {name}"] += 1
                return
            victim.suspend()
            self.hits[f"SIGSTOP {name}"] += 1
            if self._dice.random() >= STAY_STOPPED_SHARE:
                timer = threading.Timer(self._dice.uniform(0.5, LONGEST_STOP_SECONDS), _go_on, [victim])
                timer.start()
                self._stopped.append(timer)

    def start_if_down(self) -> None:
        """As a person does."""
        if not self._stack.was_given_up():
            return
        self.restarts_by_hand += 1
        self.read_logs()  # a start puts them aside, and the ones before away
        time.sleep(self._dice.uniform(0, 2))
        self._stack.start_again()

    def read_logs(self) -> None:
        self.tracebacks += self._logs.tracebacks()


def _go_on(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.resume()


def run(stack: Stack | ComposeStack, count: int, seed: int, pause_seconds: float) -> Iterator[Figure]:
    yield from figures(stack, Traffic(stack, seed), Killer(stack, seed, pause_seconds), count)


@dataclass
class Aftermath:
    """What was seen after the last hit. None: nobody looked for so long. errors: of the round itself."""

    healthy_after_seconds: float | None = None
    broken: list[str] = field(default_factory=list)
    audit: Audit | None = None
    errors: list[str] = field(default_factory=list)


def figures(stack: Stack | ComposeStack, traffic: Traffic, killer: Killer, count: int) -> Iterator[Figure]:
    """Also if it was interrupted: the first KeyboardInterrupt ends the hits, the next one the search for what was accepted; then it is raised."""
    after, began = Aftermath(), time.monotonic()
    is_interrupted = _is_interrupted(partial(killer.hit, count), after.errors)
    yield Figure(
        "kills",
        "processes killed or stopped",
        killer.hits.total(),
        examples=sorted(f"{number} {name}" for name, number in killer.hits.items()),
        at_least=count,
    )
    yield Figure("kills", "duration", round(time.monotonic() - began, 1), unit="s")
    is_interrupted |= _is_interrupted(partial(_look, stack, traffic, killer, after), after.errors)
    yield Figure("kills", "starts by hand", killer.restarts_by_hand)
    if after.healthy_after_seconds is not None:
        yield Figure("kills", "until healthy again", round(after.healthy_after_seconds, 1), unit="s")
        yield counted("kills", "parts not healthy afterwards", after.broken)
    yield from _accepted(traffic)
    if after.audit is not None:
        yield counted("kills", "accepted and lost", after.audit.lost)
        yield counted("kills", "doubled", after.audit.doubled)
    yield counted("kills", "answers that are neither whole nor 503", traffic.ledger.defects)
    yield counted("kills", "errors of the round itself", after.errors)
    yield counted("kills", "tracebacks in logs", killer.tracebacks, at_most=None)
    if is_interrupted:
        raise KeyboardInterrupt


def _look(stack: Stack | ComposeStack, traffic: Traffic, killer: Killer, after: Aftermath) -> None:
    """Wait until the stack is healthy and the accepted jobs have ended, then look for everything that was accepted."""
    began = time.monotonic()
    killer.start_if_down()
    after.broken = [] if stack.wait_healthy() else stack.broken()
    after.healthy_after_seconds = time.monotonic() - began
    traffic.end()
    deadline = time.monotonic() + JOBS_SECONDS
    while traffic.unfinished() and time.monotonic() < deadline:
        time.sleep(1)
    after.audit = audit(stack, traffic)
    killer.read_logs()


def _accepted(traffic: Traffic) -> Iterator[Figure]:
    """Of each kind there must have been something to lose."""
    ledger = traffic.ledger
    trained = sum(name.startswith("train-") for name in ledger.jobs)
    yield Figure("kills", "accepted: imports", len(ledger.imports), at_least=1)
    yield Figure("kills", "accepted: corrections", len(ledger.reviews), at_least=1)
    yield Figure("kills", "accepted: evaluations", len(ledger.evals), at_least=1)
    yield Figure("kills", "accepted: jobs trained", trained, at_least=1)
    yield Figure("kills", "accepted: jobs paused", len(ledger.paused), at_least=1)
    yield Figure("kills", "answered: chats", ledger.chats, at_least=1)
    yield Figure("kills", "sent again", ledger.unanswered.total(), examples=[str(ledger.unanswered)])


def _is_interrupted(work: Callable[[], None], errors: list[str]) -> bool:
    """True if somebody ended it. What it raises is put into errors."""
    try:
        work()
    except KeyboardInterrupt:
        return True
    except Exception:
        errors.append(traceback.format_exc())
    return False
