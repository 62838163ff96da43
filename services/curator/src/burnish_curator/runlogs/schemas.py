"""Answers about run logs that no other room shares."""

from __future__ import annotations

from burnish.schemas.base import Frozen
from burnish.schemas.runlog import RunLogLine, RunLogManifest


class RunLogList(Frozen):
    runlogs: list[RunLogManifest]


class RunLogRows(Frozen):
    """A page of rows in the order of the file; total: rows that match the filters."""

    rows: list[RunLogLine]
    total: int
