"""Grader: the answer names one of the offered choices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from burnish.errors import InvalidInputError
from burnish.grading.evidence import Evidence
from burnish.grading.reading.choice import read_choice
from burnish.grading.registry import Grade, failing, grader, passing, skipping
from burnish.grading.text import fold, narrow, visible

TIE = 1e-9  # relative difference of probabilities that counts as none


@grader
def multiple_choice(
    answer: str,
    expected: str,
    evidence: Evidence,
    *,
    choices: dict[str, str] | None = None,
    by: Literal["text", "logprob"] = "text",
) -> Grade:
    """The answer picks the expected letter.

    expected: a letter (A to Z), or the text of a choice. choices: letter -> its text; then an answer that gives the
    text of exactly one choice counts as that letter. Reads "B", "(B)", "B. Paris", "I think it is B", "Option A is wrong, so
    the answer is B" (see burnish.grading.reading.choice); a bare "a" inside a sentence is the article, not choice A.

    by `logprob`: the pick is the letter of `choices` (then required) that is likeliest to stand first, whatever the
    model goes on to write; probabilities of the same letter (`B`, ` B`, `(B`) are added up. The question is asked with one
    token and its 20 likeliest alternatives; where the endpoint gives none, the grade is a skip.
    """
    if by == "logprob" and not choices:
        raise InvalidInputError(
            "grader 'multiple_choice': by logprob needs `choices`, the letters that are offered",
            field="grader.args.choices",
        )
    texts = {letter.upper(): fold(text) for letter, text in (choices or {}).items()}
    wanted = _letter_of(expected, texts)
    if wanted is None:
        return skipping(f"the expected answer {expected[:80]!r} is neither a letter nor the text of a choice")
    if by == "logprob":
        if evidence.first_token_logprobs is None:
            return skipping("the endpoint gave no log-probabilities of the answer's first token: use by='text'")
        picked = _likeliest(evidence.first_token_logprobs, texts)
    else:
        picked = read_choice(answer, texts)
    if not picked:
        return failing("no-choice", "the answer names no choice")
    if len(picked) > 1:
        return failing("several-choices", f"the answer names {', '.join(sorted(picked))}")
    (got,) = picked
    return passing() if got == wanted else failing("wrong-choice", f"expected {wanted}, got {got}")


def _likeliest(logprobs: Mapping[str, float], texts: dict[str, str]) -> set[str]:
    """The offered letter of the highest probability; several where they tie, none where no token is one."""
    sums: dict[str, float] = {}
    for token, logprob in logprobs.items():
        letter = narrow(visible(token)).strip(" \t\n*_([\"'`).:▁Ġ").upper()
        if letter in texts:
            sums[letter] = sums.get(letter, 0.0) + math.exp(logprob)
    best = max(sums.values(), default=0.0)
    return {letter for letter, probability in sums.items() if best > 0 and probability >= best * (1 - TIE)}


def _letter_of(expected: str, texts: dict[str, str]) -> str | None:
    stripped = expected.strip().strip("()[].:").upper()
    if len(stripped) == 1 and stripped.isalpha() and (not texts or stripped in texts):
        return stripped
    matching = [letter for letter, text in texts.items() if text == fold(expected)]
    return matching[0] if len(matching) == 1 else None
