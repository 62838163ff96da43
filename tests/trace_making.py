"""Trace files for tests, and what the readers make of them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from burnish.runlogs.traces.importing import Report, convert
from burnish.runlogs.traces.mapping import Mapper
from burnish.runlogs.traces.scores import Scores, read_rules

FIXTURES = Path(__file__).parent / "fixtures" / "traces"


def lines_of(
    files: Sequence[Path], *rules: str, source: str = "auto", labels: Sequence[str] = ()
) -> tuple[list[dict[str, Any]], Report]:
    """Lines and report of an import with these score rules. InvalidInputError as the import raises it."""
    out = io.BytesIO()
    mapper = Mapper(Scores(read_rules(rules)), labels)
    report = convert(files, source, mapper, out)
    mapper.scores.check()
    return [json.loads(line) for line in out.getvalue().splitlines()], report


def written(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
