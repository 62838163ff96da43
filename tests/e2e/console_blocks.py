"""Reads the console sessions of a page, so that a test can run what it shows."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
WORD = re.compile(r"[A-Za-z][A-Za-z'-]{2,}")
CHANGING = re.compile(r"\b[0-9a-f]{8,}\b|\S*[0-9/]\S*(?: (?:ms|s|min|h)\b)?|…")


@dataclass(frozen=True)
class Step:
    """One `$ command` and the output shown below it. exit_code: from a trailing `# exit N`, else 0."""

    words: tuple[str, ...]
    shown: str
    exit_code: int


def steps(page: Path) -> list[Step]:
    """The commands in the console blocks of the page, in order."""
    found: list[Step] = []
    for block in BLOCK.findall(page.read_text()):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            while command.endswith("\\"):
                more, _, shown = shown.partition("\n")
                command = command[:-1] + more.strip()
            command, _, comment = command.partition("  # exit ")
            found.append(Step(tuple(shlex.split(command)), shown, int(comment or 0)))
    return found


def words_of(text: str) -> set[str]:
    """The words of an output, without numbers, units of time, ids and frames: what must stay the same from run to run."""
    return {w.casefold() for w in WORD.findall(CHANGING.sub(" ", text))}
