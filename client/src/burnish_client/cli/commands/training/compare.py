"""`burnish train compare`: SFT or DPO for this cluster? One split, a job a method, the same questions, one recommendation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from burnish_client.cli.options.evaluation import (
    MOST_CONCURRENCY,
    SAMPLING,
    BaseRuns,
    BenchmarkSource,
    Calibration,
    CandidateSamples,
    Concurrency,
    JudgeModel,
    JudgeToken,
    JudgeUrl,
    Margin,
    MaxTokens,
    Samples,
    judge_settings,
    option,
)
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish.schemas.benchmark import BenchmarkManifest, BenchmarkQuestion
    from burnish.schemas.evaluation import EvalRow
    from burnish.schemas.methods import Method
    from burnish_client.sdk.curator import CuratorClient
    from burnish_client.tuning.compare import PlannedMethod
    from burnish_client.tuning.recommendation import MethodResult

INCONCLUSIVE = 13  # as of `burnish verdict`
DATA = "The data, alike for all"


def compare(
    label: Annotated[list[str], option("Failure label whose corrected questions are targeted; repeatable.")],
    benchmark: BenchmarkSource,
    run_log: Annotated[
        str | None, option("Id or name; default: the newest.", None, "RUNLOG", "--run-log", "--runlog")
    ] = None,
    methods: Annotated[
        str, option("Two or more methods of `burnish train`, with commas.", None, "METHODS")
    ] = "sft,dpo",
    adapter: Annotated[
        str | None, option("Adapters become NAME-sft and so on. Default: from the label.", None, "NAME")
    ] = None,
    param: Annotated[
        list[str] | None,
        option("epochs=2 for each method that has it, dpo.beta=0.2 for one; repeatable.", None, "[METHOD.]NAME=VALUE"),
    ] = None,
    seed: Annotated[int, option("Of the split, of every training and of the sampling.", min=0)] = 0,
    retry: Annotated[bool, option("Train again what has failed or was cancelled.", None, None, "--retry")] = False,
    held_out_share: Annotated[float, option("Share of targeted questions kept for evaluation.", DATA)] = 0.3,
    validation_share: Annotated[float, option("Share of training rows for validation loss.", DATA)] = 0.1,
    anchor_ratio: Annotated[float, option("Anchor examples per correction, if a format has them.", DATA)] = 0.5,
    samples: Samples = 2,
    candidate_samples: CandidateSamples = 1,
    base_runs: BaseRuns = None,
    concurrency: Concurrency = MOST_CONCURRENCY,
    max_tokens: MaxTokens = 256,
    forgetting: Annotated[
        bool, option("Also ask the probe set of general skills.", SAMPLING, None, "--forgetting/--no-forgetting")
    ] = True,
    judge_url: JudgeUrl = None,
    judge_model: JudgeModel = None,
    judge_token: JudgeToken = None,
    calibration: Calibration = None,
    margin: Margin = 2.0,
    json: JsonFlag = False,
) -> None:
    """Train one reviewed cluster by several methods, evaluate all on the same questions, and say which to take.

    These are ordinary jobs and evals: after an interruption the same command goes on, and asks and trains nothing twice.

    Exit code: 0 a recommendation can be given, 13 inconclusive, 1 any other error, 2 bad input.
    """
    import asyncio
    from dataclasses import replace

    from burnish.verdict import Thresholds
    from burnish_client import evaluation
    from burnish_client.cli.views import answers, following
    from burnish_client.cli.views.evaluation import show_methods
    from burnish_client.config.endpoints import ClientSettings
    from burnish_client.evaluation.calibration import read_calibration
    from burnish_client.evaluation.comparison import check_judge
    from burnish_client.evaluation.request import clusters_of, run_log_rows
    from burnish_client.sdk.curator import CuratorClient
    from burnish_client.sdk.inference import InferenceClient
    from burnish_client.sdk.trainer import TrainerClient
    from burnish_client.tuning.compare import compare_id, failure_of, method_result, share_probe, start_jobs
    from burnish_client.tuning.recommendation import compare_pairs, recommend

    settings = ClientSettings()
    endpoint, limits = evaluation.Endpoint.from_settings(settings), Thresholds(margin=margin / 100)
    calibrated = read_calibration(calibration) if calibration else None
    with ExitStack() as opened:
        curator = opened.enter_context(CuratorClient.from_settings(settings))
        trainer = opened.enter_context(TrainerClient.from_settings(settings))
        inference = opened.enter_context(InferenceClient.from_settings(settings))
        manifest, questions = evaluation.read_benchmark(benchmark, curator)
        # What would end the evaluation is said before hours of training.
        judge = judge_settings(endpoint, judge_url, judge_model, judge_token)
        evaluation.check_questions(questions)
        check_judge(questions, judge)
        base_model = inference.base_model()
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
        started = start_jobs(trainer, planned, compared, retry=retry)
        ids = ", ".join(f"{method} {job_id}" for method, job_id in started.items())
        console.note(f"[bold green]comparison[/] {compared}: {ids}")
        jobs = {method: following.follow(trainer, job_id) for method, job_id in started.items()}

        run_log_id = curator.find_run_log(base_runs).id if base_runs else None
        inputs = evaluation.EvalInputs(questions, base_run_log=run_log_rows(curator, run_log_id) if run_log_id else ())
        folder = settings.home / "compare" / compared
        results: list[MethodResult] = []
        rows: dict[Method, list[EvalRow]] = {}
        for method in planned:
            job, dataset = jobs[method.method], method.dataset
            if failure_of(job):
                results.append(method_result(method, job))
                continue
            made = inference.adapter(job.adapter.name, job.adapter.version)
            reference, out = f"{made.name}@{made.version}", folder / method.method
            request = evaluation.EvalRequest(
                benchmark=f"{manifest.name}/{manifest.version}",
                endpoint=endpoint,
                base_model=base_model,
                candidate_model=reference,
                adapter=reference,
                dataset=f"{dataset.name}/{dataset.version}",
                base_run_log=run_log_id,
                base_samples=samples,
                candidate_samples=candidate_samples,
                sampling=evaluation.Sampling(max_tokens=max_tokens, seed=seed),
                concurrency=concurrency,
                forgetting=forgetting,
                judge=judge,
                calibration=calibrated,
                thresholds=limits,
            )
            share_probe([folder / earlier for earlier in rows], out)
            console.note(f"{method.method}: {reference} on {manifest.questions:,} questions")
            with answers.resumable("answers", out) as progress:
                data = replace(inputs, dataset=dataset, adapter=made, clusters=clusters_of(curator, dataset))
                run = evaluation.evaluate(request, data, out=out, cache=settings.home / "cache", progress=progress)
                done = asyncio.run(run)
            if not evaluation.store(curator, done.manifest, out):
                console.note(f"[dim]eval {done.manifest.id} was stored before[/]")
            results.append(method_result(method, job, done, made, limits, calibrated))
            rows[method.method] = done.candidate_rows
    pairs = compare_pairs(rows, limits, calibrated)
    recommendation = recommend(results, pairs, limits)
    if json:
        console.print_json(
            {
                "compare": compared,
                "benchmark": f"{manifest.name}/{manifest.version}",
                "results": [result.model_dump(mode="json") for result in results],
                "duels": [pair.model_dump(mode="json") for pair in pairs],
                "recommendation": recommendation.model_dump(mode="json"),
            }
        )
    else:
        show_methods(results, pairs, recommendation)
    raise typer.Exit(0 if recommendation.settled else INCONCLUSIVE)


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
