"""Part 4: SIGKILL and SIGSTOP at random over every process of a stack, with work in flight. What was accepted is there once afterwards.

The stack is the embedded one, or containers (`--target compose`).
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import psutil
from hostile.compose import ComposeStack
from hostile.figures import Figure, counted
from hostile.stack import Stack
from hostile.traffic import Traffic, audit

# Of 25; the whole last: the supervisor, after which a person starts the stack again, or a container. No part is hit more often than it is restarted by itself.
MIX = (
    *["objectstore"] * 3, *["curator"] * 4, *["trainer"] * 4, *["worker"] * 6, *["checker"] * 3, *["inference"] * 1, *["vllm"] * 3,
)  # fmt: skip
STOPPED_SHARE = 0.3
STAY_STOPPED_SHARE = 0.2  # of those stopped: they never go on, and somebody must notice
LONGEST_STOP_SECONDS = 8.0
JOBS_SECONDS = 180.0


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
        for kind in self._kinds(count):
            time.sleep(self._dice.expovariate(1 / self._pause_seconds))
            self._strike(kind)
            self.start_if_down()
        for timer in self._stopped:
            timer.join()

    def _kinds(self, count: int) -> Iterator[str]:
        while count > 0:
            block = [*self._dice.sample(MIX, len(MIX))][: count - 1]
            yield from block
            yield "whole"
            count -= len(block) + 1

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


def run(stack: Stack | ComposeStack, count: int, seed: int, pause_seconds: float) -> list[Figure]:
    began = time.monotonic()
    traffic, killer = Traffic(stack, seed), Killer(stack, seed, pause_seconds)
    killer.hit(count)
    killed_seconds = time.monotonic() - began
    recovering = time.monotonic()
    killer.start_if_down()
    broken = [] if stack.wait_healthy() else stack.broken()
    recovered_seconds = time.monotonic() - recovering
    traffic.end()
    deadline = time.monotonic() + JOBS_SECONDS
    while traffic.unfinished() and time.monotonic() < deadline:
        time.sleep(1)
    found, ledger = audit(stack, traffic), traffic.ledger
    killer.read_logs()
    hits = sorted(f"{number} {name}" for name, number in killer.hits.items())
    return [
        Figure("kills", "processes killed or stopped", killer.hits.total(), examples=hits),
        Figure("kills", "starts by hand", killer.restarts_by_hand),
        Figure("kills", "duration", round(killed_seconds, 1), unit="s"),
        Figure("kills", "until healthy again", round(recovered_seconds, 1), unit="s"),
        Figure("kills", "accepted: imports", len(ledger.imports)),
        Figure("kills", "accepted: corrections", len(ledger.reviews)),
        Figure("kills", "accepted: evaluations", len(ledger.evals)),
        Figure("kills", "accepted: jobs trained", sum(name.startswith("train-") for name in ledger.jobs)),
        Figure("kills", "accepted: jobs paused", len(ledger.paused)),
        Figure("kills", "answered: chats", ledger.chats),
        Figure("kills", "sent again", ledger.unanswered.total(), examples=[str(ledger.unanswered)]),
        counted("kills", "accepted and lost", found.lost),
        counted("kills", "doubled", found.doubled),
        counted("kills", "answers that are neither whole nor 503", ledger.defects),
        counted("kills", "parts not healthy afterwards", broken),
        counted("kills", "tracebacks in logs", killer.tracebacks, at_most=None),
    ]
