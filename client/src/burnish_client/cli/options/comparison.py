"""What `burnish eval` and `burnish train compare` share: who is compared, what is read for it, and how it is asked and stored."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from burnish_client.cli.options import sampling as asking
from burnish_client.cli.views import console

if TYPE_CHECKING:
    from burnish.schemas.adapter import AdapterManifest
    from burnish.schemas.benchmark import BenchmarkManifest, BenchmarkQuestion
    from burnish.schemas.dataset import DatasetManifest
    from burnish.schemas.evaluation import JudgeCalibration
    from burnish.schemas.runlog import FailureCluster, RunLogLine
    from burnish_client.config.endpoints import ClientSettings
    from burnish_client.evaluation import Endpoint, Evaluation, JudgeSettings
    from burnish_client.sdk.curator import CuratorClient

PAGE_ROWS = 1000


@dataclass(frozen=True)
class Sides:
    """Who is compared, and where. reference names the candidate in folders and commands."""

    base: Endpoint
    base_model: str
    candidate: Endpoint
    candidate_model: str
    reference: str
    adapter: AdapterManifest | None = None

    def taking(self, without: list[str], max_tokens_name: Literal["max_tokens", "max_completion_tokens"]) -> Sides:
        """The same; neither endpoint gets what one of them does not take, so that both are asked alike."""
        base, candidate = (
            replace(endpoint, without=frozenset(without), max_tokens_name=max_tokens_name)
            for endpoint in (self.base, self.candidate)
        )
        return replace(self, base=base, candidate=candidate)


def stack_sides(settings: ClientSettings, adapter: str) -> Sides:
    """The base and an adapter of the stack."""
    from burnish_client.evaluation import Endpoint
    from burnish_client.sdk.inference import InferenceClient

    with InferenceClient.from_settings(settings) as inference:
        base_model, candidate = inference.base_model(), inference.adapter(*console.name_and_version(adapter))
    endpoint = Endpoint.from_settings(settings)
    reference = f"{candidate.name}@{candidate.version}"
    return Sides(endpoint, base_model, endpoint, reference, reference, candidate)


def read_questions(curator: CuratorClient | None, source: str) -> tuple[BenchmarkManifest, list[BenchmarkQuestion]]:
    """From the curator; without one, from the file alone."""
    if curator is not None:
        manifest = asking.find_benchmark(curator, source)
        return manifest, curator.benchmark_questions(manifest.name, manifest.version)
    return asking.read_benchmark(Path(source))


def judge_settings(own: Endpoint, url: str | None, model: str | None, token: str | None) -> JudgeSettings | None:
    """None where no judge is named. own: who judges where it has no address of its own."""
    if model is None:
        if url:
            raise typer.BadParameter("name the judge there: --judge-model", param_hint="--judge-url")
        return None
    from burnish_client.evaluation import Endpoint, JudgeSettings

    return JudgeSettings(Endpoint(url, token) if url else own, model)


def read_calibration_file(path: Path | None) -> JudgeCalibration | None:
    from burnish_client.evaluation.calibration import read_calibration

    return read_calibration(path) if path else None


def ask_shown(*, out: Path, **arguments: Any) -> Evaluation:
    """Run the comparison with its progress shown; Ctrl-C leaves the answers so far, says so, and exits 130."""
    from burnish_client import evaluation

    try:
        with asking.answer_progress("answers") as progress:
            return asyncio.run(evaluation.evaluate(out=out, progress=progress, **arguments))
    except KeyboardInterrupt:
        console.note(
            f"[yellow]interrupted:[/] the answers so far stand in {out}; the same command asks only what is missing"
        )
        raise typer.Exit(130) from None


def all_rows(curator: CuratorClient, reference: str | None) -> list[RunLogLine]:
    if reference is None:
        return []
    run_log_id = curator.find_run_log(reference).id
    rows: list[RunLogLine] = []
    while True:
        page = curator.run_log_rows(run_log_id, offset=len(rows), limit=PAGE_ROWS)
        rows.extend(page.rows)
        if not page.rows or len(rows) >= page.total:
            return rows


def clusters_of(curator: CuratorClient, dataset: DatasetManifest) -> list[FailureCluster]:
    """The clusters that the dataset corrects, as the run log's diagnosis has them."""
    found = curator.diagnosis(dataset.spec.run_log_id).clusters
    return [cluster for cluster in found if cluster.label in dataset.spec.labels]


def same_again(
    benchmark: BenchmarkManifest,
    sides: Sides,
    dataset: DatasetManifest | None,
    *,
    samples: int,
    seed: int,
    control: str | None,
) -> str:
    """The command without tokens and paths of this machine."""
    words = [f"burnish eval --benchmark {benchmark.name}@{benchmark.version}"]
    if sides.adapter:
        words.append(f"--adapter {sides.reference}")
    else:
        words.append(f"--candidate-url {sides.candidate.url} --candidate-model {sides.candidate_model}")
        words.append(f"--base-url {sides.base.url} --base-model {sides.base_model}")
    if dataset:
        words.append(f"--dataset {dataset.name}@{dataset.version}")
    words.append(f"--samples {samples} --seed {seed}")
    if control:
        words.append(f"--control {control}")
    return " ".join(words)


def store(curator: CuratorClient, done: Evaluation) -> None:
    """Files first, the manifest last; an eval that is there already (the same rows) stays as it is."""
    from burnish.errors import AlreadyExistsError

    try:
        for entry in done.manifest.files:
            curator.put_eval_file(done.manifest.id, entry.path, done.folder / entry.path)
        curator.create_eval(done.manifest)
    except AlreadyExistsError:
        console.note(f"[dim]eval {done.manifest.id} was stored before[/]")
