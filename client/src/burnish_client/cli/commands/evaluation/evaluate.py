"""`burnish eval`: base and candidate answer a benchmark over HTTP, paired question by question; then verdict and report."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from burnish_client.cli.options.evaluation import (
    BASELINES,
    HOSTS,
    JUDGE,
    MOST_CONCURRENCY,
    PRICE_HELP,
    RESULT,
    SAMPLING,
    TARGET,
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
    MaxTokensName,
    Samples,
    Seed,
    TargetedSlices,
    Temperature,
    Without,
    file_option,
    judge_settings,
    option,
    read_price,
    token_option,
)
from burnish_client.cli.views import console

if TYPE_CHECKING:
    from burnish.schemas.adapter import AdapterManifest
    from burnish.schemas.benchmark import BenchmarkQuestion
    from burnish.schemas.dataset import DatasetManifest
    from burnish_client.sdk.curator import CuratorClient

STACK_CONTEXT_TOKENS = 2048  # what the inference service takes unless BURNISH_INFERENCE_MAX_MODEL_LEN says otherwise


class EvalCommand(TyperCommand):
    """`--control` may stand alone and then means every baseline."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        spelled = []
        for word, following in zip(args, [*args[1:], "-"], strict=True):
            spelled.append("--control=all" if word == "--control" and following.startswith("-") else word)
        return super().parse_args(ctx, spelled)


