"""Rules that turn scores into grades: given by the user, or, for booleans and words that say pass or fail, by default. A number has no default.

A rule is `NAME:CONDITION=MEANING,…`. CONDITION: true, false, a word, or a comparison (`>=0.8`). MEANING: a known grade, `ungraded`, or `hit` and `miss`
for a score of retrieval. `NAME:ignore` keeps a score as feedback alone. One comparison alone means `incorrect` (`miss`) for all other numbers.
"""

from __future__ import annotations

import json
import operator
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from burnish.errors import InvalidInputError
from burnish.runlogs.traces.pieces import Feedback, Value
from burnish.schemas.logged import UNGRADED
from burnish.schemas.runlog import FAILING_GRADES, PASSING_GRADES

IGNORE = "ignore"
HIT, MISS = "hit", "miss"
MEANINGS = (*PASSING_GRADES, *FAILING_GRADES, UNGRADED, HIT, MISS)
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
CLAUSE = re.compile(r"^\s*(>=|<=|>|<|)\s*(.+?)\s*=\s*([^=<>]+?)\s*$")
BAD_THINGS = re.compile(
    r"halluc|toxic|error|fail|violat|refus|bias|unsafe|harm|leak|inject|spam|wrong|incorrect|negative|dislike", re.I
)
WORDS_KEPT = 20
WORDS = dict.fromkeys(PASSING_GRADES, "correct") | dict.fromkeys(FAILING_GRADES, "incorrect")
DEFAULT = "true=correct,false=incorrect"
CORRECT_LETTERS = {"c": "correct", "i": "incorrect", "p": "partial"}  # inspect_ai's


