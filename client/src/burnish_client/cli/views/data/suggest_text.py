"""What `burnish review suggest` prints: what it will ask, and what came of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from burnish_client.cli.views import console

if TYPE_CHECKING:
    from burnish.schemas.review import SuggestionTeacher
    from burnish_client.evaluation.request import Prices
    from burnish_client.evaluation.suggesting import Plan, Suggested, Teacher

SHOWN_PROBLEMS = 5
TEACHER_COLUMNS = ("model", "host", ">all", ">passed", ">ungraded", ">failed", ">accepted")
TOKENS_A_PRICE = 1_000_000


def show_plan(plan: Plan, teacher: Teacher, price: Prices | None) -> None:
    money = ""
    if price is not None:
        most = _money(price, plan.forecast.prompt_tokens, plan.forecast.completion_tokens)
        money = f"; at most about {most}"
    console.note(f"teacher {console.one_line(teacher.model)} at {teacher.host}, {plan.forecast.sentence()}{money}")
    if plan.left:
        console.note(f"[yellow]{plan.left:,} more items do not fit into the budget:[/] raise --most-tokens")
    for reason, count in Counter(plan.unasked.values()).items():
        console.note(f"{count:,} items are not asked: {reason}")


def plan_json(plan: Plan, teacher: Teacher) -> dict[str, Any]:
    return {
        "teacher": {"model": teacher.model, "host": teacher.host},
        "to_ask": plan.forecast.answers,
        "prompt_tokens": plan.forecast.prompt_tokens,
        "completion_tokens": plan.forecast.completion_tokens,
        "left": plan.left,
        "unasked": plan.unasked,
    }


def as_json(done: Suggested, plan: Plan, run_log_id: str, teacher: Teacher) -> dict[str, Any]:
    return {
        "run_log_id": run_log_id,
        "teacher": {"model": teacher.model, "host": teacher.host},
        "asked": len(plan.prompts),
        "kept": done.kept,
        "grades": done.grades,
        "problems": done.problems,
        "left": plan.left,
        "unasked": plan.unasked,
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.completion_tokens,
    }


def show(done: Suggested, plan: Plan, run_log_id: str, page: str, price: Prices | None) -> None:
    cost = f", {_money(price, done.prompt_tokens, done.completion_tokens)}" if price is not None else ""
    console.out().print(
        f"[bold green]{done.kept:,} suggestions[/] for {len(plan.prompts):,} items: {done.grades['passed']:,} pass their grader, "
        f"{done.grades['failed']:,} fail it, {done.grades['ungraded']:,} are not graded; {done.prompt_tokens:,} tokens in, "
        f"{done.completion_tokens:,} out{cost}"
    )
    for question_id, problem in list(done.problems.items())[:SHOWN_PROBLEMS]:
        console.note(f"[yellow]{console.one_line(question_id)}:[/] {console.one_line(problem)}")
    if done.problems:
        more = len(done.problems) - SHOWN_PROBLEMS
        rest = f"{more:,} more items have none; " if more > 0 else ""
        console.note(f"{rest}the same command asks again for those without a suggestion")
    if done.kept:
        console.note(
            "Nothing is accepted yet: a person decides, or the dataset takes those that passed as a teacher's."
        )
        console.note(f"[dim]in a browser:[/] {page}")
        console.next_step(f"burnish review export {run_log_id} --prefill suggestion --out review.jsonl")


def teacher_row(teacher: SuggestionTeacher) -> list[str]:
    from burnish.schemas.review import SUGGESTION_GRADES

    counts = [teacher.grades.get(grade, 0) for grade in SUGGESTION_GRADES]
    numbers = [f"{number:,}" for number in (sum(counts), *counts, teacher.accepted)]
    return [console.one_line(teacher.model), teacher.host, *numbers]


def _money(price: Prices, prompt_tokens: int, completion_tokens: int) -> str:
    spent = (prompt_tokens * price.prompt + completion_tokens * price.completion) / TOKENS_A_PRICE
    return f"{spent:.2f} {price.currency}"
