"""`run`: the main job, end to end, through the client's public interfaces: questions, failures, corrections, adapter, verdict.

Called by `burnish demo` and the e2e test. Every figure it prints was measured in the run that prints it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import orjson
from rich.live import Live

from burnish.errors import BurnishError, Code
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.benchmark import BenchmarkManifest, BenchmarkQuestion
from burnish.schemas.dataset import DatasetManifest, DatasetSpec
from burnish.schemas.runlog import RunLogLine
from burnish_client.cli import asking, console
from burnish_client.cli import dataset as dataset_command
from burnish_client.cli import diagnose as diagnose_command
from burnish_client.cli import stack as stack_command
from burnish_client.cli import verdict as verdict_command
from burnish_client.demo import serving
from burnish_client.demo.clock import Clock
from burnish_client.demo.doors import Doors, open_doors
from burnish_client.demo.recipe import FULL, Recipe
from burnish_client.demo.stdlib_benchmark import generate
from burnish_client.demo.targets import Target, choose_target, fill_review_file, write_review_file
from burnish_client.demo.training import train
from burnish_client.evaluation import Evaluation, Sampling, ask, check_questions, evaluate, make_run_log
from burnish_client.stack.control import Launch, interruptible
from burnish_client.stack.settings import StackSettings
from burnish_client.stack.state import StackState

STEPS = 10
IMPROVED = ("ship", "investigate")


class NotImprovedError(BurnishError):
    """The demo's adapter did not measurably improve the held-out targeted questions. The message has the numbers."""

    code = Code.FAILED_PRECONDITION


def run(
    seed: int = 0,
    home: Path | None = None,
    questions: int | None = None,
    keep_up: bool = False,
    out: Path | None = None,
    recipe: Recipe = FULL,
) -> Evaluation:
    """Do the main job and return its evaluation; every file of it stands in `out`.

    home: state folder of the stack (default BURNISH_HOME). A stack that runs there is used and left running; one that
    was started here is ended with the block, also by Ctrl-C, unless keep_up. out: default <home>/demo/seed-<seed>-<time>.
    Raises NotImprovedError where the held-out targeted questions did not improve significantly.
    """
    recipe = recipe if questions is None else replace(recipe, questions=questions)
    settings = StackSettings() if home is None else StackSettings(home=home)
    folder = out or settings.home / "demo" / f"seed-{seed}-{datetime.now():%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True, exist_ok=True)
    clock = Clock(STEPS)
    with interruptible(), Launch(settings) as launch:
        with clock.step("The stack"):
            state = _start(launch)
        with open_doors(state) as doors:
            evaluation = _main_job(doors, seed, recipe, folder, clock)
        if keep_up:
            launch.detach()
            console.out().print("the stack is left running: `burnish status` shows it, `burnish down` ends it")
    check_improved(evaluation)
    return evaluation


def _start(launch: Launch) -> StackState:
    terminal = console.out()
    if terminal.is_terminal:
        with Live(console=terminal, transient=True, refresh_per_second=4) as live:
            state = launch.wait_healthy(
                lambda now: live.update(stack_command.parts_table(now) if now else "starting …")
            )
    else:
        state = launch.wait_healthy()
    terminal.print(stack_command.parts_table(state))
    started = "started for this demo" if launch.is_owner else "found running, and left running afterwards"
    terminal.print(f"{started}; state in {console.path_text(launch.home)}", soft_wrap=True)
    return state


def _main_job(doors: Doors, seed: int, recipe: Recipe, folder: Path, clock: Clock) -> Evaluation:
    sampling = Sampling(seed=seed)
    with clock.step("A benchmark from this machine's standard library"):
        questions, benchmark = _make_benchmark(doors, seed, recipe, folder)
    with clock.step(f"The base model answers it {recipe.base_samples} times: a graded run log"):
        run_log = _ask_base(doors, questions, sampling, recipe, folder)
    with clock.step("Import and diagnosis"):
        run_log_id, target = _diagnose(doors, benchmark.name, folder)
    with clock.step("Review file out, corrections in"):
        _correct(doors, run_log_id, target, questions, folder)
    with clock.step("Dataset"):
        dataset = _build_dataset(doors, run_log_id, target, benchmark, seed, recipe)
    with clock.step("Training"):
        reference = train(doors.trainer, dataset, recipe, seed)
    with clock.step("The new adapter answers, from the vLLM that has been running all along"):
        adapter = serving.first_answer(doors, reference, questions, dataset)
        serving.mixed_batch(doors, adapter, questions, dataset, run_log, sampling, folder)
    with clock.step("Evaluation: base and adapter, paired question by question"):
        evaluation = _evaluate(doors, questions, benchmark, dataset, adapter, run_log, target, sampling, recipe, folder)
    with clock.step("Verdict"):
        _store(doors, evaluation)
        _show_verdict(evaluation)
    _show_ending(evaluation, clock, folder)
    return evaluation


