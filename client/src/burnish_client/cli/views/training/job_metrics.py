"""A job's metrics as rows: one for each step, with its training figures and its evaluation's."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table

from burnish_client.cli.views import console
from burnish_client.sdk.trainer import final_series, to_dict
from burnish_protos.trainer.v1.trainer_pb2 import TuningJobEvent

COLUMNS = (
    "step",
    "epoch",
    "train_loss",
    "validation_loss",
    "learning_rate",
    "gradient_norm",
    "tokens_per_second",
    "attempt",
)


def by_step(events: Iterable[TuningJobEvent]) -> list[dict[str, Any]]:
    """Ascending by step, COLUMNS by name. What was not measured at a step is None. attempt: the one that reported it last."""
    rows: dict[int, dict[str, Any]] = {}
    for event in final_series(events):
        row = rows.setdefault(event.metrics.step, dict.fromkeys(COLUMNS))
        figures = to_dict(event.metrics) | {"step": event.metrics.step, "epoch": event.metrics.epoch}
        row.update({name: value for name, value in figures.items() if name in row})
        row["attempt"] = event.attempt
    return [rows[step] for step in sorted(rows)]


def write_csv(rows: Sequence[dict[str, Any]]) -> None:
    """RFC 4180 on stdout. A cell is empty if nothing was measured."""
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    sys.stdout.flush()


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Within 80 columns."""
    shown = console.table(">step", ">epoch", ">loss", ">validation", ">learning rate", ">gradient", ">tokens/s")
    formats = ("d", ".2f", ".4f", ".4f", ".2e", ".3f", ".0f")
    for row in rows:
        cells = zip((row[name] for name in COLUMNS), formats, strict=False)
        shown.add_row(*("–" if value is None else format(value, kind) for value, kind in cells))
    return shown
