"""Walks a page: runs its commands one after another, as a reader would, and compares what each prints with what the page shows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from e2e.command import Run
from e2e.console_blocks import Step, words_of

EDITOR = "$EDITOR"
ByHand = Mapping[str, Callable[[Path], None]]  # file -> what a person does to it


def walk(page: Sequence[Step], folder: Path, stack: Run, told_by_up: str, by_hand: ByHand | None = None) -> None:
    """Run the steps in this folder, on a stack that is up before and stays up. `$EDITOR FILE` is done by_hand."""
    for step in page:
        if step.words == ("burnish", "up"):
            assert_shown(step, told_by_up)
        elif step.words == ("burnish", "down"):
            assert step is page[-1]
        elif step.words[0] == "burnish":
            done = stack(*step.words[1:], cwd=folder)
            assert done.returncode == step.exit_code, f"{step.words}: {done.stdout}{done.stderr}"
            assert_shown(step, (done.stdout + done.stderr).replace(f"{folder}/", ""))  # paths relative to that folder
        elif step.words[0] == EDITOR:
            (by_hand or {})[step.words[1]](folder / step.words[1])
        else:
            run_aside(step, folder)


def assert_shown(step: Step, printed: str) -> None:
    missing = words_of(step.shown) - words_of(printed)
    assert not missing, f"{step.words}: the page shows {sorted(missing)}, the command printed\n{printed}"


def run_aside(step: Step, folder: Path) -> None:
    """A step that is not ours: `python script arguments > file`, without a shell."""
    *words, arrow, target = step.words
    assert (words[0], arrow) == ("python", ">"), step.words
    with (folder / target).open("wb") as output:
        subprocess.run([sys.executable, *words[1:]], cwd=folder, stdout=output, check=True, timeout=60)