def evaluate(
    benchmark: BenchmarkSource,
    adapter: Annotated[
        str | None, option("The candidate; without version, the newest.", None, "NAME[@VERSION]")
    ] = None,
    dataset: Annotated[
        str | None,
        option(
            "Its split says what is targeted and held out. Default: what the adapter was trained on.",
            TARGET,
            "NAME[@VERSION]",
        ),
    ] = None,
    targeted_slice: TargetedSlices = None,
    targeted: Annotated[
        Path | None, file_option("Without a dataset: a text file, one question id a line.", TARGET)
    ] = None,
    candidate_url: Annotated[str | None, option("OpenAI-compatible.", HOSTS, "URL")] = None,
    candidate_model: Annotated[str | None, option("Its name there.", HOSTS, "NAME")] = None,
    candidate_token: Annotated[str | None, token_option("BURNISH_CANDIDATE_TOKEN", HOSTS)] = None,
    base_url: Annotated[str | None, option("Default: the candidate's.", HOSTS, "URL")] = None,
    base_model: Annotated[str | None, option("Its name there.", HOSTS, "NAME")] = None,
    base_token: Annotated[str | None, token_option("BURNISH_BASE_TOKEN", HOSTS)] = None,
    without: Without = None,
    max_tokens_name: MaxTokensName = "max_tokens",
    samples: Samples = 2,
    candidate_samples: CandidateSamples = 1,
    base_runs: BaseRuns = None,
    concurrency: Concurrency = MOST_CONCURRENCY,
    max_tokens: MaxTokens = 256,
    temperature: Temperature = 0.0,
    seed: Seed = 0,
    cache: Annotated[
        bool,
        option(
            "Use answers of earlier runs to the same prompt, model and parameters.",
            SAMPLING,
            None,
            "--cache/--no-cache",
        ),
    ] = True,
    price: Annotated[str | None, option(PRICE_HELP, SAMPLING, "P,C[,CUR]")] = None,
    control: Annotated[
        str | None,
        option(
            "Also ask the base with cheaper means: all, or some of few-shot, nearest-few-shot, schema, prompt.",
            BASELINES,
            "[BASELINES]",
        ),
    ] = None,
    control_shots: Annotated[int, option("Examples before a question.", BASELINES, "N", min=1)] = 4,
    control_prompt: Annotated[
        Path | None,
        file_option("Text file: the stricter system prompt. Default: derived from the graders.", BASELINES),
    ] = None,
    context_tokens: Annotated[
        int | None,
        option(
            "What the base takes, prompt and answer; examples are left out to fit. Default: 2048 for the stack.",
            BASELINES,
            "N",
            min=1,
        ),
    ] = None,
    forgetting: Annotated[
        bool | None,
        option(
            "Also ask the probe set of general skills. Default: for adapters.",
            SAMPLING,
            None,
            "--forgetting/--no-forgetting",
        ),
    ] = None,
    judge_url: JudgeUrl = None,
    judge_model: JudgeModel = None,
    judge_token: JudgeToken = None,
    judge_price: Annotated[str | None, option(PRICE_HELP, JUDGE, "P,C[,CUR]")] = None,
    calibration: Calibration = None,
    margin: Margin = 2.0,
    output: Annotated[
        Path | None,
        option(
            "Folder for answers, verdict and report. Default: evals/ in the state folder.", RESULT, None, "--out", "-o"
        ),
    ] = None,
    json: Annotated[bool, option("Print JSON alone on stdout.", RESULT, None, "--json")] = False,
) -> None:
    """Compare base and candidate on a benchmark: verdict, report, postmortem.

    Answers are kept as they come: the same command after an interruption asks only what is missing.

    The result of an adapter is stored under evals/; `burnish verdict` turns the row files into an exit code.
    """
    import asyncio
    from dataclasses import replace
    from functools import partial

    from burnish.verdict import Thresholds
    from burnish_client import evaluation
    from burnish_client.cli.views import answers
    from burnish_client.cli.views.evaluation import show_evaluation
    from burnish_client.config.endpoints import ClientSettings
    from burnish_client.evaluation.calibration import read_calibration
    from burnish_client.evaluation.request import clusters_of, run_log_rows
    from burnish_client.sdk.curator import CuratorClient
    from burnish_client.sdk.inference import InferenceClient

    settings = ClientSettings()
    names = evaluation.baseline_names(control) if control else ()
    # Neither endpoint gets what one of them does not take, so that both are asked alike.
    at = partial(evaluation.Endpoint, without=frozenset(without or []), max_tokens_name=max_tokens_name)
    manifest_of_adapter, base_endpoint = None, None
    if adapter:
        if candidate_url or candidate_model or base_url or base_model:
            raise typer.BadParameter(
                "give --adapter, or --candidate-url and the like, not both", param_hint="--adapter"
            )
        with InferenceClient.from_settings(settings) as inference:
            base_model = inference.base_model()
            manifest_of_adapter = inference.adapter(*console.name_and_version(adapter))
        endpoint = at(settings.address("inference"), settings.secret_token(), ca=settings.ca)
        candidate_model = reference = f"{manifest_of_adapter.name}@{manifest_of_adapter.version}"
    elif candidate_url and candidate_model and base_model:
        endpoint = at(candidate_url, candidate_token)
        base_endpoint = at(base_url, base_token) if base_url else None
        reference = f"{base_model}-{candidate_model}".replace("/", "-").replace(":", "-")
    else:
        raise typer.BadParameter(
            "give --adapter NAME, or --candidate-url, --candidate-model and --base-model (and --base-url, if the base is "
            "elsewhere)",
            param_hint="--adapter",
        )
    folder = output or settings.home / "evals" / reference
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        curator = None
        if adapter or dataset or base_runs or not Path(benchmark).is_file():
            curator = opened.enter_context(CuratorClient.from_settings(settings))
        manifest, questions = evaluation.read_benchmark(benchmark, curator)
        trained_on = _dataset_of(curator, manifest_of_adapter, dataset) if curator else None
        run_log = curator.find_run_log(base_runs).id if curator and base_runs else None
        prices = {}
        if price:
            sides = ["base", "candidate", "probe", *(f"arm:{name}" for name in names)]
            prices = dict.fromkeys(sides, read_price(price, "--price"))
        if judge_price:
            prices["judge"] = read_price(judge_price, "--judge-price")
        request = evaluation.EvalRequest(
            benchmark=f"{manifest.name}/{manifest.version}",
            endpoint=endpoint,
            base_model=base_model,
            candidate_model=candidate_model,
            base_endpoint=None if base_endpoint == endpoint else base_endpoint,
            adapter=reference if adapter else None,
            dataset=f"{trained_on.name}/{trained_on.version}" if trained_on else None,
            targeted=_targeted(questions, trained_on, targeted_slice or [], targeted),
            base_run_log=run_log,
            base_samples=samples,
            candidate_samples=candidate_samples,
            sampling=evaluation.Sampling(max_tokens=max_tokens, temperature=temperature, seed=seed),
            concurrency=concurrency,
            baselines=evaluation.BaselineSettings(
                names,
                shots=control_shots,
                prompt=_prompt(control_prompt),
                context_tokens=context_tokens or (STACK_CONTEXT_TOKENS if adapter else None),
                seed=seed,
            ),
            forgetting=adapter is not None if forgetting is None else forgetting,
            judge=judge_settings(endpoint, judge_url, judge_model, judge_token),
            calibration=read_calibration(calibration) if calibration else None,
            thresholds=Thresholds(margin=margin / 100),
            prices=prices,
        )
        inputs = evaluation.EvalInputs(questions, trained_on, manifest_of_adapter)
        if curator and trained_on:
            train = b"".join(curator.export_dataset(trained_on.name, trained_on.version, "rows"))
            corrections = evaluation.read_corrections(train, trained_on.spec.format)
            inputs = replace(inputs, clusters=clusters_of(curator, trained_on), corrections=corrections)
        if curator and run_log:
            inputs = replace(inputs, base_run_log=run_log_rows(curator, run_log))
        console.note(
            f"{manifest.questions:,} questions of {manifest.name}@{manifest.version}: "
            f"{base_model} × {samples}, {candidate_model} × {candidate_samples}"
            + "".join(f", {name} × {candidate_samples}" for name in names)
        )
        with answers.resumable("answers", folder) as progress:
            shared = settings.home / "cache" if cache else None
            done = asyncio.run(evaluation.evaluate(request, inputs, out=folder, cache=shared, progress=progress))
        if curator and adapter and not evaluation.store(curator, done.manifest, folder):
            console.note(f"[dim]eval {done.manifest.id} was stored before[/]")
    if json:
        parts = {"manifest": done.manifest.model_dump(mode="json"), "verdict": done.verdict.model_dump(mode="json")}
        return console.print_json(parts | {"folder": str(folder)})
    show_evaluation(done)


