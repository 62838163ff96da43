"""Import of traces in any format: they become run log lines here, in a spool file, and are sent in the one format that the curator takes.

The readers and the mapper are core's (`burnish.runlogs.traces`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from burnish.errors import InvalidInputError
from burnish.runlogs.readers import registry
from burnish.runlogs.traces.files import is_jsonl
from burnish.runlogs.traces.importing import Report, convert, recognise
from burnish.runlogs.traces.mapping import Mapper
from burnish.runlogs.traces.scores import Scores, read_rules
from burnish.schemas.runlog import RunLogImport
from burnish_client.sdk.curator import CuratorClient, Progress

AUTO = "auto"
SOURCES = (AUTO, *registry.READERS)


@dataclass(frozen=True)
class TraceOptions:
    """How traces become lines. source: a format, or `auto`. scores: rules, as `thumbs:true=correct,false=incorrect`; score_file: more of them, as JSON.

    labels: scores whose words name how an answer failed. grades: what a grade of a run log means that is no known word, as `good=correct`.
    """

    source: str = AUTO
    scores: Sequence[str] = ()
    score_file: Path | None = None
    labels: Sequence[str] = ()
    grades: Sequence[str] = ()

    def mapper(self) -> Mapper:
        return Mapper(Scores(read_rules(self.scores, self.score_file)), self.labels)


def preview(files: Sequence[Path], options: TraceOptions) -> tuple[Report, Scores]:
    """Everything that an import would say, and its first lines; sends nothing. The scores know which of them need a rule."""
    mapper = options.mapper()
    return convert(files, _checked(options.source), mapper, None), mapper.scores


def import_traces(
    client: CuratorClient,
    files: Sequence[Path],
    name: str,
    options: TraceOptions | None = None,
    progress: Progress | None = None,
) -> tuple[RunLogImport, Report | None]:
    """Import files that belong together as one run log. A JSONL file of ours is sent as it is, and has no report.

    InvalidInputError if a format is not recognised, or a score needs a rule: then nothing was sent.
    """
    options = options or TraceOptions()
    source = _checked(options.source)
    if len(files) == 1 and is_jsonl(files[0]):
        found = recognise(files[0]).format if source == AUTO else source
        if found == registry.LINES_FORMAT:
            return client.import_run_log(files[0], name, progress, options.grades), None
    mapper = options.mapper()
    with tempfile.TemporaryDirectory(prefix="burnish-import-") as folder:
        spool = Path(folder) / "lines.jsonl"
        with spool.open("wb") as out:
            report = convert(files, source, mapper, out)
        mapper.scores.check()
        return client.import_run_log(spool, name, progress, options.grades), report


def _checked(source: str) -> str:
    if source not in SOURCES:
        raise InvalidInputError(f"no reader for {source!r}; there are {', '.join(SOURCES)}", field="from")
    return source