@dataclass(frozen=True)
class Rule:
    """text: as the user gave it. comparisons: (sign, limit, meaning). words: casefolded word -> meaning."""

    name: str
    text: str
    comparisons: tuple[tuple[str, float, str], ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    is_default: bool = False

    def meaning(self, value: Value) -> str | None:
        """What the value means; None if the rule does not say."""
        word = str(value).strip().casefold()
        if word in self.words:
            return self.words[word]
        number = _number(value)
        if number is None:
            return None
        if number in (0.0, 1.0) and not self.comparisons:
            return self.words.get("true" if number else "false")
        for sign, limit, meaning in self.comparisons:
            if COMPARISONS[sign](number, limit):
                return meaning
        if len(self.comparisons) == 1:
            return {HIT: MISS, MISS: HIT}.get(self.comparisons[0][2]) or (
                "incorrect" if self.comparisons[0][2] in PASSING_GRADES else "correct"
            )
        return None


def parse_rule(text: str) -> Rule:
    """InvalidInputError that says what is wrong with it."""
    name, sign, clauses = text.rpartition(":")
    if not sign or not name:
        raise InvalidInputError(
            f"score rule {text!r}: write NAME:CONDITION=MEANING, as in thumbs:true=correct,false=incorrect",
            field="score",
        )
    if clauses.strip() == IGNORE:
        return Rule(name, clauses)
    comparisons, words = [], {}
    for clause in clauses.split(","):
        match = CLAUSE.match(clause)
        if match is None:
            raise InvalidInputError(
                f"score rule {text!r}: {clause!r} is no CONDITION=MEANING, as in >=0.8=correct", field="score"
            )
        comparison, condition, meaning = match[1], match[2], match[3].casefold()
        if meaning not in MEANINGS:
            raise InvalidInputError(
                f"score rule {text!r}: {meaning!r} is no known grade; there are {', '.join(MEANINGS)}", field="score"
            )
        if not comparison:
            words[condition.casefold()] = meaning
            continue
        limit = _number(condition)
        if limit is None:
            raise InvalidInputError(f"score rule {text!r}: {condition!r} is no number to compare with", field="score")
        comparisons.append((comparison, limit, meaning))
    return Rule(name, clauses, tuple(comparisons), words)


def read_rules(texts: Iterable[str], file: Path | None = None) -> dict[str, Rule]:
    """Score name -> rule, of `--score` options and a JSON file {"name": "clauses"}; an option goes before the file."""
    given = []
    if file is not None:
        try:
            in_file = json.loads(file.read_bytes())
        except (ValueError, OSError) as error:
            raise InvalidInputError(f"{file} is no JSON object of score rules: {error}", file=file) from error
        if not isinstance(in_file, dict):
            raise InvalidInputError(f'{file}: write {{"SCORE": "true=correct,false=incorrect"}}', file=file)
        given = [f"{name}:{clauses}" for name, clauses in in_file.items()]
    return {rule.name: rule for rule in map(parse_rule, [*given, *texts])}


@dataclass
class Seen:
    """What came under one score name."""

    count: int = 0
    numbers: int = 0
    lowest: float = float("inf")
    highest: float = float("-inf")
    words: Counter[str] = field(default_factory=Counter)

    def add(self, value: Value) -> None:
        self.count += 1
        if isinstance(value, int | float) and not isinstance(value, bool):
            self.numbers += 1
            self.lowest, self.highest = min(self.lowest, value), max(self.highest, value)
        elif len(self.words) < WORDS_KEPT or str(value) in self.words:
            self.words[str(value)] += 1

    def __str__(self) -> str:
        if self.numbers:
            return f"{self.count:,} from {self.lowest:g} to {self.highest:g}"
        return f"{self.count:,}: " + ", ".join(f"{word} ({count:,})" for word, count in self.words.most_common(5))


class Scores:
    """Applies the rules and remembers what they met."""

    def __init__(self, rules: Mapping[str, Rule] | None = None) -> None:
        self.rules = dict(rules or {})
        self.seen: dict[str, Seen] = {}
        self.used: dict[str, Rule] = {}
        self.open: dict[str, str] = {}  # score that needs a rule -> why

    def meaning(self, feedback: Feedback) -> tuple[str | None, Rule | None]:
        """(known grade, `ungraded`, hit, miss or None, the rule that says so)."""
        if feedback.value is None or feedback.value == "":
            return None, None
        seen = self.seen.setdefault(feedback.name, Seen())
        seen.add(feedback.value)
        rule = self.rules.get(feedback.name) or self._default(feedback)
        if rule is None:
            return None, None
        self.used[feedback.name] = rule
        return rule.meaning(feedback.value), rule

    def _default(self, feedback: Feedback) -> Rule | None:
        value, name = feedback.value, feedback.name
        if isinstance(value, int | float) and not isinstance(value, bool):
            self.open.setdefault(name, "a number")
            return None
        word = str(value).strip().casefold()
        if not isinstance(value, bool) and word not in WORDS:
            if name in self.used and self.used[name].is_default:
                self.open.setdefault(name, f"{value!r} beside words that are grades")
            return None
        if BAD_THINGS.search(name):
            self.open.setdefault(name, "its name may say something bad")
            return None
        if isinstance(value, bool):
            return Rule(name, DEFAULT, words={"true": "correct", "false": "incorrect"}, is_default=True)
        return Rule(name, "words that are grades", words=WORDS, is_default=True)

    def check(self) -> None:
        """InvalidInputError with the options to type if a score needs a rule."""
        if not self.open:
            return
        found = "; ".join(f"{name!r} ({why}): {self.seen[name]}" for name, why in self.open.items())
        raise InvalidInputError(
            f"these scores need a rule before they can be grades: {found}. Import again with {self.options}, after you have set what passes; "
            "`NAME:ignore` keeps a score as feedback alone",
            field="score",
            scores=json.dumps(list(self.open)),
        )

    @property
    def options(self) -> str:
        """What to type for the scores that need a rule: an example of each."""
        return " ".join(f"--score {shlex.quote(f'{name}:{self._example(name)}')}" for name in self.open)

    def _example(self, name: str) -> str:
        seen = self.seen[name]
        if seen.numbers:
            return f">={(seen.lowest + seen.highest) / 2:g}=correct"
        words: list[Any] = [word for word, _ in seen.words.most_common(4)]
        return ",".join(f"{word.lower() if word in ('True', 'False') else word}=…" for word in words)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return float(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