def _dataset_of(
    curator: CuratorClient, adapter: AdapterManifest | None, reference: str | None
) -> DatasetManifest | None:
    """The one that is named, else the adapter's; None if there is neither."""
    if reference:
        return curator.dataset(*console.name_and_version(reference))
    if adapter is None:
        return None
    from burnish.errors import InvalidInputError

    parent = next((parent for parent in adapter.parents if parent.kind == "dataset"), None)
    if parent is None:
        raise InvalidInputError(
            f"adapter {adapter.name}@{adapter.version} names no dataset that it was trained on: give --dataset"
        )
    return curator.dataset(parent.name, parent.digest)


def _targeted(
    questions: list[BenchmarkQuestion], dataset: DatasetManifest | None, slices: list[str], listed: Path | None
) -> tuple[str, ...]:
    """Question ids by slice and list. With a dataset its split says, and both together are refused."""
    from burnish.errors import InvalidInputError
    from burnish_client.evaluation.request import targeted_by_slice

    if not slices and listed is None:
        return ()
    if dataset is not None:
        raise InvalidInputError(
            f"the split of dataset {dataset.name}@{dataset.version} says what is targeted: leave out --targeted-slice "
            "and --targeted",
            field="targeted",
        )
    ids = [line.strip() for line in listed.read_text().splitlines() if line.strip()] if listed else []
    return tuple(dict.fromkeys([*ids, *targeted_by_slice(questions, slices)]))


def _prompt(file: Path | None) -> str | None:
    from burnish.errors import InvalidInputError

    text = file.read_text().strip() if file else None
    if text == "":
        raise InvalidInputError(f"{file} is empty: write the system prompt into it", field="control_prompt")
    return text
