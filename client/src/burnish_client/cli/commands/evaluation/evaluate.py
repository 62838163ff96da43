"""`burnish eval`: base and candidate answer a benchmark over HTTP, paired question by question; then verdict and report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import typer
from rich.markup import escape
from typer.core import TyperCommand

import burnish_client
from burnish.errors import InvalidInputError, NotFoundError
from burnish.layout import PRODUCTION
from burnish.registry.references import LATEST
from burnish_client.cli.options.common import Options, file_option, grouped, option
from burnish_client.cli.options.evaluation import (
    BASELINES,
    HOSTS,
    JUDGE,
    PRICE_HELP,
    RESULT,
    SAMPLING,
    TARGET,
    BenchmarkSource,
    JudgeOptions,
    SamplingOptions,
    SideOptions,
    read_price,
    token_option,
)
from burnish_client.cli.views import console
from burnish_client.cli.views.evaluation import answers
from burnish_client.cli.views.evaluation.evaluation_text import show_evaluation

if TYPE_CHECKING:
    from burnish.schemas.adapter import AdapterManifest
    from burnish.schemas.benchmark import BenchmarkQuestion
    from burnish.schemas.dataset import DatasetManifest
    from burnish.schemas.training.hosted import RemoteModelManifest
    from burnish_client.evaluation.request import BaselineSettings, Endpoint, Prices
    from burnish_client.sdk.curator import CuratorClient

STACK_CONTEXT_TOKENS = 2048  # what the inference service takes unless BURNISH_INFERENCE_MAX_MODEL_LEN says otherwise


class EvalCommand(TyperCommand):
    """`--control` may be given alone and then means every baseline."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        spelled = []
        for word, following in zip(args, [*args[1:], "-"], strict=True):
            spelled.append("--control=all" if word == "--control" and following.startswith("-") else word)
        return super().parse_args(ctx, spelled)


class EvalOptions(Options):
    """What is compared, what was targeted, and what else is asked."""

    adapter: str | None = option(None, "The candidate: NAME@latest, a version, or an alias.", metavar="NAME[@VERSION]")
    dataset: str | None = option(
        None,
        "Its split says what is targeted and held out. Default: what the adapter was trained on.",
        TARGET,
        "NAME[@VERSION]",
    )
    targeted_slice: list[str] | None = option(None, "Without a dataset: this slice; repeatable.", TARGET, "NAME")
    targeted: Path | None = file_option(None, "Without a dataset: a text file, one question id a line.", TARGET)
    candidate_url: str | None = option(None, "OpenAI-compatible.", HOSTS, "URL")
    candidate_model: str | None = option(None, "Its name there.", HOSTS, "NAME")
    candidate_token: str | None = token_option("BURNISH_CANDIDATE_TOKEN", HOSTS)
    base_url: str | None = option(None, "Default: the candidate's.", HOSTS, "URL")
    base_model: str | None = option(None, "Its name there.", HOSTS, "NAME")
    base_token: str | None = token_option("BURNISH_BASE_TOKEN", HOSTS)
    without: list[str] | None = option(
        None, "Request parameter that an endpoint does not take (seed, temperature); repeatable.", HOSTS, "PARAMETER"
    )
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"] = option(
        "max_tokens", "What the endpoint calls the answer budget.", HOSTS
    )
    cache: bool = option(
        True,
        "Use answers of earlier runs to the same prompt, model and parameters.",
        SAMPLING,
        names=["--cache/--no-cache"],
    )
    price: str | None = option(None, PRICE_HELP, SAMPLING, "P,C[,CUR]")
    judge_price: str | None = option(None, PRICE_HELP, JUDGE, "P,C[,CUR]")
    control: str | None = option(
        None,
        "Also ask the base with cheaper means: all, or some of few-shot, nearest-few-shot, schema, choice, prompt.",
        BASELINES,
        "[BASELINES]",
    )
    control_shots: int = option(4, "Examples before a question.", BASELINES, "N", min=1)
    control_prompt: Path | None = file_option(
        None, "Text file: the stricter system prompt. Default: derived from the graders.", BASELINES
    )
    context_tokens: int | None = option(
        None,
        "What the base takes, prompt and answer; examples are left out to fit. Default: 2048 for the stack.",
        BASELINES,
        "N",
        min=1,
    )
    forgetting: bool | None = option(
        None,
        "Also ask the probe set of general skills. Default: for adapters.",
        SAMPLING,
        names=["--forgetting/--no-forgetting"],
    )
    output: Path | None = option(
        None,
        "Folder for answers, verdict and report. Default: evals/ in the state folder.",
        RESULT,
        names=["--out", "-o"],
    )
    json: bool = option(False, "Print JSON alone on stdout.", RESULT, names=["--json"])


