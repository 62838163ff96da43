"""What the documents point at exists: `file:name` references, paths, links and decision records."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPO = Path(__file__).parents[3]
REFERENCE = re.compile(r"`((?:core|services|client)/[\w/.]+\.py):(\w+)`")
LINK = re.compile(r"\]\((?!http|#)([^)#]+)(?:#[^)]*)?\)")
FOLDER = re.compile(r"`((?:core|services|client|tests|examples|docs|scripts|protos)/[\w./-]*)`")
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"]


def test_the_life_of_a_failure_names_code_that_exists() -> None:
    references = REFERENCE.findall((REPO / "ARCHITECTURE.md").read_text())
    assert len(references) >= 10
    for file, name in references:
        source = (REPO / file).read_text()
        assert re.search(rf"^(?:async )?(?:def|class) {name}\b", source, re.MULTILINE), f"{file}:{name}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_paths_lead_somewhere(document: str) -> None:
    text = (REPO / document).read_text()
    for target in LINK.findall(text) + FOLDER.findall(text):
        assert (REPO / target).exists(), f"{document}: {target}"


def test_decision_records_are_numbered_without_gaps() -> None:
    numbers = sorted(int(path.name[:4]) for path in (REPO / "docs/adr").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))
