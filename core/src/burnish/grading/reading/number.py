"""Numbers in a text, and the one that an answer in English states as its result. Used by the grader number."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from burnish.grading.text import narrow, visible

NUMBER = re.compile(r"(?<![\w.])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+|(?<=\d)\.?)(?:[eE][-+]?\d{1,3})?(?![\d_])")
MAX_DIGITS = 1000
WINDOW = 80  # characters before and after a number that say what it is
FIRST_NUMBERS, LAST_NUMBERS = 50, 200  # the numbers whose surroundings are read in an answer that has more

_OPENERS = r"[\s:($€£\[{]*(?:(?:about|approximately|roughly|exactly|simply|just|only|US|the number)\s+)*[\s$€£(]*$"
_RESULT = r"(?:answer|result|total|sum|solution|value|product|difference|quotient|final count|number)"
_STATED_BEFORE = re.compile(
    rf"\b{_RESULT}(?:\s+(?:here|(?:to|for|of) (?:this|the|all)?(?:\s?\w+){{0,3}}?))?\s*(?:is|was|are|equals|comes to|would be|must be|=|:|→)"
    rf"(?:\s+(?:therefore|thus|indeed|then|now|actually|equal to|=|:))*{_OPENERS}|####{_OPENERS}",
    re.IGNORECASE,
)
_EQUALS_BEFORE = re.compile(
    rf"(?:=|≈|→|⇒|->|\b(?:equals|makes?|gives?|leaves?|yields?|get|have|is|comes to|therefore|thus|hence)\b){_OPENERS}",
    re.IGNORECASE,
)
_STATED_AFTER = re.compile(
    rf"[)\].,]?\s*(?:\w+\s+)?(?:is|was)\s+(?:indeed\s+)?(?:the\s+|my\s+)?(?:correct|right|final|{_RESULT})\b",
    re.IGNORECASE,
)
_REJECTED_BEFORE = re.compile(
    r"(?:\bnot|n['’]t|\bnever|\brather than|\binstead of|\bunlike|\bout of|\bnot (?:be|equal to)|\bother than)\s*[$€£(]*$",
    re.IGNORECASE,
)
_REJECTED_AFTER = re.compile(
    r"[)\].,]?\s*(?:\w+\s+)?(?:is|was|would be)\s+(?:\w+ly\s+)?(?:wrong|incorrect|not|false)\b|[)\].,]?\s*(?:is|was)n['’]t\b",
    re.IGNORECASE,
)
_ORDINAL_BEFORE = re.compile(
    r"\b(?:steps?|questions?|problems?|parts?|sections?|chapters?|figures?|equations?|notes?|examples?|cases?|options?|lines?|no\.)\s*#?$",
    re.IGNORECASE,
)
_OPERATOR_AFTER = re.compile(
    r"\s*(?:[-+*/×÷^−]\s*[\d(.$x]|[xX]\s*\d|%?\s*\b(?:plus|minus|times|divided|multiplied)\b|%\s*of\b)", re.IGNORECASE
)
_OPERATOR_BEFORE = re.compile(r"(?:[\d)]\s*[-+*/×÷^−x]|\b(?:plus|minus|times|by))\s*$", re.IGNORECASE)
_LEADING_AFTER = re.compile(
    r"\s*[%°€$]?\s*(?:[^\W\d_]+(?:\s+[^\W\d_]+)?)?\s*(?:$|[.!;:(\n]|,(?!\s*\d)|\b(?:because|since|as)\b)", re.IGNORECASE
)
_ENUMERATOR = re.compile(r"^[ \t]*(\d{1,2})[.)](?=\s)", re.MULTILINE)
_BOXED = re.compile(r"\\boxed\s*\{\s*(?:\\(?:text|mathrm)\s*\{)?([^{}\n]{0,80})\}+")
_MARKS = re.compile(r"[*`_\\]{2,}|(?<!\d)\*|\*(?!\s*[\d(])|[`\"“”]|\\[()\[\]]|\\,")


@dataclass(frozen=True)
class _Found:
    value: float
    before: str
    after: str
    start: int
    depth: int


def numbers_in(text: str) -> list[float]:
    """Every finite decimal number that stands by itself in the text (not the tail of a word such as `v2`; a unit may follow, `5kg`), in order."""
    return [value for _, value in _values(narrow(visible(text)))]


def stated_number(answer: str) -> float:
    """The number that the answer states, of those in it; there must be one.

    Left out where others remain: what the answer rejects ("not 13", "13 is wrong"), list numbers, "step 2", what it is out of.
    Then the first rule that finds one counts: after a result word ("the answer is", "total:", \\boxed, ####; the last of
    several), at the start of the answer ("12 (3 + 9)", "12 apples."), after "=" or "is" or "makes" (the last), the last number
    outside brackets that is no operand, the last one.
    """
    text = _plain(answer)
    found = _found(text)
    if not found:
        return numbers_in(answer)[-1]
    kept = [one for one in found if not _is_left_out(one)] or found
    results = [one for one in kept if not _is_operand(one)]
    stated = [one for one in results if _STATED_BEFORE.search(one.before) or _STATED_AFTER.match(one.after)]
    if stated:
        return stated[-1].value
    first = kept[0]
    if first in results and not text[: first.start].strip(" \n$€£(=≈~") and _LEADING_AFTER.match(first.after):
        return first.value
    equal = [one for one in results if _EQUALS_BEFORE.search(one.before)]
    outside = [one for one in results if one.depth == 0]
    return (equal or outside or kept)[-1].value


def _values(text: str) -> Iterable[tuple[re.Match[str], float]]:
    for match in NUMBER.finditer(text):
        digits = match.group().replace(",", "").replace("−", "-")
        if len(digits) <= MAX_DIGITS and math.isfinite(value := float(digits)):
            yield match, value


def _plain(answer: str) -> str:
    """Without marks of Markdown and LaTeX, and without the numbers of a numbered list."""
    text = _MARKS.sub("", _BOXED.sub(r" the answer is \1 . ", narrow(visible(answer))))
    numbers = [int(number) for number in _ENUMERATOR.findall(text)]
    return _ENUMERATOR.sub("", text) if numbers[:2] == [1, 2] else text


def _found(text: str) -> list[_Found]:
    spans = list(_values(text))
    if len(spans) > FIRST_NUMBERS + LAST_NUMBERS:
        spans = [*spans[:FIRST_NUMBERS], *spans[-LAST_NUMBERS:]]
    found, depth, position = [], 0, 0
    for match, value in spans:
        between = text[position : match.start()]
        depth = max(0, depth + between.count("(") - between.count(")"))
        position = match.start()
        before = re.split(r"[.!?](?=\s)|\n", text[max(0, position - WINDOW) : position])[-1]
        end = match.end() - match.group().endswith(".")
        found.append(_Found(value, before, text[end : end + WINDOW], position, depth))
    return found


def _is_left_out(one: _Found) -> bool:
    return bool(
        _REJECTED_BEFORE.search(one.before) or _REJECTED_AFTER.match(one.after) or _ORDINAL_BEFORE.search(one.before)
    )


def _is_operand(one: _Found) -> bool:
    return bool(_OPERATOR_AFTER.match(one.after) or _OPERATOR_BEFORE.search(one.before))
