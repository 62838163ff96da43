"""Log records as JSON lines, with the ids by which a request or a job is found again. Configured in composition roots only."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, TextIO

from burnish.telemetry import tracing

# Copied into the line from what is bound and from a record's `extra`; anything else there is some library's own.
FIELDS = ("request_id", "job_id", "attempt", "method", "route", "path", "status", "model", "duration_ms")
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_bound: ContextVar[Mapping[str, Any]] = ContextVar("burnish_log_fields", default=_NOTHING)


@contextmanager
def fields(**values: Any) -> Iterator[None]:
    """Every line logged inside, in this task and in threads that are given its context, carries these of FIELDS."""
    token = _bound.set({**_bound.get(), **values})
    try:
        yield
    finally:
        _bound.reset(token)


def bind(**values: Any) -> None:
    """The same for the rest of this task, for a block that would be left in another one (a stream that is closed from outside)."""
    _bound.set({**_bound.get(), **values})


def bound(name: str) -> Any:
    """What is bound here under that name; None if nothing is."""
    return _bound.get().get(name)


class JsonFormatter(logging.Formatter):
    """time, level, logger, message, then the ids of the span, FIELDS, and the traceback if there is one.

    fixed: fields of every line of the process, in all its threads: what the span and the bound fields do not say.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fixed: dict[str, Any] = {}

    def format(self, record: logging.LogRecord) -> str:
        given = {**_bound.get(), **vars(record)}
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self.fixed,
            **tracing.ids(),
            **{name: given[name] for name in FIELDS if name in given},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(stream: TextIO = sys.stdout, quiet: Collection[str] = ()) -> JsonFormatter:
    """Everything from INFO up as JSON lines on the stream; quiet: loggers from which only warnings are wanted."""
    formatter, handler = JsonFormatter(), logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in quiet:
        logging.getLogger(name).setLevel(logging.WARNING)
    return formatter
