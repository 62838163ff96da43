"""`burnish train compare`: SFT or DPO for this cluster? One split, a job a method, the same questions, one recommendation."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import typer

import burnish_client
from burnish_client.cli.options.common import Options, grouped, option
from burnish_client.cli.options.dataset import SplitOptions, dataset_spec
from burnish_client.cli.options.evaluation import SAMPLING, BenchmarkSource, JudgeOptions, RequestOptions, SideOptions
from burnish_client.cli.options.training import read_hosted
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag
from burnish_client.cli.views.evaluation import answers
from burnish_client.cli.views.evaluation.evaluation_text import show_methods

if TYPE_CHECKING:
    from burnish.schemas.evaluation import EvalRow
    from burnish.schemas.training.hosted import HostedSpec
    from burnish_client.sdk.trainer import TrainerClient
    from burnish_client.tuning.compare import PlannedMethod
    from burnish_client.tuning.recommendation import MethodResult

INCONCLUSIVE = 13  # as of `burnish verdict`


class CompareOptions(Options):
    """What is trained, and by which methods."""

    label: list[str] = option(..., "Failure label whose corrected questions are targeted; repeatable.")
    run_log: str | None = option(
        None, "Id or name; default: the newest.", metavar="RUNLOG", names=["--run-log", "--runlog"]
    )
    methods: str = option(
        "sft,dpo",
        "Two or more methods of `burnish train`, with commas; with several --on, one or more.",
        metavar="METHODS",
    )
    on: list[str] | None = option(
        None, "Where each is trained: local (the default), or a provider; repeatable.", metavar="PROVIDER:MODEL"
    )
    spend_limit: float | None = option(
        None, "Needed with a provider: refuse a job if its price is estimated to be above this.", metavar="USD", min=0
    )
    adapter: str | None = option(None, "Adapters become NAME-sft and so on. Default: from the label.", metavar="NAME")
    param: list[str] | None = option(
        None, "epochs=2 for each method that has it, dpo.beta=0.2 for one; repeatable.", metavar="[METHOD.]NAME=VALUE"
    )
    seed: int = option(0, "Of the split, of every training and of the sampling.", min=0)
    retry: bool = option(False, "Train again what has failed or was cancelled.", names=["--retry"])
    dry_run: bool = option(
        False, "Check and estimate every training, say what would be asked, and queue nothing.", names=["--dry-run"]
    )
    forgetting: bool = option(
        True, "Also ask the probe set of general skills.", SAMPLING, names=["--forgetting/--no-forgetting"]
    )


@grouped
def compare(
    options: CompareOptions,
    benchmark: BenchmarkSource,
    split: SplitOptions,
    side: SideOptions,
    asked: RequestOptions,
    decision: JudgeOptions,
    json: JsonFlag = False,
) -> None:
    """Train one reviewed cluster by several methods, evaluate all on the same questions, and say which to take.

    These are ordinary jobs and evals: after an interruption the same command goes on, and asks and trains nothing twice.

    Exit code: 0 a recommendation can be given, 13 inconclusive, 1 any other error, 2 bad input.
    """
    import asyncio

    from burnish.extras import require
    from burnish.schemas.training.hosted import PROVIDERS
    from burnish_client.cli.views.data import data_text
    from burnish_client.cli.views.training import following
    from burnish_client.config.providers import key_for
    from burnish_client.evaluation.asking.ask import Side
    from burnish_client.evaluation.comparison import check_judge, read_inputs, split_of
    from burnish_client.evaluation.forecast import forecast
    from burnish_client.evaluation.grade import check_questions
    from burnish_client.evaluation.output import store
    from burnish_client.tuning import compare as comparison
    from burnish_client.tuning.recommendation import compare_pairs, recommend

    settings = burnish_client.ClientSettings()
    endpoint = burnish_client.Endpoint.from_settings(settings)
    limits, calibration = decision.limits()
    places = _places(options)
    with ExitStack() as opened:
        curator = opened.enter_context(burnish_client.CuratorClient.from_settings(settings))
        trainer = opened.enter_context(burnish_client.TrainerClient.from_settings(settings))
        inference = opened.enter_context(burnish_client.InferenceClient.from_settings(settings))
        manifest, questions = burnish_client.read_benchmark(benchmark, curator)
        reference = f"{manifest.name}/{manifest.version}"
        # What would end the evaluation is said before hours of training.
        require("scipy")
        judge = decision.judge(endpoint)
        check_questions(questions)
        check_judge(questions, judge)
        base_model = inference.base_model()
        methods = comparison.methods_of(options.methods, len(places))
        comparison.check_places(places, methods)
        values = comparison.values_by_method(options.param or [], methods, options.seed)
        name = options.adapter or comparison.adapter_name_of(options.label[0])
        run_log_id = curator.find_run_log(options.run_log).id
        spec = dataset_spec(
            split, name=name, run_log_id=run_log_id, labels=options.label, benchmark=reference, seed=options.seed
        )
        with console.working("building the datasets"):
            planned = comparison.plan_methods(curator, values, spec, places)
        for method in planned:
            split_of(questions, method.dataset)
            dataset = method.dataset
            console.note(
                f"{method.name}: dataset {dataset.name}@{dataset.version}, {dataset.counts.train} rows, "
                f"{len(dataset.split.held_out)} targeted questions held out"
            )
        sides = [Side(endpoint, base_model, settings.home, side.samples)]
        for method in planned:
            at = endpoint
            if method.hosted and not PROVIDERS[method.hosted.provider].gives_weights:
                at = burnish_client.Endpoint(PROVIDERS[method.hosted.provider].usual_address)
                sides.append(Side(at, method.hosted.model, settings.home, side.samples))
            sides.append(Side(at, method.adapter, settings.home, side.candidate_samples))
        console.note(forecast(sides, questions, burnish_client.Sampling(max_tokens=asked.max_tokens)).sentence())
        if options.dry_run:
            return _preview(trainer, planned, json)
        warnings = planned[0].dataset.warnings  # all have the same split
        data_text.show_warnings(planned[0].dataset)
        compared = comparison.compare_id(planned, reference)
        started = comparison.start_jobs(trainer, planned, compared, retry=options.retry)
        ids = ", ".join(f"{method} {job_id}" for method, job_id in started.items())
        console.note(f"[bold green]comparison[/] {compared}: {ids}")
        jobs = {method: following.follow(trainer, job_id, shown=warnings) for method, job_id in started.items()}

        run_log = curator.find_run_log(side.base_runs).id if side.base_runs else None
        folder = settings.home / "compare" / compared
        results: list[MethodResult] = []
        rows: dict[str, list[EvalRow]] = {}
        for method in planned:
            job, dataset = jobs[method.name], method.dataset
            if comparison.failure_of(job):
                results.append(comparison.method_result(method, job))
                continue
            made = inference.adapter(job.adapter.name, job.adapter.version) if job.HasField("adapter") else None
            remote = None if made else inference.remote_model(job.spec.adapter_name, job.remote_model.version)
            version = made or remote
            assert version is not None
            adapter, out = f"{version.name}@{version.version}", folder / method.name
            request = burnish_client.EvalRequest(
                benchmark=reference,
                endpoint=burnish_client.Endpoint(remote.remote.endpoint, key_for(remote.remote))
                if remote
                else endpoint,
                base_model=remote.remote.base_model if remote else base_model,
                candidate_model=remote.remote.model if remote else adapter,
                adapter=adapter,
                dataset=f"{dataset.name}/{dataset.version}",
                base_run_log=None if remote else run_log,
                base_samples=side.samples,
                candidate_samples=side.candidate_samples,
                sampling=burnish_client.Sampling(max_tokens=asked.max_tokens, seed=options.seed),
                concurrency=asked.concurrency,
                forgetting=options.forgetting and remote is None,
                judge=judge,
                calibration=calibration,
                thresholds=limits,
            )
            if request.forgetting:
                comparison.share_probe([folder / earlier for earlier in rows], out)
            console.note(f"{method.name}: {adapter} on {manifest.questions:,} questions")
            inputs = read_inputs(request, questions, curator, dataset, made, remote)
            with answers.resumable("answers", out) as progress:
                run = burnish_client.evaluate(
                    request,
                    inputs,
                    out=out,
                    cache=settings.home / "cache",
                    progress=progress,
                    foretell=lambda found: console.note(found.sentence()),
                )
                done = asyncio.run(run)
            if not store(curator, done.manifest, out):
                console.note(f"[dim]eval {done.manifest.id} was stored before[/]")
            results.append(comparison.method_result(method, job, done, version, limits, calibration))
            rows[method.name] = done.candidate_rows
    pairs = compare_pairs(rows, limits, calibration)
    recommendation = recommend(results, pairs, limits)
    if json:
        console.print_json(
            {
                "compare": compared,
                "benchmark": reference,
                "results": results,
                "duels": pairs,
                "recommendation": recommendation,
            }
        )
    else:
        show_methods(results, pairs, recommendation)
    raise typer.Exit(0 if recommendation.settled else INCONCLUSIVE)


def _places(options: CompareOptions) -> list[HostedSpec | None]:
    """Where each method is trained. What stays at a provider is asked there, so its key is looked for before hours of training."""
    from burnish.schemas.training.hosted import LOCAL, PROVIDERS
    from burnish_client.config.providers import require_key

    words = options.on or [LOCAL]
    if options.spend_limit is not None and set(words) == {LOCAL}:
        read_hosted(LOCAL, options.spend_limit)  # says that it needs a provider
    places = [read_hosted(word, None if word == LOCAL else options.spend_limit) for word in words]
    for hosted in filter(None, places):
        if not PROVIDERS[hosted.provider].gives_weights:
            require_key(hosted.provider)
    return places


def _preview(trainer: TrainerClient, planned: Sequence[PlannedMethod], json: bool) -> None:
    """What the trainer finds and estimates of each method. Exit code 1 if it refuses one."""
    from burnish_client.cli.views.training import job_text

    with console.working("checking the rows"):
        previews = {method.name: trainer.preview_job(method.spec()) for method in planned}
    if json:
        console.print_json(previews)
    else:
        for preview in previews.values():
            job_text.show_preview(preview)
    raise typer.Exit(1 if any(preview.refused for preview in previews.values()) else 0)