def _make_benchmark(
    doors: Doors, seed: int, recipe: Recipe, folder: Path
) -> tuple[list[BenchmarkQuestion], BenchmarkManifest]:
    questions = generate(seed, recipe.questions)
    check_questions(questions)
    path = folder / "benchmark.jsonl"
    path.write_bytes(b"".join(q.model_dump_json(exclude_none=True).encode() + b"\n" for q in questions))
    manifest = doors.curator.import_benchmark(path, name=f"stdlib-seed-{seed}")
    out = console.out()
    shown = console.table("slice", ">questions", "grader", "~for example")
    for name, number in manifest.slices.items():
        example = next(question for question in questions if question.slice == name)
        shown.add_row(name, str(number), example.grader.name, console.one_line(example.question))
    console.show_table(shown)
    sources = len({file for question in questions for file in question.evidence_files})
    out.print(
        f"{len(questions)} questions on functions of {sources} files, answers read off by ast; every one passes its grader"
    )
    out.print(
        f"stored as benchmark {manifest.name}@{manifest.version}, and in {console.path_text(path)}", soft_wrap=True
    )
    return questions, manifest


def _ask_base(
    doors: Doors, questions: Sequence[BenchmarkQuestion], sampling: Sampling, recipe: Recipe, folder: Path
) -> list[RunLogLine]:
    with asking.answer_progress("answers") as progress:
        answers = asyncio.run(
            ask(
                doors.endpoint,
                doors.base_model,
                questions,
                out=folder / "answers-base.jsonl",
                samples=recipe.base_samples,
                concurrency=recipe.concurrency,
                max_tokens=sampling.max_tokens,
                temperature=sampling.temperature,
                seed=sampling.seed,
                progress=progress,
            )
        )
    lines = make_run_log(questions, answers, run_id="base")
    path = folder / "runlog.jsonl"
    path.write_bytes(b"".join(line.model_dump_json(exclude_none=True).encode() + b"\n" for line in lines))
    failed = sum(answer.error is not None for answer in answers)
    console.out().print(
        f"{doors.base_model}: {len(lines)} graded answers, {failed} without one, in {console.path_text(path)}",
        soft_wrap=True,
    )
    _show_pass_rates(lines)
    return lines


def _show_pass_rates(lines: Sequence[RunLogLine]) -> None:
    runs = sorted({line.run_id or "" for line in lines})
    asked = Counter((line.slice, line.run_id) for line in lines)
    passed = Counter((line.slice, line.run_id) for line in lines if line.grade == "correct")
    shown = console.table("slice", *(f">passed, run {run}" for run in runs))
    for name in sorted({line.slice or "" for line in lines}):
        shown.add_row(name, *(f"{passed[name, run]} of {asked[name, run]}" for run in runs))
    console.show_table(shown)


def _diagnose(doors: Doors, name: str, folder: Path) -> tuple[str, Target]:
    imported = doors.curator.import_run_log(folder / "runlog.jsonl", name)
    manifest = imported.manifest
    out = console.out()
    out.print(f"imported {manifest.accepted} lines, {manifest.rejected} rejected")
    diagnosis = doors.curator.diagnosis(manifest.id)
    diagnose_command.show(diagnosis)
    target = choose_target(diagnosis)
    out.print(f"[bold]{console.one_line(target.sentence)}[/]")
    return manifest.id, target