@grouped
def evaluate(
    benchmark: BenchmarkSource,
    options: EvalOptions,
    side: SideOptions,
    sampling: SamplingOptions,
    decision: JudgeOptions,
) -> None:
    """Compare base and candidate on a benchmark: verdict, report, postmortem.

    Answers are kept as they come: the same command after an interruption asks only what is missing.

    The result of an adapter is stored under evals/; `burnish verdict` turns the row files into an exit code.
    """
    import asyncio

    from burnish_client.evaluation.comparison import read_inputs
    from burnish_client.evaluation.output import store

    settings = burnish_client.ClientSettings()
    thresholds, calibration = decision.limits()
    baselines = _baselines(options, sampling.seed)
    compared = _compared(options, settings)
    with ExitStack() as opened:
        curator = None
        if options.adapter or options.dataset or side.base_runs or not Path(benchmark).is_file():
            curator = opened.enter_context(burnish_client.CuratorClient.from_settings(settings))
        manifest, questions = burnish_client.read_benchmark(benchmark, curator)
        dataset = _dataset_of(curator, compared.version, options.dataset) if curator else None
        request = burnish_client.EvalRequest(
            benchmark=f"{manifest.name}/{manifest.version}",
            endpoint=compared.endpoint,
            base_model=compared.base_model,
            candidate_model=compared.candidate_model,
            base_endpoint=compared.base_endpoint,
            adapter=f"{compared.version.name}@{compared.version.version}" if compared.version else None,
            dataset=f"{dataset.name}/{dataset.version}" if dataset else None,
            targeted=_targeted(questions, dataset, options),
            base_run_log=curator.find_run_log(side.base_runs).id if curator and side.base_runs else None,
            base_samples=side.samples,
            candidate_samples=side.candidate_samples,
            sampling=burnish_client.Sampling(sampling.max_tokens, sampling.temperature, sampling.seed),
            concurrency=sampling.concurrency,
            baselines=baselines,
            forgetting=compared.adapter is not None if options.forgetting is None else options.forgetting,
            judge=decision.judge(compared.endpoint),
            calibration=calibration,
            thresholds=thresholds,
            prices=_prices(options, baselines),
        )
        inputs = read_inputs(request, questions, curator, dataset, compared.adapter, compared.remote)
        others = (request.candidate_model, *baselines.names)
        console.note(
            f"{manifest.questions:,} questions of {manifest.name}@{manifest.version}: {request.base_model} × {side.samples}"
            + "".join(f", {name} × {side.candidate_samples}" for name in others)
        )
        folder = options.output or settings.home / "evals" / compared.folder_name
        cache = settings.home / "cache" if options.cache else None
        if repeats := request.greedy_repeats():
            console.note(f"[yellow]note:[/] {repeats}")
        with answers.resumable("answers", folder) as progress:
            run = burnish_client.evaluate(
                request,
                inputs,
                out=folder,
                cache=cache,
                progress=progress,
                foretell=lambda found: console.note(found.sentence()),
            )
            done = asyncio.run(run)
        if curator and compared.version and not store(curator, done.manifest, folder):
            console.note(f"[dim]eval {done.manifest.id} was stored before[/]")
    if options.json:
        return console.print_json({"manifest": done.manifest, "verdict": done.verdict, "folder": str(folder)})
    show_evaluation(done)


class Compared(NamedTuple):
    """Two models and where they are asked. base_endpoint: if the base is elsewhere; adapter: if the candidate is the stack's; remote:
    if it stays with its provider."""

    base_model: str
    candidate_model: str
    folder_name: str
    endpoint: Endpoint
    base_endpoint: Endpoint | None = None
    adapter: AdapterManifest | None = None
    remote: RemoteModelManifest | None = None

    @property
    def version(self) -> AdapterManifest | RemoteModelManifest | None:
        return self.adapter or self.remote


