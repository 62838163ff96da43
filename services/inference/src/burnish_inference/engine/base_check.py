"""Whether the installed vLLM serves a model with adapters: `python -m burnish_inference.engine.base_check FOLDER` prints ModelChecks.

Started by `burnish model add` in the inference service's environment. Asks vLLM's own registries, and starts no engine.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from burnish.curation.lengths import load_chat_template
from burnish.errors import BurnishError, NotFoundError
from burnish.model_files import read_config
from burnish.schemas.models import ModelCheck, ModelChecks

# What a chat template writes around a tool call -> the parser of vLLM that reads it; the first that is found counts.
TOOL_MARKS = (
    ("[TOOL_CALLS]", "mistral"),
    ("<function=", "qwen3_coder"),
    ("<tool_call>", "hermes"),
    ("<|python_tag|>", "llama3_json"),
    ('"parameters": dictionary', "llama3_json"),
    ("<|tool_call|>", "phi4_mini_json"),
    ("<start_function_call>", "functiongemma"),
    ("<|tool▁calls▁begin|>", "deepseek_v3"),
)


def main() -> None:
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever vLLM prints is no part of the report
    report = ModelChecks(checks=list(check(Path(sys.argv[1]))))
    with os.fdopen(answers, "w") as output:
        output.write(report.model_dump_json())


def check(folder: Path) -> Iterable[ModelCheck]:
    yield _check_architecture(read_config(folder).get("architectures") or [])
    try:
        template, _ = load_chat_template(folder)
    except NotFoundError:
        return  # the trainer's check says so
    yield check_tools(template, tool_parsers())


def _check_architecture(architectures: Sequence[str]) -> ModelCheck:
    from vllm.model_executor.models import ModelRegistry
    from vllm.model_executor.models.interfaces import supports_lora

    subject, engine = "serving", f"vLLM {metadata.version('vllm')}"
    known = [name for name in architectures if name in ModelRegistry.get_supported_archs()]
    if not known:
        named = ", ".join(architectures) or "no architecture (config.json names none)"
        return ModelCheck(subject=subject, state="refused", found=f"{engine} serves no {named}: take another base")
    model: Any = ModelRegistry.models[known[0]].load_model_cls()
    if not supports_lora(model):
        return ModelCheck(
            subject=subject, state="refused", found=f"{engine} serves {known[0]} without adapters: take another base"
        )
    return ModelCheck(subject=subject, state="right", found=f"{known[0]}, with adapters, by {engine}")


def tool_parsers() -> list[str]:
    from vllm.tool_parsers import ToolParserManager

    return list(ToolParserManager.list_registered())


def check_tools(template: str, parsers: Sequence[str]) -> ModelCheck:
    """Which of vLLM's parsers reads the tool calls that the template has the model write. Plain chats need none."""
    subject = "tool parser"
    if "tools" not in template:
        return ModelCheck(subject=subject, state="warning", found="none: the chat template takes no tools")
    parser = next((name for mark, name in TOOL_MARKS if mark in template), None)
    if parser is None or parser not in parsers:
        return ModelCheck(
            subject=subject, state="warning", found="none known for this chat template; chats without tools are served"
        )
    return ModelCheck(subject=subject, state="right", found=parser)


if __name__ == "__main__":
    try:
        main()
    except BurnishError as error:
        sys.exit(f"error: {error.message}")