def _correct(
    doors: Doors, run_log_id: str, target: Target, questions: Sequence[BenchmarkQuestion], folder: Path
) -> None:
    out, path = console.out(), folder / "review.jsonl"
    items = doors.curator.export_review(run_log_id, target.labels)
    write_review_file(path, items)
    out.print(
        f"{len(items)} failed questions out, with an empty `corrected_output`: {console.path_text(path)}",
        soft_wrap=True,
    )
    filled = fill_review_file(path, {question.question_id: question.expected_answer for question in questions})
    out.print(
        f"A person would fill them in this file or at {doors.curator.review_page_url(run_log_id, target.labels[0])}; "
        f"here the benchmark's known-good answers filled {filled}, in the same file.",
        soft_wrap=True,
    )
    answer = doors.curator.import_review(run_log_id, path)
    out.print(f"{answer.accepted} corrections in, {answer.empty} empty, {len(answer.rejected_lines)} rejected")


def _build_dataset(
    doors: Doors, run_log_id: str, target: Target, benchmark: BenchmarkManifest, seed: int, recipe: Recipe
) -> DatasetManifest:
    dataset = doors.curator.build_dataset(
        DatasetSpec(
            name=f"fix-{target.slice}",
            run_log_id=run_log_id,
            labels=target.labels,
            held_out_share=recipe.held_out_share,
            anchor_ratio=recipe.anchor_ratio,
            benchmark=f"{benchmark.name}/{benchmark.version}",
            seed=seed,
        )
    )
    dataset_command.show(dataset)
    return dataset


def _evaluate(
    doors: Doors,
    questions: Sequence[BenchmarkQuestion],
    benchmark: BenchmarkManifest,
    dataset: DatasetManifest,
    adapter: AdapterManifest,
    run_log: Sequence[RunLogLine],
    target: Target,
    sampling: Sampling,
    recipe: Recipe,
    folder: Path,
) -> Evaluation:
    with asking.answer_progress("answers") as progress:
        done = asyncio.run(
            evaluate(
                questions,
                dataset,
                doors.endpoint,
                base_model=doors.base_model,
                candidate_model=f"{adapter.name}@{adapter.version}",
                out=folder,
                benchmark=f"{benchmark.name}/{benchmark.version}",
                base_run_log=run_log,
                adapter=adapter,
                clusters=target.clusters,
                base_samples=recipe.base_samples,
                sampling=sampling,
                concurrency=recipe.concurrency,
                reproduce=[f"burnish demo --seed {dataset.spec.seed} --questions {len(questions)}"],
                progress=progress,
            )
        )
    console.out().print(
        f"{len(done.candidate_rows)} questions asked of the adapter; {done.reused_base_answers} answers of the base "
        "reused from the run log, none asked again"
        if done.reused_base_answers == len(done.base_rows)
        else f"{len(done.candidate_rows)} questions asked of the adapter; {done.reused_base_answers} of {len(done.base_rows)} "
        "answers of the base reused from the run log",
        soft_wrap=True,
    )
    return done


def _store(doors: Doors, done: Evaluation) -> None:
    """Files first; the manifest, last, makes the eval exist."""
    for entry in done.manifest.files:
        doors.curator.put_eval_file(done.manifest.id, entry.path, done.folder / entry.path)
    doors.curator.create_eval(done.manifest)


def _show_verdict(done: Evaluation) -> None:
    verdict_command.show(done.verdict)
    folder = console.path_text(done.folder)
    console.out().print(
        console.facts(
            [
                ("stored", f"eval {done.manifest.id}, adapter {done.manifest.candidate_model}"),
                ("report", f"{folder}/report.html"),
                ("postmortem", f"{folder}/postmortem.md"),
            ]
        )
    )


def _show_ending(done: Evaluation, clock: Clock, folder: Path) -> None:
    (folder / "timings.json").write_bytes(orjson.dumps(clock.seconds, option=orjson.OPT_INDENT_2))
    out = console.out()
    out.print()
    shown = console.table("~step", ">time")
    for title, seconds in clock.seconds.items():
        shown.add_row(title, console.duration(seconds))
    shown.add_row("[bold]all[/]", f"[bold]{console.duration(clock.total_seconds)}[/]")
    console.show_table(shown)
    if done.verdict.verdict == "investigate":
        out.print("[yellow]It improved, but something else got worse: read the regressions before shipping it.[/]")


def check_improved(done: Evaluation) -> None:
    """Raise NotImprovedError, with the most decisive reason, unless the verdict says that the target improved."""
    if done.verdict.verdict not in IMPROVED:
        raise NotImprovedError(
            f"the adapter did not improve measurably: verdict {done.verdict.verdict}. {done.verdict.reasons[0]}",
            verdict=done.verdict.verdict,
        )
