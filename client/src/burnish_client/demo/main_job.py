"""`run`: the whole loop through the client's public interfaces: questions, failures, corrections, adapter, verdict.

Called by `burnish demo` and the e2e test. Every figure it prints was measured in the run that prints it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import orjson

from burnish.errors import BurnishError, Code
from burnish.jsonl import to_jsonl
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.benchmark import BenchmarkManifest, BenchmarkQuestion
from burnish.schemas.dataset import DatasetManifest, DatasetSpec
from burnish.schemas.runlog import RunLogLine
from burnish.verdict import Thresholds
from burnish_client.cli.views import console, stack_text
from burnish_client.cli.views.data import data_text
from burnish_client.cli.views.evaluation.answers import answer_progress
from burnish_client.cli.views.evaluation.evaluation_text import show_verdict
from burnish_client.config.endpoints import ClientSettings
from burnish_client.config.env_file import EnvFile
from burnish_client.demo import serving
from burnish_client.demo.clock import Clock
from burnish_client.demo.promotion import promote_and_roll_back
from burnish_client.demo.recipe import FULL, Recipe
from burnish_client.demo.services import Services, open_services, settings_of_compose, settings_of_embedded
from burnish_client.demo.stdlib_benchmark import generate
from burnish_client.demo.targets import Target, choose_target, fill_review_file
from burnish_client.demo.training import train
from burnish_client.evaluation.asking.ask import Side, ask_sides
from burnish_client.evaluation.comparison import Evaluation, evaluate
from burnish_client.evaluation.grade import check_questions, make_run_log
from burnish_client.evaluation.output import store
from burnish_client.evaluation.request import EvalInputs, EvalRequest, Sampling
from burnish_client.stack.control import Launch, interruptible
from burnish_client.stack.settings import StackSettings

STEPS = 11


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
    compose: EnvFile | None = None,
) -> Evaluation:
    """Run the loop once and return its evaluation. All its files are in `out`.

    home: state folder of the stack (default BURNISH_HOME). A stack that runs there is used and left running. One that
    was started here is ended at the end, also by Ctrl-C, unless keep_up. compose: run through this compose stack
    instead, and start nothing. out: default <home>/demo/seed-<seed>-<time>.
    Raises NotImprovedError if the held-out targeted questions did not improve significantly.
    """
    recipe = recipe if questions is None else replace(recipe, questions=questions)
    settings = StackSettings() if home is None else StackSettings(home=home)
    folder = out or settings.home / "demo" / f"seed-{seed}-{datetime.now():%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True, exist_ok=True)
    clock = Clock(STEPS)
    with interruptible(), ExitStack() as opened:
        launch = None if compose else opened.enter_context(Launch(settings))
        with clock.step("The stack"):
            settings_of_stack = _start(launch) if launch else _find(compose)
            services = opened.enter_context(open_services(settings_of_stack))
        evaluation = MainJob(services, seed, recipe, folder, clock).do()
        _show_ending(evaluation, clock, folder)
        if keep_up and launch:
            launch.detach()
            _print("the stack is left running: `burnish status` shows it, `burnish down` ends it")
    check_improved(evaluation)
    return evaluation


def _find(stack: EnvFile | None) -> ClientSettings:
    """Of the compose stack, which must be up. Nothing is started or ended here."""
    assert stack is not None
    settings = settings_of_compose(stack)
    addresses = ", ".join(f"{service} {address}" for service, address in stack.addresses.items())
    _print(f"the compose stack: {addresses}; left as it is")
    return settings


def _start(launch: Launch) -> ClientSettings:
    state = stack_text.wait_healthy(launch, console.out())
    console.out().print(stack_text.parts_table(state))
    started = "started for this demo" if launch.is_owner else "found running, and left running afterwards"
    _print(f"{started}; state in {console.path_text(launch.home)}")
    return settings_of_embedded(state)


@dataclass(frozen=True)
class MainJob:
    """One run of the loop on a stack that is up. Every method is a step."""

    services: Services
    seed: int
    recipe: Recipe
    folder: Path
    clock: Clock

    @property
    def sampling(self) -> Sampling:
        return Sampling(seed=self.seed)

    def do(self) -> Evaluation:
        step = self.clock.step
        with step("A benchmark from this machine's standard library"):
            questions, benchmark = self.make_benchmark()
        with step(f"The base model answers it {self.recipe.base_samples} times: a graded run log"):
            run_log = self.ask_base(questions)
        with step("Import and diagnosis"):
            run_log_id, target = self.diagnose(benchmark.name)
        with step("Review file out, corrections in"):
            self.correct(run_log_id, target, questions)
        with step("Dataset"):
            dataset = self.build_dataset(run_log_id, target, benchmark)
        with step("Training"):
            reference = train(self.services.trainer, dataset, self.recipe, self.seed)
        with step("The new adapter answers, from the vLLM that has been running all along"):
            adapter = serving.first_answer(self.services, reference, questions, dataset)
            serving.mixed_batch(self.services, adapter, questions, dataset, run_log, self.sampling, self.folder)
        with step("Evaluation: base and adapter, paired question by question"):
            evaluation = self.evaluate(questions, benchmark, dataset, adapter, run_log, target)
        with step("Verdict"):
            store(self.services.curator, evaluation.manifest, evaluation.folder)
            show_verdict(evaluation.verdict)
            _print(f"stored as eval {evaluation.manifest.id}; the adapter is {evaluation.manifest.candidate_model}")
        with step("Promotion: which version answers to the bare name"):
            promote_and_roll_back(self.services, evaluation, adapter, questions[0])
        return evaluation

    def make_benchmark(self) -> tuple[list[BenchmarkQuestion], BenchmarkManifest]:
        questions = generate(self.seed, self.recipe.questions, target_weight=self.recipe.target_weight)
        check_questions(questions)
        path = self.folder / "benchmark.jsonl"
        path.write_bytes(to_jsonl(questions, exclude_none=True))
        manifest = self.services.curator.import_benchmark(path, name=f"stdlib-seed-{self.seed}")
        _show_benchmark(questions, manifest, path)
        return questions, manifest

    def ask_base(self, questions: Sequence[BenchmarkQuestion]) -> list[RunLogLine]:
        """Ask, grade, and write the run log to disk."""
        with answer_progress("answers") as progress:
            side = Side(
                self.services.endpoint,
                self.services.base_model,
                self.folder / "answers-base.jsonl",
                samples=self.recipe.base_samples,
            )
            asked = ask_sides(
                [side],
                questions,
                sampling=self.sampling,
                concurrency=self.recipe.concurrency,
                progress=progress,
            )
            (answers,) = asyncio.run(asked)
        lines = make_run_log(questions, answers, run_id="base")
        path = self.folder / "runlog.jsonl"
        path.write_bytes(to_jsonl(lines, exclude_none=True))
        failed = sum(answer.error is not None for answer in answers)
        _print(
            f"{self.services.base_model}: {len(lines)} graded answers, {failed} without one, in {console.path_text(path)}"
        )
        _show_pass_rates(lines)
        return lines

    def diagnose(self, name: str) -> tuple[str, Target]:
        """Id of the imported run log, and what to train on."""
        manifest = self.services.curator.import_run_log(self.folder / "runlog.jsonl", name).manifest
        _print(f"imported {manifest.accepted} lines, {manifest.rejected} rejected")
        diagnosis = self.services.curator.diagnosis(manifest.id)
        data_text.show_diagnosis(diagnosis)
        target = choose_target(diagnosis)
        console.out().print(f"[bold]{console.one_line(target.sentence)}[/]")
        return manifest.id, target

    def correct(self, run_log_id: str, target: Target, questions: Sequence[BenchmarkQuestion]) -> None:
        curator, path = self.services.curator, self.folder / "review.jsonl"
        items = curator.export_review(run_log_id, target.labels)
        path.write_bytes(to_jsonl(items))
        _print(f"{len(items)} failed questions out, with an empty `corrected_output`: {console.path_text(path)}")
        filled = fill_review_file(path, {question.question_id: question.expected_answer for question in questions})
        _print(
            "a person would correct them in that file, or in a browser at "
            f"{curator.review_page_url(run_log_id, target.labels)}"
        )
        _print(f"here the benchmark's known-good answers have filled {filled} of them, in the same file")
        answer = curator.import_review(run_log_id, path)
        _print(f"{answer.accepted} corrections in, {answer.empty} empty, {len(answer.rejected_lines)} rejected")

    def build_dataset(self, run_log_id: str, target: Target, benchmark: BenchmarkManifest) -> DatasetManifest:
        spec = DatasetSpec(
            name=f"fix-{target.slice}",
            run_log_id=run_log_id,
            labels=target.labels,
            held_out_share=self.recipe.held_out_share,
            anchor_ratio=self.recipe.anchor_ratio,
            anchor_pool_share=self.recipe.anchor_pool_share,
            benchmark=f"{benchmark.name}/{benchmark.version}",
            seed=self.seed,
        )
        dataset = self.services.curator.build_dataset(spec)
        data_text.show_dataset(dataset)
        return dataset

    def evaluate(
        self,
        questions: Sequence[BenchmarkQuestion],
        benchmark: BenchmarkManifest,
        dataset: DatasetManifest,
        adapter: AdapterManifest,
        run_log: Sequence[RunLogLine],
        target: Target,
    ) -> Evaluation:
        reference = f"{adapter.name}@{adapter.version}"
        request = EvalRequest(
            benchmark=f"{benchmark.name}/{benchmark.version}",
            endpoint=self.services.endpoint,
            base_model=self.services.base_model,
            candidate_model=reference,
            adapter=reference,
            dataset=f"{dataset.name}/{dataset.version}",
            base_samples=self.recipe.base_samples,
            sampling=self.sampling,
            concurrency=self.recipe.concurrency,
            reproduce=f"burnish demo --seed {self.seed} --questions {len(questions)}",
        )
        inputs = EvalInputs(questions, dataset, adapter, clusters=target.clusters, base_run_log=run_log)
        with answer_progress("answers") as progress:
            done = asyncio.run(evaluate(request, inputs, out=self.folder, progress=progress))
        asked_again = len(done.base_rows) - done.reused_base_answers
        _print(
            f"{len(done.candidate_rows)} answers of the adapter; of the base {done.reused_base_answers} came from the "
            f"run log and {asked_again} were asked again"
        )
        return done


def _print(line: str) -> None:
    """A line as it is, without wrapping: paths and addresses stay whole."""
    console.out().print(line, soft_wrap=True, markup=False)


def _show_benchmark(questions: Sequence[BenchmarkQuestion], manifest: BenchmarkManifest, path: Path) -> None:
    shown = console.table("slice", ">questions", "grader", "~for example")
    for name, number in manifest.slices.items():
        example = next(question for question in questions if question.slice == name)
        shown.add_row(name, str(number), example.grader.name, console.one_line(example.question))
    console.show_table(shown)
    files = len({file for question in questions for file in question.evidence_files})
    _print(
        f"{len(questions)} questions on functions of {files} files; known-good answers read off by ast, all pass their graders"
    )
    _print(f"benchmark {manifest.name}@{manifest.version}, also in {console.path_text(path)}")


def _show_pass_rates(lines: Sequence[RunLogLine]) -> None:
    runs = sorted({line.run_id or "" for line in lines})
    asked = Counter((line.slice, line.run_id) for line in lines)
    passed = Counter((line.slice, line.run_id) for line in lines if line.grade == "correct")
    shown = console.table("slice", *(f">passed in {run}" for run in runs))
    for name in sorted({line.slice or "" for line in lines}):
        shown.add_row(name, *(f"{passed[name, run]} of {asked[name, run]}" for run in runs))
    console.show_table(shown)


def _show_ending(done: Evaluation, clock: Clock, folder: Path) -> None:
    (folder / "timings.json").write_bytes(orjson.dumps(clock.seconds, option=orjson.OPT_INDENT_2))
    shown = console.table("~step", ">time")
    for title, seconds in clock.seconds.items():
        shown.add_row(title, console.duration(seconds))
    shown.add_row("[bold]all[/]", f"[bold]{console.duration(clock.total_seconds)}[/]")
    out = console.out()
    out.print()
    console.show_table(shown)
    if done.verdict.verdict == "investigate":
        out.print("[yellow]It improved, and something else got worse: read the regressions before shipping it.[/]")
    elif done.verdict.verdict == "inconclusive":
        out.print("[yellow]It improved; that nothing else broke needs more rest questions to be shown.[/]")
    _print(f"postmortem  {console.path_text(folder)}/postmortem.md")
    _print(f"report      {console.path_text(folder)}/report.html")


def check_improved(done: Evaluation) -> None:
    """Raise NotImprovedError, with the most decisive reason, unless the held-out target improved significantly.

    `inconclusive` may be about the other questions only: a few hundred seldom show that nothing else broke.
    """
    targeted = done.verdict.targeted
    if targeted.p_value is None or targeted.p_value >= Thresholds().alpha or (targeted.delta or 0.0) <= 0:
        raise NotImprovedError(
            f"the adapter did not improve measurably: verdict {done.verdict.verdict}. {done.verdict.reasons[0]}",
            verdict=done.verdict.verdict,
        )
