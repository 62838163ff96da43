"""Eval rows of two sides, read, checked and paired by question. Called by burnish.verdict.decision, the CLI and the report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from pydantic import ValidationError

from burnish.errors import InvalidInputError, NotFoundError, validation_problems
from burnish.schemas.evaluation import EvalRow, JudgeCalibration

NAMED_AT_MOST = 5


@dataclass(frozen=True)
class Pair:
    """One question that both sides have graded answers to.

    base, candidate: outcomes of all graded samples, in sample order. All below is over the first k samples of each side, k the
    smaller of the two counts: the same rule on both sides, so that asking one side more often favours neither.
    base_passed, candidate_passed: by majority, a tie going to the first sample. base_rate, candidate_rate: share passed.
    base_score, candidate_score: mean score, None where a sample has none. judges: digests of the judges that graded any row.
    chance: pass rate of a guess, None if unknown.
    """

    question_id: str
    slice: str
    targeted: bool
    held_out: bool
    base: tuple[bool, ...]
    candidate: tuple[bool, ...]
    base_passed: bool
    candidate_passed: bool
    base_answer: str | None
    candidate_answer: str | None
    group: str | None = None
    judges: frozenset[str] = frozenset()
    base_score: float | None = None
    candidate_score: float | None = None
    chance: float | None = None

    @property
    def samples(self) -> int:
        """k."""
        return min(len(self.base), len(self.candidate))

    @property
    def base_rate(self) -> float:
        return sum(self.base[: self.samples]) / self.samples

    @property
    def candidate_rate(self) -> float:
        return sum(self.candidate[: self.samples]) / self.samples

    @property
    def is_regression(self) -> bool:
        """The base passes every time and the candidate fails."""
        return all(self.base) and not self.candidate_passed

    @property
    def is_flaky(self) -> bool:
        """The base's own samples disagree."""
        return len(set(self.base)) > 1


@dataclass(frozen=True)
class Unpaired:
    """A question that one side or both could not be graded on, and why."""

    question_id: str
    targeted: bool
    held_out: bool
    reason: str


@dataclass(frozen=True)
class Pairing:
    """pairs and unpaired together are all questions, in the base's order."""

    pairs: list[Pair]
    unpaired: list[Unpaired]


def read_rows(path: Path) -> list[EvalRow]:
    """The rows of a base.jsonl or candidate.jsonl; empty lines are passed over.

    Raises NotFoundError, or InvalidInputError with file, line and field: not JSON (NaN is not), not a row, a row that
    contradicts itself, the same question and sample twice, a file without rows.
    """
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist")
    numbered = [(i, line) for i, line in enumerate(path.read_bytes().splitlines(), start=1) if line.strip()]
    rows = [_parse(line, f"{path} line {number}") for number, line in numbered]
    check_rows(rows, str(path), lambda index: f"{path} line {numbered[index][0]}")
    return rows


def read_calibration(path: Path) -> JudgeCalibration:
    """The file that `burnish judge calibrate` wrote. InvalidInputError if it holds something else."""
    try:
        return JudgeCalibration.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InvalidInputError(
            f"{path} is no judge calibration ({validation_problems(error, at_most=1)}): `burnish judge calibrate` writes one",
            field="calibration",
        ) from error


def pair(
    base: Sequence[EvalRow], candidate: Sequence[EvalRow], names: tuple[str, str] = ("base", "candidate")
) -> Pairing:
    """Pair two sides by question_id; names are what errors call them.

    Raises InvalidInputError where either side is empty, malformed or without one graded answer, where a question stands
    on one side only, or where the sides disagree on a question's slice, targeted, held_out or cluster.
    """
    check_rows(base, names[0], lambda index: f"{names[0]} row {index + 1}")
    check_rows(candidate, names[1], lambda index: f"{names[1]} row {index + 1}")
    of_base, of_candidate = _by_question(base), _by_question(candidate)
    _check_same_questions(of_base, of_candidate, names)
    pairing = Pairing([], [])
    for question_id, base_rows in of_base.items():
        outcome = _pair_one(base_rows, of_candidate[question_id], names)
        if isinstance(outcome, Pair):
            pairing.pairs.append(outcome)
        else:
            pairing.unpaired.append(outcome)
    return pairing


