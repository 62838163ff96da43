"""All readers, in the order in which a record is shown to them: those whose records nobody else could have come first."""

from __future__ import annotations

from typing import Any, cast

from burnish.runlogs.readers import (
    burnish,
    chat,
    helicone,
    inspect,
    langfuse,
    langsmith,
    mlflow,
    openai,
    openinference,
    otel,
    promptfoo,
)
from burnish.runlogs.traces.pieces import Reader

LINES = burnish
LINES_FORMAT = "burnish"  # its records are lines already
MODULES: dict[str, Any] = {
    "burnish": burnish,
    "mlflow": mlflow,
    "inspect": inspect,
    "promptfoo": promptfoo,
    "helicone": helicone,
    "langsmith": langsmith,
    "langfuse": langfuse,
    "openinference": openinference,
    "otel": otel,
    "openai": openai,
    "chat": chat,
}
READERS = {name: cast(Reader, module) for name, module in MODULES.items()}
JOINED = frozenset({"langsmith", "langfuse", "openinference", "otel"})  # a trace stands in several records, or files
