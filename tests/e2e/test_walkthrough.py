"""Runs what docs/walkthrough.md shows, on the example it names: same commands, same exit codes, same words."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.command import command
from e2e.console_blocks import Step, steps, words_of

REPO = Path(__file__).parents[2]
WALK = steps(REPO / "docs/walkthrough.md")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as cloned."""
    target = tmp_path_factory.mktemp("walk") / "support-tickets"
    shutil.copytree(REPO / "examples/support-tickets", target)
    return target


def test_the_walk_covers_the_loop() -> None:
    nouns = [step.words[1] for step in WALK if step.words[0] == "burnish"]
    loop = ["up", "runs", "diagnose", "review", "dataset", "train", "jobs", "adapters", "eval", "verdict", "down"]
    assert [noun for noun in loop if noun not in nouns] == []


@pytest.mark.vllm
@pytest.mark.model
@pytest.mark.timeout(900)
def test_the_walkthrough_does_what_it_shows(folder: Path) -> None:
    """On a stack of its own, from `up` to `down`: what it shows depends on what that stack has done before."""
    burnish = command()
    try:
        for step in WALK:
            if step.words[0] != "burnish":
                run_aside(step, folder)
                continue
            done = burnish(*step.words[1:], cwd=folder)
            assert done.returncode == step.exit_code, f"{step.words}: {done.stdout}{done.stderr}"
            printed = (done.stdout + done.stderr).replace(f"{folder}/", "")  # paths relative to that folder
            missing = words_of(step.shown) - words_of(printed)
            assert not missing, f"{step.words}: the page shows {sorted(missing)}, the command printed\n{done.stdout}"
    finally:
        burnish("down", cwd=folder, timeout_seconds=120)


def run_aside(step: Step, folder: Path) -> None:
    """A step that is not ours: `python script arguments > file`, without a shell."""
    *words, arrow, target = step.words
    assert (words[0], arrow) == ("python", ">"), step.words
    with (folder / target).open("wb") as output:
        subprocess.run([sys.executable, *words[1:]], cwd=folder, stdout=output, check=True, timeout=60)
