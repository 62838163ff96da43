"""Which of vLLM's tool parsers reads what a chat template has the model write."""

from __future__ import annotations

import pytest

from burnish_inference.engine.base_check import TOOL_MARKS, check_tools

PARSERS = [parser for _, parser in TOOL_MARKS]


@pytest.mark.parametrize(
    ("template", "state", "found"),
    [
        ("{{ messages }}", "warning", "takes no tools"),
        ("{% if tools %}<tool_call>\n{\"name\": …}</tool_call>{% endif %}", "right", "hermes"),
        ("{% if tools %}<tool_call>\n<function=example>{% endif %}", "right", "qwen3_coder"),
        ("{% if tools %}[AVAILABLE_TOOLS]{% endif %}[TOOL_CALLS]", "right", "mistral"),
        ("{% if tools %}<|python_tag|>{% endif %}", "right", "llama3_json"),
        ("{% if tools %}<<<call>>>{% endif %}", "warning", "none known"),
    ],
)  # fmt: skip
def test_the_parser_is_found_by_the_marks_of_a_call(template: str, state: str, found: str) -> None:
    checked = check_tools(template, PARSERS)
    assert checked.state == state
    assert found in checked.found


def test_a_parser_that_this_vllm_has_not_is_not_named() -> None:
    assert check_tools("{% if tools %}[TOOL_CALLS]{% endif %}", ["hermes"]).state == "warning"
