"""`make hostile`: a bounded hostile round against an embedded stack of its own, in five parts; at most 15 minutes on two cores.

Prints one table, keeps it as JSON with examples of what was found in .cache/hostile/, and ends with 1 if a bar is missed.
    make hostile ARGS="--seed 7 --kills 25 --parts kills"
    make hostile ARGS="--target compose --parts kills"      the containers instead, whose images are built (docs/security.md)
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from hostile import calls, compose, fuzz, kills, races, slow
from hostile.figures import Figure, counted, table
from hostile.stack import StartFailed, running

from burnish_client.stack import control

FOLDER = Path(__file__).resolve().parents[2] / ".cache/hostile"
PARTS = ("calls", "races", "slow", "kills", "fuzz")


def main() -> int:
    arguments = _arguments()
    seed, began = arguments.seed, time.monotonic()
    work: dict[str, Callable[[Any], list[Figure]]] = {  # `fuzz` needs no stack
        "calls": partial(calls.run, count=arguments.calls, seed=seed),
        "races": partial(races.run, seconds=arguments.race_seconds, seed=seed),
        "slow": partial(slow.run, connections=arguments.connections),
        "kills": partial(kills.run, count=arguments.kills, seed=seed, pause_seconds=arguments.pause),
    }
    figures: list[Figure] = []
    parts = [part for part in PARTS if part in arguments.parts]
    with control.interruptible(), ExitStack() as ended:
        if set(parts) & set(work):
            is_compose = arguments.target == "compose"
            stack = ended.enter_context(compose.running(FOLDER / "compose") if is_compose else running(FOLDER))
            _say(began, "the stack is up")
        for part in parts:
            try:
                figures += fuzz.run(arguments.fuzz_seconds, seed) if part == "fuzz" else work[part](stack)
            except Exception:  # the other parts still show what they show
                figures.append(counted(part, "ended by an error", [traceback.format_exc()]))
            _say(began, f"{part} done")
    minutes = (time.monotonic() - began) / 60
    figures.append(Figure("round", "duration", round(minutes, 1), unit="min"))
    print(table(figures))
    _keep(figures, seed)
    return 1 if any(figure.is_missed for figure in figures) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--calls", type=int, default=4500, help="made by hypothesis, on top of the table's 4,000")
    parser.add_argument("--race-seconds", type=float, default=30)
    parser.add_argument("--connections", type=int, default=500, help="slow ones, to curator and to inference")
    parser.add_argument("--kills", type=int, default=50, help="and stops")
    parser.add_argument("--pause", type=float, default=2.5, help="seconds between two kills, on average")
    parser.add_argument("--fuzz-seconds", type=float, default=60)
    parser.add_argument(
        "--target", choices=("embedded", "compose"), default="embedded", help="compose takes the kills alone"
    )
    arguments = parser.parse_args()
    if arguments.target == "compose" and set(arguments.parts) - {"kills", "fuzz"}:
        parser.error("--target compose takes --parts kills alone: the other parts look into the embedded stack")
    return arguments


def _say(began: float, what: str) -> None:
    print(f"{time.monotonic() - began:6.0f} s  {what}", flush=True)


def _keep(figures: Sequence[Figure], seed: int) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    result = {"date": datetime.now(UTC).isoformat(), "seed": seed, "figures": [figure.to_dict() for figure in figures]}
    path = FOLDER / "round.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"\n{path}")


if __name__ == "__main__":
    try:
        code = main()
    except StartFailed as error:
        sys.exit(str(error))
    sys.exit(code)
