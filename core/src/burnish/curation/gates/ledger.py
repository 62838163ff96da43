"""Why a question is not in the rows, question by question: what becomes `left-out.jsonl` and the manifest's counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from burnish.curation.gates.lookalikes import Like
from burnish.schemas.dataset import LeftOut, LeftOutAction


class Ledger:
    """Lines in the order in which the gates wrote them."""

    def __init__(self) -> None:
        self.lines: list[LeftOut] = []
        self._counts: Counter[str] = Counter()

    def leave_out(self, reason: str, question_ids: Iterable[str], like: Like | str | None = None) -> None:
        self._write("left out", reason, question_ids, like)

    def mask(self, reason: str, question_ids: Iterable[str]) -> None:
        self._write("masked", reason, question_ids, None)

    def doubt(self, reason: str, question_ids: Iterable[str], like: Like | str | None = None) -> None:
        """The rows stay."""
        self._write("doubted", reason, question_ids, like)

    def explain(self, reason: str, better: Mapping[str, str]) -> None:
        """Say more of questions that were left out for this reason: question id -> the reason instead."""
        self.lines = [
            line.model_copy(update={"reason": better[line.question_id]})
            if line.reason == reason and line.question_id in better
            else line
            for line in self.lines
        ]

    def count(self, reason: str, number: int) -> None:
        """Left out, without a line for each: for reasons that hold for any number of questions of a large log."""
        self._counts[reason] += number

    @property
    def left_out(self) -> dict[str, int]:
        """Reason -> how many, in order of the reasons; without those of none."""
        return dict(sorted((self._counts + Counter(self.reasons("left out"))).items()))

    def reasons(self, action: LeftOutAction) -> dict[str, int]:
        """Reason -> lines with this action, in order of the reasons."""
        return dict(sorted(Counter(line.reason for line in self.lines if line.action == action).items()))

    def questions(self, action: LeftOutAction, reason: str = "") -> list[str]:
        """Of the lines with this action, and a reason that begins so."""
        return [line.question_id for line in self.lines if line.action == action and line.reason.startswith(reason)]

    def _write(self, action: LeftOutAction, reason: str, question_ids: Iterable[str], like: Like | str | None) -> None:
        other = like.key if isinstance(like, Like) else like
        similarity = round(like.similarity, 3) if isinstance(like, Like) else None
        self.lines += [
            LeftOut(question_id=each, action=action, reason=reason, like=other, similarity=similarity)
            for each in question_ids
        ]
