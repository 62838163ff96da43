"""`make hostile`: a bounded hostile round against an embedded stack of its own, in five parts; at most 15 minutes on two cores.

Prints one table, keeps it as JSON with examples of what was found in .cache/hostile/, and ends with 1 if a bar is missed. Ctrl-C ends it
early, and it shows what it has; the kills first look for what was accepted, unless Ctrl-C is pressed again.
    make hostile ARGS="--seed 7 --kills 25 --parts kills"
    make hostile ARGS="--target compose --parts kills"      the containers instead, whose images it builds (docs/security.md)
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from hostile import calls, compose, fuzz, kills, races, slow
from hostile.figures import Figure, counted, table
from hostile.stack import Stack, StartFailed, running

from burnish_client.stack import control

FOLDER = Path(__file__).resolve().parents[2] / ".cache/hostile"
PARTS = ("calls", "races", "slow", "kills", "fuzz")


def main() -> int:
    arguments = _arguments()
    seed, began = arguments.seed, time.monotonic()
    work: dict[str, Callable[[Any], Iterable[Figure]]] = {
        "calls": partial(calls.run, count=arguments.calls, seed=seed),
        "races": partial(races.run, seconds=arguments.race_seconds, seed=seed),
        "slow": partial(slow.run, connections=arguments.connections),
        "kills": partial(kills.run, count=arguments.kills, seed=seed, pause_seconds=arguments.pause),
        "fuzz": lambda stack: fuzz.run(arguments.fuzz_seconds, seed),
    }
    parts = [part for part in PARTS if part in arguments.parts]
    with control.interruptible(), ExitStack() as ended:
        stack = ended.enter_context(_stack(arguments)) if set(parts) - {"fuzz"} else None
        _say(began, "begins")
        figures = worked({part: partial(work[part], stack) for part in parts}, lambda what: _say(began, what))
        minutes = (time.monotonic() - began) / 60
        figures.append(Figure("round", "duration", round(minutes, 1), unit="min"))
        print(table(figures), flush=True)  # before the stack is ended, which takes its time
        _keep(arguments.folder, figures, seed)
    return 1 if any(figure.is_missed for figure in figures) else 0


def _stack(arguments: argparse.Namespace) -> AbstractContextManager[Stack | compose.ComposeStack]:
    if arguments.target == "compose":
        return compose.running(arguments.folder / "compose", build=not arguments.as_built)
    return running(arguments.folder)


def worked(parts: Mapping[str, Callable[[], Iterable[Figure]]], say: Callable[[str], None]) -> list[Figure]:
    """What the parts showed, one after another; of one that was interrupted, which is the last, what it has."""
    figures: list[Figure] = []
    for name, work in parts.items():
        try:
            for figure in work():
                figures.append(figure)
        except KeyboardInterrupt:
            return [*figures, counted("round", "interrupted", [f"in {name}"])]
        except Exception:  # the other parts still show what they show
            figures.append(counted(name, "ended by an error", [traceback.format_exc()]))
        say(f"{name} done")
    return figures


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
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the stack, its logs and round.json")
    parser.add_argument("--as-built", action="store_true", help="compose: take the images as they are, and build none")
    arguments = parser.parse_args()
    if arguments.target == "compose" and set(arguments.parts) - {"kills", "fuzz"}:
        parser.error("--target compose takes --parts kills alone: the other parts look into the embedded stack")
    return arguments


def _say(began: float, what: str) -> None:
    print(f"{time.monotonic() - began:6.0f} s  {what}", flush=True)


def _keep(folder: Path, figures: Sequence[Figure], seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    result = {"date": datetime.now(UTC).isoformat(), "seed": seed, "figures": [figure.to_dict() for figure in figures]}
    path = folder / "round.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"\n{path}")


if __name__ == "__main__":
    try:
        code = main()
    except StartFailed as error:
        sys.exit(str(error))
    sys.exit(code)
