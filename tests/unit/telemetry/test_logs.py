"""Log lines: JSON, with the ids of the span and of the request or job around them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from burnish.telemetry import logs
from burnish.telemetry.tracing import Tracing

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def said() -> Callable[..., dict[str, Any]]:
    """Log a message; the line as a reader gets it."""
    logger, formatter = logging.Logger("burnish_test"), logs.JsonFormatter()

    def say(message: str, *arguments: Any, **extra: Any) -> dict[str, Any]:
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        logger.handlers = [handler]
        logger.info(message, *arguments, extra=extra)
        line: dict[str, Any] = json.loads(stream.getvalue())
        return line

    return say


def test_a_line_has_what_every_line_has(said: Callable[..., dict[str, Any]]) -> None:
    line = said("it's %d o'clock", 5, color_message="\x1b[1mloud")
    assert list(line) == ["time", "level", "logger", "message"]
    assert (line["level"], line["logger"], line["message"]) == ("info", "burnish_test", "it's 5 o'clock")


def test_bound_fields_hold_inside_and_in_threads(said: Callable[..., dict[str, Any]]) -> None:
    async def in_thread() -> dict[str, Any]:
        return await asyncio.to_thread(said, "from a thread")

    with logs.fields(request_id="r1"):
        with logs.fields(job_id="job-1", secret="never"):
            line = asyncio.run(in_thread())
        assert (line["request_id"], line["job_id"]) == ("r1", "job-1")
        assert "secret" not in line
        assert logs.bound("request_id") == "r1"
        assert "job_id" not in said("after the inner block")
        assert said("its own wins", request_id="r2")["request_id"] == "r2"
    assert "request_id" not in said("after")
    assert logs.bound("request_id") is None


def test_a_line_inside_a_span_says_which(said: Callable[..., dict[str, Any]]) -> None:
    with Tracing("test").span("work", parent=PARENT) as span:
        line = said("inside")
    assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert line["span_id"] == f"{span.get_span_context().span_id:016x}" != "b7ad6b7169203331"
    assert "trace_id" not in said("outside")


def test_fixed_fields_are_on_lines_of_every_thread_and_the_log_is_json_alone() -> None:
    code = (
        "import logging, threading\n"
        "from burnish.telemetry import logs\n"
        "logs.configure(quiet=('noisy',)).fixed['job_id'] = 'job-1'\n"
        "logging.getLogger('noisy').info('hidden')\n"
        "thread = threading.Thread(target=logging.getLogger('own').info, args=('seen',))\n"
        "thread.start(); thread.join()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = map(json.loads, done.stdout.splitlines())
    assert (line["message"], line["job_id"]) == ("seen", "job-1")