def check_rows(rows: Sequence[EvalRow], side: str, where: Callable[[int], str]) -> None:
    """Raise InvalidInputError for rows that cannot be one side of a comparison; `where` names a row by its index."""
    if not rows:
        raise InvalidInputError(f"{side} has no rows: nothing was evaluated", side=side)
    seen: dict[tuple[str, int], int] = {}
    first_of_question: dict[str, int] = {}
    for index, row in enumerate(rows):
        _check_consistent(row, where(index))
        earlier = seen.setdefault((row.question_id, row.sample), index)
        if earlier != index:
            raise InvalidInputError(
                f"{where(index)}: question {row.question_id!r} sample {row.sample} stands already at {where(earlier)}",
                question_id=row.question_id,
            )
        first = first_of_question.setdefault(row.question_id, index)
        if _nature(rows[first]) != _nature(row):
            raise InvalidInputError(
                f"{where(index)}: question {row.question_id!r} has another slice, targeted, held_out or cluster than at {where(first)}",
                question_id=row.question_id,
            )
    if all(row.passed is None for row in rows):
        raise InvalidInputError(
            f"{side}: none of {len(rows)} rows is graded; the first says: {rows[0].error or rows[0].skipped_reason}",
            side=side,
        )


def _parse(line: bytes, where: str) -> EvalRow:
    try:
        return EvalRow.model_validate(orjson.loads(line))
    except orjson.JSONDecodeError as error:
        raise InvalidInputError(f"{where}: not JSON: {error}") from error
    except ValidationError as error:
        raise InvalidInputError(f"{where}: not an eval row: {validation_problems(error, whole='row')}") from error


def _check_consistent(row: EvalRow, where: str) -> None:
    ungraded_because = row.error or row.skipped_reason
    if row.passed is None and not ungraded_because:
        raise InvalidInputError(
            f"{where}: `passed` is null without `skipped_reason` or `error`", question_id=row.question_id
        )
    if row.passed is not None and ungraded_because:
        raise InvalidInputError(
            f"{where}: `passed` is set together with `skipped_reason` or `error`", question_id=row.question_id
        )


def _nature(row: EvalRow) -> tuple[str, bool, bool, str | None]:
    return row.slice, row.targeted, row.held_out, row.cluster


def _by_question(rows: Sequence[EvalRow]) -> dict[str, list[EvalRow]]:
    grouped: dict[str, list[EvalRow]] = defaultdict(list)
    for row in rows:
        grouped[row.question_id].append(row)
    return {question_id: sorted(group, key=lambda row: row.sample) for question_id, group in grouped.items()}


def _check_same_questions(
    base: dict[str, list[EvalRow]], candidate: dict[str, list[EvalRow]], names: tuple[str, str]
) -> None:
    for side, other, only in ((*names, base.keys() - candidate), (*names[::-1], candidate.keys() - base)):
        if only:
            raise InvalidInputError(
                f"{len(only)} questions stand in {side} only ({name_some(sorted(only))}): evaluate {other} on the same questions",
                side=side,
            )
    for question_id, rows in base.items():
        if _nature(rows[0]) != _nature(candidate[question_id][0]):
            raise InvalidInputError(
                f"question {question_id!r}: {names[0]} and {names[1]} disagree on slice, targeted, held_out or cluster "
                f"({_nature(rows[0])} against {_nature(candidate[question_id][0])})",
                question_id=question_id,
            )


def _pair_one(base: list[EvalRow], candidate: list[EvalRow], names: tuple[str, str]) -> Pair | Unpaired:
    first = base[0]
    passes = [tuple(row.passed for row in rows if row.passed is not None) for rows in (base, candidate)]
    for side, rows, graded in ((names[0], base, passes[0]), (names[1], candidate, passes[1])):
        if not graded:
            reason = f"{side}: {rows[0].error or rows[0].skipped_reason}"
            return Unpaired(first.question_id, first.targeted, first.held_out, reason)
    k = min(len(passes[0]), len(passes[1]))
    base_passed, candidate_passed = (_majority(graded[:k]) for graded in passes)
    return Pair(
        question_id=first.question_id,
        slice=first.slice,
        targeted=first.targeted,
        held_out=first.held_out,
        base=passes[0],
        candidate=passes[1],
        base_passed=base_passed,
        candidate_passed=candidate_passed,
        base_answer=_answer_with(base, base_passed),
        candidate_answer=_answer_with(candidate, candidate_passed),
        group=first.cluster,
        judges=frozenset(row.judge for row in (*base, *candidate) if row.judge is not None and row.passed is not None),
        base_score=_mean_score(base, k),
        candidate_score=_mean_score(candidate, k),
        chance=first.chance,
    )


def _mean_score(rows: list[EvalRow], k: int) -> float | None:
    scores = [row.score for row in rows if row.passed is not None][:k]
    known = [score for score in scores if score is not None]
    return sum(known) / k if len(known) == k else None


def _majority(passes: tuple[bool, ...]) -> bool:
    twice = 2 * sum(passes)
    return passes[0] if twice == len(passes) else twice > len(passes)


def _answer_with(rows: list[EvalRow], passed: bool) -> str | None:
    """The first answer that had this outcome."""
    return next((row.answer for row in rows if row.passed is passed), None)


def name_some(names: Sequence[str]) -> str:
    """Up to five names, and how many more there are."""
    more = len(names) - NAMED_AT_MOST
    return ", ".join(names[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
