"""Signatures: ways to fail that an answer shows by itself, without a known answer and without a model.

An answer without one is not right for that: it stays as it was. Called by `burnish runs grade`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from burnish.grading.json_schema.check import schema_violation
from burnish.grading.patterns import GradingLimitError, time_limit
from burnish.grading.reading.json_text import JsonProblem, find_object
from burnish.grading.reading.refusal import is_refusal

CUT_OFF_REASONS = ("length", "max_tokens", "max_output_tokens", "model_length", "incomplete")
ASKS_FOR_JSON = re.compile(
    r"\b(?:answer|respond|reply|return|output|produce|write|give|emit|format)\w*\b[^.\n]{0,80}\bJSON\b", re.IGNORECASE
)
HELPS_ANYWAY = re.compile(r"\b(?:but|however|instead|that said|here(?:'s| is| are))\b.{40,}", re.IGNORECASE | re.DOTALL)
REPEATED_TIMES = 4
REPEATED_CHARACTERS = 120
REPEATED_SHARE = 0.5
LETTERS = 20  # fewer say nothing of a language
OTHER_SCRIPT_SHARE = 0.7
LATIN = "LATIN"
COMMON_WORDS = {
    "English": [
        "the",
        "and",
        "is",
        "are",
        "of",
        "to",
        "in",
        "that",
        "it",
        "for",
        "with",
        "you",
        "this",
        "on",
        "not",
        "be",
        "as",
        "have",
        "was",
    ],
    "German": [
        "der",
        "die",
        "das",
        "und",
        "ist",
        "nicht",
        "ein",
        "eine",
        "zu",
        "den",
        "mit",
        "sich",
        "auf",
        "für",
        "von",
        "dem",
        "im",
        "sie",
        "ich",
    ],
    "French": [
        "le",
        "la",
        "les",
        "et",
        "est",
        "une",
        "des",
        "du",
        "pas",
        "pour",
        "dans",
        "que",
        "qui",
        "sur",
        "avec",
        "vous",
        "il",
        "au",
    ],
    "Spanish": [
        "el",
        "los",
        "las",
        "y",
        "es",
        "una",
        "del",
        "no",
        "por",
        "para",
        "que",
        "con",
        "en",
        "se",
        "su",
        "lo",
        "como",
    ],
    "Italian": [
        "il",
        "gli",
        "e",
        "è",
        "una",
        "della",
        "non",
        "per",
        "che",
        "con",
        "di",
        "sono",
        "nel",
        "si",
        "lo",
        "come",
    ],
    "Dutch": ["de", "het", "een", "en", "is", "van", "niet", "voor", "met", "dat", "zijn", "op", "te", "je", "ook"],
    "Portuguese": [
        "o",
        "os",
        "as",
        "e",
        "é",
        "uma",
        "do",
        "da",
        "não",
        "para",
        "que",
        "com",
        "em",
        "se",
        "por",
        "como",
    ],
}
LANGUAGES_OF = {
    word: [language for language, common in COMMON_WORDS.items() if word in common]
    for word in set().union(*COMMON_WORDS.values())
}
WORDS = re.compile(r"[^\W\d_]+")
NO_LETTER = re.compile(r"[^A-Za-z]+")
WORDS_NEEDED = 5
AHEAD = 2.5  # how much more of another language's words there must be


@dataclass(frozen=True)
class Said:
    """What a signature looks at. expects_json: None if nobody said, and the instructions decide."""

    answer: str
    question: str = ""
    instructions: str = ""
    has_tool_calls: bool = False
    finish_reason: str | None = None
    error: str | None = None
    expected_answer: str | None = None
    expects_json: bool | None = None
    schema: dict[str, Any] | None = None


@dataclass(frozen=True)
class Signature:
    """is_failure: false for an error of the service, which is no answer of the model's."""

    label: str
    detail: str
    is_failure: bool = True


def signature(said: Said) -> Signature | None:
    """The first that is there, from the surest on."""
    return next((found for look in LOOKS if (found := look(said))), None)


def _error(said: Said) -> Signature | None:
    return Signature("error", said.error[:200], is_failure=False) if said.error else None


def _empty(said: Said) -> Signature | None:
    if said.answer.strip() or said.has_tool_calls:
        return None
    return Signature("empty", "the answer is empty")


def _cut_off(said: Said) -> Signature | None:
    reason = (said.finish_reason or "").casefold()
    return Signature("cut-off", f"finish_reason is {said.finish_reason}") if reason in CUT_OFF_REASONS else None