def _compared(options: EvalOptions, settings: burnish_client.ClientSettings) -> Compared:
    from functools import partial

    from burnish_client.evaluation.request import Endpoint

    base, candidate = options.base_model, options.candidate_model
    # Neither endpoint gets what one of them does not take, so that both are asked alike.
    at = partial(Endpoint, without=frozenset(options.without or []), max_tokens_name=options.max_tokens_name)
    if options.adapter:
        if options.candidate_url or candidate or options.base_url or base:
            raise typer.BadParameter(
                "give --adapter, or --candidate-url and the like, not both", param_hint="--adapter"
            )
        with burnish_client.InferenceClient.from_settings(settings) as inference:
            base = inference.base_model()
            name, version = console.name_and_version(options.adapter)
            try:
                adapter = inference.adapter(name, version or PRODUCTION)
            except NotFoundError:
                if not inference.remote_models(name):
                    raise
                return _at_provider(inference.remote_model(name, version or LATEST), at)
        endpoint = at(settings.address("inference"), settings.secret_token(), ca=settings.ca)
        candidate = f"{adapter.name}@{adapter.version}"
        return Compared(base, candidate, candidate, endpoint, adapter=adapter)
    if not (options.candidate_url and candidate and base):
        raise typer.BadParameter(
            "give --adapter NAME, or --candidate-url, --candidate-model and --base-model (and --base-url, if the base is "
            "elsewhere)",
            param_hint="--adapter",
        )
    endpoint = at(options.candidate_url, options.candidate_token)
    of_base = at(options.base_url, options.base_token) if options.base_url else endpoint
    folder_name = f"{base}-{candidate}".replace("/", "-").replace(":", "-")
    return Compared(base, candidate, folder_name, endpoint, None if of_base == endpoint else of_base)


def _at_provider(found: RemoteModelManifest, at: Callable[..., Endpoint]) -> Compared:
    """The tuned model, and the provider's own base beside it."""
    from burnish_client.config.providers import key_for

    remote = found.remote
    if expiry := remote.expiry(datetime.now(UTC)):
        console.note(f"[yellow]note:[/] {escape(expiry)}")
    endpoint = at(remote.endpoint, key_for(remote))
    return Compared(remote.base_model, remote.model, f"{found.name}@{found.version}", endpoint, remote=found)


def _dataset_of(
    curator: CuratorClient, adapter: AdapterManifest | RemoteModelManifest | None, reference: str | None
) -> DatasetManifest | None:
    """The one that is named, else the adapter's; None if there is neither."""
    if reference:
        return curator.dataset(*console.name_and_version(reference))
    if adapter is None:
        return None
    parent = next((parent for parent in adapter.parents if parent.kind == "dataset"), None)
    if parent is None:
        raise InvalidInputError(
            f"adapter {adapter.name}@{adapter.version} names no dataset that it was trained on: give --dataset"
        )
    return curator.dataset(parent.name, parent.digest)


def _targeted(
    questions: list[BenchmarkQuestion], dataset: DatasetManifest | None, options: EvalOptions
) -> tuple[str, ...]:
    """Question ids by slice and list. With a dataset its split says, and both together are refused."""
    from burnish_client.evaluation.request import targeted_by_slice

    if not options.targeted_slice and options.targeted is None:
        return ()
    if dataset is not None:
        raise InvalidInputError(
            f"the split of dataset {dataset.name}@{dataset.version} says what is targeted: leave out --targeted-slice "
            "and --targeted",
            field="targeted",
        )
    lines = options.targeted.read_text().splitlines() if options.targeted else []
    ids = [line.strip() for line in lines if line.strip()]
    return tuple(dict.fromkeys([*ids, *targeted_by_slice(questions, options.targeted_slice or [])]))


def _baselines(options: EvalOptions, seed: int) -> BaselineSettings:
    from burnish_client.evaluation.baselines import baseline_names
    from burnish_client.evaluation.request import BaselineSettings

    prompt = options.control_prompt.read_text().strip() if options.control_prompt else None
    if prompt == "":
        raise InvalidInputError(
            f"{options.control_prompt} is empty: write the system prompt into it", field="control_prompt"
        )
    return BaselineSettings(
        baseline_names(options.control) if options.control else (),
        shots=options.control_shots,
        prompt=prompt,
        context_tokens=options.context_tokens or (STACK_CONTEXT_TOKENS if options.adapter else None),
        seed=seed,
    )


def _prices(options: EvalOptions, baselines: BaselineSettings) -> dict[str, Prices]:
    prices = {}
    if options.price:
        sides = ["base", "candidate", "probe", *(f"arm:{name}" for name in baselines.names)]
        prices = dict.fromkeys(sides, read_price(options.price, "--price"))
    if options.judge_price:
        prices["judge"] = read_price(options.judge_price, "--judge-price")
    return prices
