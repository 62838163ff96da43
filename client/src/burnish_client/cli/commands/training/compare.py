"""`burnish train compare`: SFT or DPO for this cluster? One split, a job a method, the same questions, one recommendation."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from burnish_client.cli.options import sampling as asking
from burnish_client.cli.options.sampling import BenchmarkSource, Concurrency, MaxTokens
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish.schemas.benchmark import BenchmarkManifest, BenchmarkQuestion
    from burnish.schemas.evaluation import Comparison, EvalRow, JudgeCalibration
    from burnish.schemas.methods import Method
    from burnish.schemas.runlog import RunLogLine
    from burnish.verdict.decision import Thresholds
    from burnish_client.cli.options.comparison import Sides
    from burnish_client.config.endpoints import ClientSettings
    from burnish_client.evaluation import Evaluation, JudgeSettings, Sampling
    from burnish_client.sdk.curator import CuratorClient
    from burnish_client.sdk.trainer import TrainerClient, TuningJob
    from burnish_client.tuning.compare import PlannedMethod
    from burnish_client.tuning.recommendation import Duel, MethodResult, Recommendation

INCONCLUSIVE = 13  # as of `burnish verdict`
DATA, ASKING, RESULT = "The data, alike for all", "How it is asked", "The result"


def compare(
    label: Annotated[
        list[str], typer.Option(help="Failure label whose corrected questions are targeted; repeat for more.")
    ],
    benchmark: BenchmarkSource,
    run_log: Annotated[
        str | None,
        typer.Option(
            "--run-log", "--runlog", metavar="RUNLOG", help="Id or name; default: the newest.", show_default=False
        ),
    ] = None,
    methods: Annotated[
        str, typer.Option(metavar="METHODS", help="Two or more methods of `burnish train`, with commas.")
    ] = "sft,dpo",
    adapter: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Adapters become NAME-sft and so on. Default: from the label.", show_default=False
        ),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[METHOD.]NAME=VALUE",
            help="epochs=2 for each method that has it, dpo.beta=0.2 for one; repeat for more.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the split, of every training and of the sampling.", min=0)] = 0,
    retry: Annotated[bool, typer.Option("--retry", help="Train again what has failed or was cancelled.")] = False,
    held_out_share: Annotated[
        float, typer.Option(help="Share of targeted questions kept for evaluation.", rich_help_panel=DATA)
    ] = 0.3,
    validation_share: Annotated[
        float, typer.Option(help="Share of training rows for validation loss.", rich_help_panel=DATA)
    ] = 0.1,
    anchor_ratio: Annotated[
        float, typer.Option(help="Anchor examples per correction, where a format has them.", rich_help_panel=DATA)
    ] = 0.5,
    samples: Annotated[
        int, typer.Option(help="Times the base is asked.", metavar="N", min=1, rich_help_panel=ASKING)
    ] = 2,
    candidate_samples: Annotated[
        int, typer.Option(help="Times each adapter is asked.", metavar="N", min=1, rich_help_panel=ASKING)
    ] = 1,
    base_runs: Annotated[
        str | None,
        typer.Option(
            metavar="RUNLOG",
            help="Run log whose answers of the base are used instead of asking.",
            show_default=False,
            rich_help_panel=ASKING,
        ),
    ] = None,
    concurrency: Concurrency = asking.MOST_CONCURRENCY,
    max_tokens: MaxTokens = 256,
    forgetting: Annotated[
        bool,
        typer.Option(
            "--forgetting/--no-forgetting", help="Also ask the probe set of general skills.", rich_help_panel=ASKING
        ),
    ] = True,
    judge_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Default: the stack's.", show_default=False, rich_help_panel=ASKING),
    ] = None,
    judge_model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="For questions that a judge grades.", show_default=False, rich_help_panel=ASKING
        ),
    ] = None,
    judge_token: Annotated[
        str | None,
        typer.Option(envvar="BURNISH_JUDGE_TOKEN", metavar="TOKEN", show_default=False, rich_help_panel=ASKING),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="From `burnish judge calibrate`.",
            exists=True,
            dir_okay=False,
            show_default=False,
            rich_help_panel=ASKING,
        ),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            metavar="POINTS", help="The rest may be worse by less.", min=0.1, max=50.0, rich_help_panel=RESULT
        ),
    ] = 2.0,
    json: JsonFlag = False,
) -> None:
    """Train one reviewed cluster by several methods, evaluate all on the same questions, and say which to take.

    Ordinary jobs and evals: the same command goes on where it was interrupted, and asks and trains nothing twice.

    Exit code: 0 a recommendation can be given, 13 inconclusive, 1 any other error, 2 bad input.
    """
    from burnish.verdict.decision import Thresholds
    from burnish_client.cli.options import comparison as comparing
    from burnish_client.config.endpoints import ClientSettings
    from burnish_client.evaluation import Endpoint, Sampling
    from burnish_client.sdk.curator import CuratorClient
    from burnish_client.sdk.trainer import TrainerClient
    from burnish_client.tuning.compare import compare_id, start_jobs
    from burnish_client.tuning.recommendation import find_duels, recommend

    settings, limits = ClientSettings(), Thresholds(margin=margin / 100)
    with ExitStack() as opened:
        curator = opened.enter_context(CuratorClient.from_settings(settings))
        trainer = opened.enter_context(TrainerClient.from_settings(settings))
        manifest, questions = comparing.read_questions(curator, benchmark)
        judge = comparing.judge_settings(Endpoint.from_settings(settings), judge_url, judge_model, judge_token)
        _check_can_be_asked(settings, questions, judge)
        planned = _plan(
            curator,
            manifest,
            methods,
            run_log,
            adapter=adapter,
            labels=label,
            params=param or [],
            shares={
                "held_out_share": held_out_share,
                "validation_share": validation_share,
                "anchor_ratio": anchor_ratio,
            },
            seed=seed,
        )
        _check_splits(questions, planned)
        compared = compare_id(planned, f"{manifest.name}/{manifest.version}")
        jobs = _train(trainer, start_jobs(trainer, planned, compared, retry=retry), compared)
        asked = Asked(
            settings=settings,
            benchmark=manifest,
            questions=questions,
            folder=settings.home / "compare" / compared,
            samples=(samples, candidate_samples),
            base_run_log=comparing.all_rows(curator, base_runs),
            sampling=Sampling(max_tokens=max_tokens, temperature=0.0, seed=seed),
            concurrency=concurrency,
            forgetting=forgetting,
            judge=judge,
            calibration=comparing.read_calibration_file(calibration),
            limits=limits,
        )
        results: list[MethodResult] = []
        rows: dict[Method, list[EvalRow]] = {}
        for method in planned:
            result, candidate = asked.of(curator, method, jobs[method.method], list(rows))
            results.append(result)
            if candidate is not None:
                rows[method.method] = candidate
    duels = find_duels(rows, limits, asked.calibration)
    recommendation = recommend(results, duels, limits)
    if json:
        console.print_json(
            {
                "compare": compared,
                "benchmark": f"{manifest.name}/{manifest.version}",
                "results": [result.model_dump(mode="json") for result in results],
                "duels": [duel.model_dump(mode="json") for duel in duels],
                "recommendation": recommendation.model_dump(mode="json"),
            }
        )
    else:
        show(results, duels, recommendation)
    raise typer.Exit(0 if recommendation.settled else INCONCLUSIVE)


def _check_can_be_asked(
    settings: ClientSettings, questions: Sequence[BenchmarkQuestion], judge: JudgeSettings | None
) -> None:
    """What would end the evaluation is said before hours of training."""
    from burnish_client.evaluation import check_questions
    from burnish_client.evaluation.comparison import check_judge
    from burnish_client.sdk.inference import InferenceClient

    check_questions(questions)
    check_judge(questions, judge)
    with InferenceClient.from_settings(settings) as inference:
        inference.base_model()


def _plan(
    curator: CuratorClient,
    benchmark: BenchmarkManifest,
    methods: str,
    run_log: str | None,
    *,
    adapter: str | None,
    labels: list[str],
    params: list[str],
    shares: Mapping[str, float],
    seed: int,
) -> list[PlannedMethod]:
    from pydantic import ValidationError

    from burnish.errors import InvalidInputError
    from burnish.schemas.dataset import DatasetSpec
    from burnish_client.tuning.compare import (
        PlannedMethod,
        adapter_name_of,
        build_datasets,
        methods_of,
        values_by_method,
    )

    chosen = methods_of(methods)
    values = values_by_method(params, chosen, seed)
    name = adapter or adapter_name_of(labels[0])
    try:
        spec = DatasetSpec.model_validate(
            {
                "name": name,
                "run_log_id": curator.find_run_log(run_log).id,
                "labels": labels,
                "benchmark": f"{benchmark.name}/{benchmark.version}",
                "seed": seed,
                **shares,
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise InvalidInputError(f"--{option}: {first['msg']} (given: {first['input']})") from error
    with console.working("building the datasets"):
        datasets = build_datasets(curator, chosen, spec)
    return [
        PlannedMethod(method=method, dataset=datasets[method], adapter=f"{name}-{method}", values=values[method])
        for method in chosen
    ]


def _check_splits(questions: Sequence[BenchmarkQuestion], planned: Sequence[PlannedMethod]) -> None:
    from burnish_client.evaluation.comparison import split_of

    for method in planned:
        dataset = method.dataset
        split_of(questions, dataset)
        console.note(
            f"{method.method}: dataset {dataset.name}@{dataset.version}, {dataset.counts.train} rows, "
            f"{len(dataset.split.held_out)} targeted questions held out"
        )


def _train(trainer: TrainerClient, jobs: Mapping[Method, str], compared: str) -> dict[Method, TuningJob]:
    """Follow each job to its end; Ctrl-C leaves them."""
    from burnish_client.cli.views import following

    words = ", ".join(f"{method} {job_id}" for method, job_id in jobs.items())
    console.note(f"[bold green]comparison[/] {compared}: {words}")
    return {method: following.follow(trainer, job_id) for method, job_id in jobs.items()}


@dataclass(frozen=True)
class Asked:
    """How every adapter of a comparison is evaluated: as `burnish eval` does it, each into a folder of its own."""

    settings: ClientSettings
    benchmark: BenchmarkManifest
    questions: Sequence[BenchmarkQuestion]
    folder: Path
    samples: tuple[int, int]
    base_run_log: Sequence[RunLogLine]
    sampling: Sampling
    concurrency: int
    forgetting: bool
    judge: JudgeSettings | None
    calibration: JudgeCalibration | None
    limits: Thresholds

    def of(
        self, curator: CuratorClient, method: PlannedMethod, job: TuningJob, before: Sequence[Method]
    ) -> tuple[MethodResult, list[EvalRow] | None]:
        """The method's result and its adapter's rows; None of them where it has no adapter. before: methods asked already."""
        from burnish_client.cli.options import comparison as comparing
        from burnish_client.tuning.compare import failure_of, training_cost
        from burnish_client.tuning.recommendation import MethodResult, claims_of

        dataset = f"{method.dataset.name}@{method.dataset.version}"
        failure = failure_of(job)
        if failure is not None:
            failed = MethodResult(method=method.method, dataset=dataset, job_id=job.job_id, failure=failure)
            return failed, None
        done = self._evaluate(curator, method, f"{job.adapter.name}@{job.adapter.version}", before)
        comparing.store(curator, done.evaluation)
        improved, broke = claims_of(
            done.evaluation.base_rows, done.evaluation.candidate_rows, self.limits, self.calibration
        )
        assert done.sides.adapter is not None
        seconds, memory = training_cost(done.sides.adapter)
        result = MethodResult(
            method=method.method,
            dataset=dataset,
            job_id=job.job_id,
            adapter=done.sides.reference,
            eval_id=done.evaluation.manifest.id,
            folder=str(done.evaluation.folder),
            verdict=done.evaluation.verdict,
            improved=improved,
            broke=broke,
            seconds=seconds,
            peak_memory_bytes=memory,
        )
        return result, done.evaluation.candidate_rows

    def _evaluate(
        self, curator: CuratorClient, method: PlannedMethod, reference: str, before: Sequence[Method]
    ) -> _Done:
        from burnish_client.cli.options import comparison as comparing

        sides = comparing.stack_sides(self.settings, reference)
        out = self.folder / method.method
        out.mkdir(parents=True, exist_ok=True)
        if before:
            _share_probe(self.folder / before[0], out)
        console.note(f"{method.method}: {reference} on {self.benchmark.questions:,} questions")
        evaluation = comparing.ask_shown(
            questions=self.questions,
            dataset=method.dataset,
            endpoint=sides.candidate,
            base_model=sides.base_model,
            candidate_model=sides.candidate_model,
            out=out,
            benchmark=f"{self.benchmark.name}/{self.benchmark.version}",
            base_run_log=self.base_run_log,
            adapter=sides.adapter,
            clusters=comparing.clusters_of(curator, method.dataset),
            base_samples=self.samples[0],
            candidate_samples=self.samples[1],
            forgetting=self.forgetting,
            sampling=self.sampling,
            concurrency=self.concurrency,
            thresholds=self.limits,
            judge=self.judge,
            calibration=self.calibration,
            cache=self.settings.home / "cache",
            reproduce=[
                comparing.same_again(
                    self.benchmark,
                    sides,
                    method.dataset,
                    samples=self.samples[0],
                    seed=self.sampling.seed or 0,
                    control=None,
                )
            ],
        )
        return _Done(sides, evaluation)


@dataclass(frozen=True)
class _Done:
    sides: Sides
    evaluation: Evaluation


def _share_probe(first: Path, out: Path) -> None:
    """The base's probe answers and text scores of the method before, so that the base is asked once."""
    from burnish_client.evaluation.forgetting import BASE_ANSWERS, BASE_TEXTS

    for name in (BASE_ANSWERS, BASE_TEXTS):
        if (first / name).is_file() and not (out / name).exists():
            shutil.copy(first / name, out / name)