def _json(said: Said) -> Signature | None:
    if said.has_tool_calls or not _expects_json(said):
        return None
    text = said.answer.strip()
    if text[:1] == "[" and said.schema is None:
        return None if _is_json(text) else Signature("invalid-json", "the answer is no JSON")
    found = find_object(said.answer)
    if isinstance(found, JsonProblem):
        return Signature("invalid-json", found.detail)
    if not said.schema:
        return None
    try:
        with time_limit():
            violation = schema_violation(found.value, said.schema)
    except GradingLimitError:
        return None
    return Signature("schema-violation", violation) if violation else None


def _expects_json(said: Said) -> bool:
    if said.expects_json is not None or said.schema:
        return bool(said.expects_json or said.schema)
    expected = (said.expected_answer or "").strip()
    return bool(ASKS_FOR_JSON.search(said.instructions)) or (expected[:1] in ("{", "[") and _is_json(expected))


def _is_json(text: str) -> bool:
    import orjson

    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _refusal(said: Said) -> Signature | None:
    if said.has_tool_calls or "```" in said.answer or not is_refusal(said.answer) or HELPS_ANYWAY.search(said.answer):
        return None
    return Signature("refusal", "it says that it cannot or will not")


def _repetition(said: Said) -> Signature | None:
    """The same line or sentence again and again, or one short piece until the end."""
    text = said.answer.strip()
    pieces = [piece.strip() for piece in re.split(r"\n+|(?<=[.!?。])\s+", text) if len(piece.strip()) >= 12]
    if pieces:
        piece, times = Counter(pieces).most_common(1)[0]
        if times >= REPEATED_TIMES and times * len(piece) >= REPEATED_SHARE * len(text):
            return Signature("repetition", f"{times} times {piece[:60]!r}")
    tail = text[-2000:]
    loop = re.search(r"(.{2,60}?)\1{5,}\s*\S{0,60}\Z", tail, re.DOTALL) if _may_loop(tail) else None
    if loop and len(loop[0]) >= REPEATED_CHARACTERS and loop[1].strip(" .-_=*#|\n"):
        return Signature("repetition", f"it ends in {loop[1][:60]!r}, again and again")
    return None


def _may_loop(tail: str) -> bool:
    """Whether the end can be a piece of 2 to 60 characters again and again: what stands before its last word stands there twice.

    It spares most answers an expression that looks at every piece of every length.
    """
    if len(tail) < REPEATED_CHARACTERS:
        return False
    last = len(tail.rsplit(maxsplit=1)[-1])
    before = tail[: len(tail) - min(last, 60)]
    end = len(before.rstrip()) if last <= 60 else len(before)
    if len(before) - end > 20:
        return True
    return tail[end - 20 : end] in tail[max(0, end - 80) : end - 2]


def _language(said: Said) -> Signature | None:
    """Another script than the question's, or clearly the words of another language. Code is no language."""
    if "```" in said.answer or said.answer.strip()[:1] in ("{", "[", "<"):
        return None
    asked, answered = _scripts(said.question), _scripts(said.answer)
    if asked.total() < LETTERS or answered.total() < LETTERS:
        return None
    (asked_script, _), (script, count) = asked.most_common(1)[0], answered.most_common(1)[0]
    if script not in asked and script != LATIN and count >= OTHER_SCRIPT_SHARE * answered.total():
        return Signature("wrong-language", f"asked in {asked_script.title()} script, answered in {script.title()}")
    if script == LATIN and asked_script != LATIN and asked[LATIN] == 0 and answered[asked_script] == 0:
        return Signature("wrong-language", f"asked in {asked_script.title()} script, answered in Latin")
    if script != LATIN or asked_script != LATIN:
        return None
    of_question, of_answer = _language_of(said.question), _language_of(said.answer)
    if of_question and of_answer and of_question != of_answer:
        return Signature("wrong-language", f"asked in {of_question}, answered in {of_answer}")
    return None


def _scripts(text: str) -> Counter[str]:
    """Letters by the first word of their Unicode name; those of Japanese, Chinese and Korean are one."""
    text = text[:2000]
    if text.isascii():
        return +Counter({LATIN: len(NO_LETTER.sub("", text))})
    names = Counter(unicodedata.name(sign, "").split(" ")[0] for sign in text if sign.isalpha())
    together = sum(names.pop(name, 0) for name in ("CJK", "HIRAGANA", "KATAKANA", "HANGUL"))
    return names + Counter({"CJK": together})


def _language_of(text: str) -> str | None:
    hits = dict.fromkeys(COMMON_WORDS, 0)
    for word in WORDS.findall(text[:4000].casefold()):
        for language in LANGUAGES_OF.get(word, ()):
            hits[language] += 1
    second, most = sorted(hits.values())[-2:]
    if most < WORDS_NEEDED or most < AHEAD * second:
        return None
    return max(hits, key=hits.__getitem__)


LOOKS: tuple[Callable[[Said], Signature | None], ...] = (
    _error,
    _empty,
    _cut_off,
    _json,
    _refusal,
    _repetition,
    _language,
)
