"""The curator's calls are those of ARCHITECTURE.md's table, no more and no fewer."""

from __future__ import annotations

import re
from pathlib import Path

from burnish.curation.lengths import CharacterLengths
from burnish.objectstores.memory import MemoryObjectStore
from burnish_curator.app import Deps, create_app
from burnish_curator.database import open_database

ARCHITECTURE = Path(__file__).resolve().parents[2] / "ARCHITECTURE.md"
PAGES = {("GET", "/review"), ("GET", "/review/{}")}  # HTML for people, not part of the OpenAPI document


def documented() -> set[tuple[str, str]]:
    """(method, path) of the table; a further path in a cell keeps the method, and one that opens with `/{` its first path."""
    section = ARCHITECTURE.read_text().split("### Curator: HTTP")[1].split("###")[0]
    calls: set[tuple[str, str]] = set()
    for row in re.findall(r"^\| (`[A-Z]+ /.*?) \|", section, re.MULTILINE):
        method = first = ""
        for spelled in re.findall(r"`([^`]+)`", row):
            *verb, path = spelled.split(" ")
            method = verb[0] if verb else method
            first = path if verb else first
            calls.add((method, _shape(first + path if path.startswith("/{") else path)))
    return calls


def _shape(path: str) -> str:
    return re.sub(r"{\w+}", "{}", path.split("?")[0])


def test_the_calls_are_those_of_the_table(tmp_path: Path, memory_store: MemoryObjectStore) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'curator.db'}")
    document = create_app(Deps(memory_store, database, tmp_path, "token", CharacterLengths())).openapi()
    database.dispose()
    served = {(m.upper(), _shape(path)) for path, methods in document["paths"].items() for m in methods}
    assert served == documented() - PAGES
    assert documented() >= PAGES