def show(results: Sequence[MethodResult], duels: Sequence[Duel], recommendation: Recommendation) -> None:
    """One table of methods, one of their direct comparisons, and the sentence."""
    from burnish_client.cli.commands.evaluation.verdict import COLOURS

    shown = console.table("method", "verdict", ">targeted", ">of", ">rest", ">of", ">training", ">memory")
    for result in results:
        if result.verdict is None:
            shown.add_row(result.method, "[red]none[/]", *["–"] * 6)
            continue
        verdict = result.verdict
        memory = "–" if result.peak_memory_bytes is None else console.size(result.peak_memory_bytes)
        shown.add_row(
            result.method,
            f"[{COLOURS[verdict.verdict]}]{verdict.verdict}[/]",
            *_cells(verdict.targeted),
            *_cells(verdict.rest),
            console.duration(result.seconds),
            memory,
        )
    console.show_table(shown)
    _show_duels(duels)
    out = console.out()
    for result in results:
        if result.folder:
            folder = console.path_text(Path(result.folder))
            out.print(
                f"[dim]{result.method}[/]  {result.adapter}, eval {result.eval_id}, {folder}/report.html",
                soft_wrap=True,
            )
    colour = "bold green" if recommendation.settled else "bold cyan"
    out.print(f"[{colour}]{console.one_line(recommendation.sentence)}[/]")
    adapter = next((r.adapter for r in results if r.method == recommendation.method), None)
    if adapter:
        console.next_step(f"burnish adapters show {adapter}")


def _show_duels(duels: Sequence[Duel]) -> None:
    shown = console.table("directly", ">n", ">change", ">95 % interval", ">gained", ">lost", ">p")
    for duel in duels:
        for where, comparison, p_value in (
            ("targeted", duel.targeted, duel.targeted_p),
            ("rest", duel.rest, duel.rest_p),
        ):
            if comparison.n:
                shown.add_row(
                    f"{duel.second} − {duel.first}, {where}",
                    str(comparison.n),
                    _points(comparison.delta),
                    f"{_points(comparison.ci_low)} … {_points(comparison.ci_high)}",
                    str(comparison.gained),
                    str(comparison.lost),
                    f"{p_value:.2g}",
                )
    if shown.row_count:
        console.show_table(shown)


def _cells(comparison: Comparison) -> tuple[str, str]:
    """Pass rates of base and adapter, and of how many questions."""
    if not comparison.n:
        return "–", "0"
    return f"{console.percent(comparison.base)} → {console.percent(comparison.candidate)}", str(comparison.n)


def _points(share: float | None) -> str:
    return "–" if share is None else f"{share:+.0%}"
