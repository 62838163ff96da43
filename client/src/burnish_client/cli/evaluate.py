"""`burnish eval`: base and adapter answer a benchmark over HTTP, paired question by question; then verdict and report."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from burnish_client.cli import asking, console
from burnish_client.cli.asking import BenchmarkSource, Concurrency, MaxTokens, Seed, Temperature
from burnish_client.cli.console import JsonFlag

if TYPE_CHECKING:
    from burnish.schemas.adapter import AdapterManifest
    from burnish.schemas.benchmark import BenchmarkManifest
    from burnish.schemas.dataset import DatasetManifest
    from burnish.schemas.runlog import FailureCluster, RunLogLine
    from burnish_client.curator_client import CuratorClient
    from burnish_client.evaluation import Evaluation

PAGE_ROWS = 1000


def evaluate(
    benchmark: BenchmarkSource,
    adapter: Annotated[str, typer.Option(metavar="NAME[@VERSION]", help="The candidate; without version, the newest.")],
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[@VERSION]",
            help="Whose split tells targeted and held-out questions. Default: what the adapter was trained on.",
            show_default=False,
        ),
    ] = None,
    base_runs: Annotated[
        str | None,
        typer.Option(
            metavar="RUNLOG",
            help="Run log (id or name) whose answers of the base are used instead of asking again.",
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option(help="Times the base is asked; from 2 on its noise is measured.", metavar="N", min=1)
    ] = 2,
    candidate_samples: Annotated[int, typer.Option(help="Times the adapter is asked.", metavar="N", min=1)] = 1,
    concurrency: Concurrency = 16,
    max_tokens: MaxTokens = 256,
    temperature: Temperature = 0.0,
    seed: Seed = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for answers, verdict and report. Default: evals/ in the state folder.",
            show_default=False,
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Compare base and adapter on a benchmark: verdict, report, postmortem.

    Answers are kept as they come: the same command after an interruption asks only what is missing.

    The result is stored under evals/; `burnish verdict` turns its two row files into an exit code.
    """
    from burnish_client.config import ClientSettings
    from burnish_client.curator_client import CuratorClient
    from burnish_client.evaluation import Sampling
    from burnish_client.inference_client import InferenceClient

    settings = ClientSettings()
    with InferenceClient.from_settings(settings) as inference:
        base_model, candidate = inference.base_model(), inference.adapter(*console.name_and_version(adapter))
    reference = f"{candidate.name}@{candidate.version}"
    folder = output or settings.home / "evals" / reference
    folder.mkdir(parents=True, exist_ok=True)
    with CuratorClient.from_settings(settings) as curator:
        manifest = asking.find_benchmark(curator, benchmark)
        trained_on = _dataset_of(curator, candidate, dataset)
        console.note(
            f"{manifest.questions:,} questions of {manifest.name}@{manifest.version}: "
            f"{base_model} × {samples}, {reference} × {candidate_samples}"
        )
        done = _ask(
            questions=curator.benchmark_questions(manifest.name, manifest.version),
            dataset=trained_on,
            base_model=base_model,
            candidate_model=reference,
            out=folder,
            benchmark=f"{manifest.name}/{manifest.version}",
            base_run_log=_all_rows(curator, base_runs),
            adapter=candidate,
            clusters=_clusters(curator, trained_on),
            base_samples=samples,
            candidate_samples=candidate_samples,
            sampling=Sampling(max_tokens=max_tokens, temperature=temperature, seed=seed),
            concurrency=concurrency,
            reproduce=[_same_again(manifest, reference, trained_on, samples, seed)],
        )
        _store(curator, done)
    _show(done, json=json)


def _ask(*, out: Path, **arguments: Any) -> Evaluation:
    """Run the comparison with its progress shown; Ctrl-C leaves the answers so far, says so, and exits 130."""
    from burnish_client import evaluation
    from burnish_client.config import ClientSettings

    settings = ClientSettings()
    endpoint = evaluation.Endpoint(settings.endpoint("inference"), settings.secret_token())
    try:
        with asking.answer_progress("answers") as progress:
            return asyncio.run(evaluation.evaluate(endpoint=endpoint, out=out, progress=progress, **arguments))
    except KeyboardInterrupt:
        console.note(
            f"[yellow]interrupted:[/] the answers so far stand in {out}; the same command asks only what is missing"
        )
        raise typer.Exit(130) from None


def _dataset_of(curator: CuratorClient, adapter: AdapterManifest, reference: str | None) -> DatasetManifest:
    if reference:
        return curator.dataset(*console.name_and_version(reference))
    from burnish.errors import InvalidInputError

    parent = next((parent for parent in adapter.parents if parent.kind == "dataset"), None)
    if parent is None:
        raise InvalidInputError(
            f"adapter {adapter.name}@{adapter.version} names no dataset that it was trained on: give --dataset"
        )
    return curator.dataset(parent.name, parent.digest)


def _all_rows(curator: CuratorClient, reference: str | None) -> list[RunLogLine]:
    from burnish_client.cli.runs import resolve_run_log

    if reference is None:
        return []
    run_log_id = resolve_run_log(curator, reference).id
    rows: list[RunLogLine] = []
    while True:
        page = curator.run_log_rows(run_log_id, offset=len(rows), limit=PAGE_ROWS)
        rows.extend(page.rows)
        if not page.rows or len(rows) >= page.total:
            return rows


def _clusters(curator: CuratorClient, dataset: DatasetManifest) -> list[FailureCluster]:
    """The clusters that the dataset corrects, as the run log's diagnosis has them."""
    found = curator.diagnosis(dataset.spec.run_log_id).clusters
    return [cluster for cluster in found if cluster.label in dataset.spec.labels]


def _same_again(benchmark: BenchmarkManifest, adapter: str, dataset: DatasetManifest, samples: int, seed: int) -> str:
    return (
        f"burnish eval --benchmark {benchmark.name}@{benchmark.version} --adapter {adapter} "
        f"--dataset {dataset.name}@{dataset.version} --samples {samples} --seed {seed}"
    )


def _store(curator: CuratorClient, done: Evaluation) -> None:
    """Files first, the manifest last; an eval that is there already (the same rows) stays as it is."""
    from burnish.errors import AlreadyExistsError

    try:
        for entry in done.manifest.files:
            curator.put_eval_file(done.manifest.id, entry.path, done.folder / entry.path)
        curator.create_eval(done.manifest)
    except AlreadyExistsError:
        console.note(f"[dim]eval {done.manifest.id} was stored before[/]")


def _show(done: Evaluation, *, json: bool) -> None:
    from burnish_client.cli.verdict import show

    if json:
        return console.print_json(
            {
                "manifest": done.manifest.model_dump(mode="json"),
                "verdict": done.verdict.model_dump(mode="json"),
                "folder": str(done.folder),
            }
        )
    show(done.verdict)
    if done.reused_base_answers:
        console.note(f"[dim]{done.reused_base_answers:,} answers of the base were taken from the run log[/]")
    out, folder = console.out(), console.path_text(done.folder)
    out.print(f"[dim]eval[/]        {done.manifest.id}")
    out.print(f"[dim]report[/]      {folder}/report.html", soft_wrap=True)
    out.print(f"[dim]postmortem[/]  {folder}/postmortem.md", soft_wrap=True)
    console.next_step(f"burnish verdict --base {folder}/base.jsonl --candidate {folder}/candidate.jsonl --json")
