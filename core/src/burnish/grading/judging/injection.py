"""Telling an answer that speaks to whoever grades it from one that answers the question."""

from __future__ import annotations

import re
import unicodedata

from burnish.grading.text import visible

SHOWN = 100
_OPEN, _GRADER = (
    r"(?:ignore|disregard|forget|override|bypass|skip)",
    r"(?:judge|grader|evaluator|grading model|reviewer)",
)
_ADDRESS = re.compile(
    "|".join(
        (
            rf"\b{_OPEN}\b[^.\n]{{0,40}}\b(?:rubric|grading|criteria|(?:previous|prior|above|earlier|system|your|all) (?:\w+ )?"
            r"(?:instructions?|prompts?|rules?))\b",
            r"\b(?:output|say|answer|reply|respond|return|print|write)(?: with| only| just)?[\s:]+[\"'`]*(?:verdict )?(?:pass(?:ed)?|fail(?:ed)?)\b",
            r"\b(?:mark|grade|rate|score|judge|count|accept) (?:this|my|the|it)\b[^.\n]{0,30}\b(?:correct|right|passed|passing|pass|better|full marks|10/10)\b",
            rf"\b(?:dear|hello|hey|attention|note to(?: the)?|message to(?: the)?|instructions? (?:to|for)(?: the)?),? {_GRADER}\b",
            rf"\byou are (?:now )?(?:a|an|the) (?:\w+ ){{0,2}}{_GRADER}\b",
            r"[\"'](?:passed|verdict|better)[\"']\s*:\s*(?:true|false|[\"'](?:pass|fail|first|second|tie)[\"'])",
            r"<\|[^|<>\n]{1,40}\|>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>",
            r"\b(?:end|close) of (?:the )?(?:untrusted|answer|data)\b[^.\n]{0,20}\b(?:block|data|answer|fence)\b",
        )
    ),
    re.IGNORECASE,
)


def addresses_judge(answer: str) -> str | None:
    """The words with which an English answer speaks to its judge, cut short, or None.

    A heuristic on purpose wide: for a benchmark whose right answers talk of grading, use another grader than a judge.
    Hidden characters and look-alike widths do not hide anything from it.
    """
    match = _ADDRESS.search(" ".join(unicodedata.normalize("NFKC", visible(answer)).split(" ")))
    return None if match is None else match.group()[:SHOWN]
