"""The demo's serving step: how soon the new adapter answers, and that base and adapter answer correctly in one batch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from burnish.grading import grade
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.dataset import DatasetManifest
from burnish.schemas.runlog import RunLogLine
from burnish_client.cli.views import console
from burnish_client.demo.services import Services
from burnish_client.evaluation.asking.answers import Answer
from burnish_client.evaluation.asking.ask import Side, ask_sides
from burnish_client.evaluation.request import Sampling

QUESTIONS_OF_EACH_KIND = 4
FIRST_ANSWER_TOKENS = 12


def first_answer(
    services: Services, reference: tuple[str, str], questions: Sequence[BenchmarkQuestion], dataset: DatasetManifest
) -> AdapterManifest:
    """Ask the adapter for the beginning of an answer, and print how old its manifest was when the answer came."""
    name, version = reference
    question = next(question for question in questions if question.question_id in dataset.split.held_out)
    answer = services.inference.chat(f"{name}@{version}", question.prompt_messages(), max_tokens=FIRST_ANSWER_TOKENS)
    answered_at = datetime.now(UTC)
    manifest = services.inference.adapter(name, version)
    out = console.out()
    out.print(
        f"first {answer.completion_tokens} tokens {(answered_at - manifest.created_at).total_seconds():.1f} s after the "
        f"adapter's manifest: {console.one_line(answer.text)} …",
        soft_wrap=True,
    )
    return manifest


def mixed_batch(
    services: Services,
    adapter: AdapterManifest,
    questions: Sequence[BenchmarkQuestion],
    dataset: DatasetManifest,
    run_log: Sequence[RunLogLine],
    sampling: Sampling,
    folder: Path,
) -> None:
    """Ask base and adapter the same few questions at the same time, and compare the base's answers with its earlier ones."""
    held_out = set(dataset.split.held_out)
    used = {*dataset.split.targeted, *dataset.split.anchors}
    targeted = [q for q in questions if q.question_id in held_out][:QUESTIONS_OF_EACH_KIND]
    rest = [q for q in questions if q.question_id not in used][:QUESTIONS_OF_EACH_KIND]
    chosen = [*targeted, *rest]
    sides = [
        Side(services.endpoint, services.base_model, folder / "mixed-base.jsonl"),
        Side(services.endpoint, f"{adapter.name}@{adapter.version}", folder / "mixed-candidate.jsonl"),
    ]
    base, candidate = asyncio.run(ask_sides(sides, chosen, sampling=sampling, concurrency=2 * len(chosen)))
    _show_mixed(chosen, base, candidate, run_log)


def _show_mixed(
    questions: Sequence[BenchmarkQuestion],
    base: Sequence[Answer],
    candidate: Sequence[Answer],
    run_log: Sequence[RunLogLine],
) -> None:
    earlier: dict[str, RunLogLine] = {}
    for line in run_log:
        earlier.setdefault(line.question_id, line)
    shown = console.table("slice", "~the base says", "~the adapter says")
    same_text = same_grade = 0
    for question, of_base, of_candidate in zip(questions, base, candidate, strict=True):
        shown.add_row(question.slice, console.one_line(of_base.text), console.one_line(of_candidate.text))
        before = earlier[question.question_id]
        same_text += of_base.text == before.answer
        same_grade += _passes(question, of_base) == (before.grade == "correct")
    out = console.out()
    out.print(f"one batch, {2 * len(questions)} requests at once, base and adapter mixed:")
    console.show_table(shown)
    out.print(
        f"the base answers as it did before the adapter was there: {same_text} of {len(questions)} to the letter "
        f"(bf16 rounds by batch), {same_grade} of {len(questions)} with the same grade",
        soft_wrap=True,
    )


def _passes(question: BenchmarkQuestion, answer: Answer) -> bool:
    return answer.text is not None and bool(grade(question.grader, answer.text, question.expected_answer).passed)
