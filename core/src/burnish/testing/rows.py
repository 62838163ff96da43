"""Builders of eval rows, so that a test says only what it is about."""

from __future__ import annotations

from collections.abc import Sequence

from burnish.schemas.evaluation import EvalRow


def eval_row(
    question_id: str,
    passed: bool | None,
    *,
    sample: int = 0,
    slice: str = "all",
    targeted: bool = False,
    held_out: bool = True,
    error: str | None = None,
    skipped_reason: str | None = None,
    answer: str | None = None,
) -> EvalRow:
    """One row; its score follows from passed, a failing row is labelled `wrong-value`."""
    return EvalRow(
        question_id=question_id,
        sample=sample,
        slice=slice,
        targeted=targeted,
        held_out=held_out,
        passed=passed,
        score=None if passed is None else float(passed),
        failure_label="wrong-value" if passed is False else None,
        error=error,
        skipped_reason=skipped_reason,
        answer=answer if answer is not None else str(passed),
    )


def eval_side(
    outcomes: Sequence[str], *, prefix: str, slice: str = "all", targeted: bool = False, held_out: bool = True
) -> list[EvalRow]:
    """Rows of one side. outcomes: a text a question, a character a sample: `P` passed, `F` failed, `S` skipped, `E` error."""
    rows = []
    for number, text in enumerate(outcomes):
        for sample, letter in enumerate(text):
            rows.append(
                eval_row(
                    f"{prefix}{number:04d}",
                    {"P": True, "F": False}.get(letter),
                    sample=sample,
                    slice=slice,
                    targeted=targeted,
                    held_out=held_out,
                    skipped_reason="cannot be graded" if letter == "S" else None,
                    error="HTTP 500" if letter == "E" else None,
                )
            )
    return rows
