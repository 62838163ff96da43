"""`burnish eval`: base and candidate answer a benchmark over HTTP, paired question by question; then verdict and report."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from burnish_client.cli.options import sampling as asking
from burnish_client.cli.options.comparison import (
    Sides,
    all_rows,
    ask_shown,
    clusters_of,
    judge_settings,
    read_calibration_file,
    read_questions,
    same_again,
    stack_sides,
    store,
)
from burnish_client.cli.options.sampling import (
    BenchmarkSource,
    Concurrency,
    MaxTokens,
    MaxTokensName,
    Seed,
    Temperature,
    Without,
)
from burnish_client.cli.views import console

if TYPE_CHECKING:
    from burnish.schemas.adapter import AdapterManifest
    from burnish.schemas.benchmark import BenchmarkQuestion
    from burnish.schemas.dataset import DatasetManifest
    from burnish_client.evaluation import Controls, Evaluation, Prices
    from burnish_client.sdk.curator import CuratorClient

STACK_CONTEXT_TOKENS = 2048  # what the inference service takes unless BURNISH_INFERENCE_MAX_MODEL_LEN says otherwise
PRICE_HELP = "Of a million tokens, prompt and completion: 0.15,0.6,USD."

HOSTS, TARGET, ASKING = "Any two endpoints, instead of an adapter", "What is targeted", "How it is asked"
RUNG, JUDGE, RESULT = "Was it the right rung?", "Questions graded by a judge model", "The result"


class EvalCommand(TyperCommand):
    """`--control` may stand alone and then means every arm."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        spelled = []
        for word, following in zip(args, [*args[1:], "-"], strict=True):
            spelled.append("--control=all" if word == "--control" and following.startswith("-") else word)
        return super().parse_args(ctx, spelled)


def evaluate(
    benchmark: BenchmarkSource,
    adapter: Annotated[
        str | None,
        typer.Option(metavar="NAME[@VERSION]", help="The candidate; without version, the newest.", show_default=False),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[@VERSION]",
            help="Whose split tells targeted and held-out questions. Default: what the adapter was trained on.",
            show_default=False,
            rich_help_panel=TARGET,
        ),
    ] = None,
    targeted_slice: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Without a dataset: this slice. May be repeated.",
            show_default=False,
            rich_help_panel=TARGET,
        ),
    ] = None,
    targeted: Annotated[
        Path | None,
        typer.Option(
            help="Without a dataset: a text file, one question id a line.",
            exists=True,
            dir_okay=False,
            show_default=False,
            rich_help_panel=TARGET,
        ),
    ] = None,
    candidate_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="OpenAI-compatible.", show_default=False, rich_help_panel=HOSTS),
    ] = None,
    candidate_model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Its name there.", show_default=False, rich_help_panel=HOSTS)
    ] = None,
    candidate_token: Annotated[
        str | None,
        typer.Option(envvar="BURNISH_CANDIDATE_TOKEN", metavar="TOKEN", show_default=False, rich_help_panel=HOSTS),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Default: the candidate's.", show_default=False, rich_help_panel=HOSTS),
    ] = None,
    base_model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Its name there.", show_default=False, rich_help_panel=HOSTS)
    ] = None,
    base_token: Annotated[
        str | None,
        typer.Option(envvar="BURNISH_BASE_TOKEN", metavar="TOKEN", show_default=False, rich_help_panel=HOSTS),
    ] = None,
    without: Without = None,
    max_tokens_name: MaxTokensName = "max_tokens",
    samples: Annotated[
        int,
        typer.Option(
            help="Times the base is asked; from 2 on its noise is measured.",
            metavar="N",
            min=1,
            rich_help_panel=ASKING,
        ),
    ] = 2,
    candidate_samples: Annotated[
        int,
        typer.Option(
            help="Times the candidate, and each control arm, is asked.", metavar="N", min=1, rich_help_panel=ASKING
        ),
    ] = 1,
    base_runs: Annotated[
        str | None,
        typer.Option(
            metavar="RUNLOG",
            help="Run log (id or name) whose answers of the base are used instead of asking again.",
            show_default=False,
            rich_help_panel=ASKING,
        ),
    ] = None,
    concurrency: Concurrency = asking.MOST_CONCURRENCY,
    max_tokens: MaxTokens = 256,
    temperature: Temperature = 0.0,
    seed: Seed = 0,
    cache: Annotated[
        bool,
        typer.Option(
            "--cache/--no-cache",
            help="Use answers of earlier runs to the same prompt, model and parameters.",
            rich_help_panel=ASKING,
        ),
    ] = True,
    price: Annotated[
        str | None, typer.Option(metavar="P,C[,CUR]", help=PRICE_HELP, show_default=False, rich_help_panel=ASKING)
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(
            metavar="[ARMS]",
            help="Run control arms on the base: all, or some of few-shot, nearest-few-shot, schema and prompt, with commas.",
            show_default=False,
            rich_help_panel=RUNG,
        ),
    ] = None,
    control_shots: Annotated[
        int, typer.Option(help="Examples before a question.", metavar="N", min=1, rich_help_panel=RUNG)
    ] = 4,
    control_prompt: Annotated[
        Path | None,
        typer.Option(
            help="Text file: the stricter system prompt. Default: derived from the graders.",
            exists=True,
            dir_okay=False,
            show_default=False,
            rich_help_panel=RUNG,
        ),
    ] = None,
    context_tokens: Annotated[
        int | None,
        typer.Option(
            help="What the base takes, prompt and answer; examples are left out to fit. Default: 2048 for the stack.",
            metavar="N",
            min=1,
            show_default=False,
            rich_help_panel=RUNG,
        ),
    ] = None,
    forgetting: Annotated[
        bool | None,
        typer.Option(
            "--forgetting/--no-forgetting",
            help="Also ask the probe set of general skills. Default: for adapters.",
            show_default=False,
            rich_help_panel=RUNG,
        ),
    ] = None,
    judge_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Default: the candidate's.", show_default=False, rich_help_panel=JUDGE),
    ] = None,
    judge_model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Its name there.", show_default=False, rich_help_panel=JUDGE)
    ] = None,
    judge_token: Annotated[
        str | None,
        typer.Option(envvar="BURNISH_JUDGE_TOKEN", metavar="TOKEN", show_default=False, rich_help_panel=JUDGE),
    ] = None,
    judge_price: Annotated[
        str | None, typer.Option(metavar="P,C[,CUR]", help=PRICE_HELP, show_default=False, rich_help_panel=JUDGE)
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="From `burnish judge calibrate`; without it a judge informs and never decides.",
            exists=True,
            dir_okay=False,
            show_default=False,
            rich_help_panel=JUDGE,
        ),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            metavar="POINTS",
            help="The rest may be worse by less than this many percentage points.",
            min=0.1,
            max=50.0,
            rich_help_panel=RESULT,
        ),
    ] = 2.0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for answers, verdict and report. Default: evals/ in the state folder.",
            show_default=False,
            rich_help_panel=RESULT,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON alone on stdout.", rich_help_panel=RESULT)] = False,
) -> None:
    """Compare base and candidate on a benchmark: verdict, report, postmortem.

    Answers are kept as they come: the same command after an interruption asks only what is missing.

    The result of an adapter is stored under evals/; `burnish verdict` turns the row files into an exit code.
    """
    from burnish.verdict.decision import Thresholds
    from burnish_client.config.endpoints import ClientSettings
    from burnish_client.evaluation import Sampling, arm_names
    from burnish_client.sdk.curator import CuratorClient

    settings = ClientSettings()
    arms = arm_names(control) if control else []
    sides = (
        stack_sides(settings, adapter)
        if adapter
        else _hosts(candidate_url, candidate_model, candidate_token, base_url, base_model, base_token)
    ).taking(without or [], max_tokens_name)
    if adapter and (candidate_url or candidate_model or base_url or base_model):
        raise typer.BadParameter("give --adapter, or --candidate-url and the like, not both", param_hint="--adapter")
    folder = output or settings.home / "evals" / sides.reference
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        curator = None
        if adapter or dataset or base_runs or not Path(benchmark).is_file():
            curator = opened.enter_context(CuratorClient.from_settings(settings))
        manifest, questions = read_questions(curator, benchmark)
        trained_on = _dataset_of(curator, sides.adapter, dataset)
        console.note(
            f"{manifest.questions:,} questions of {manifest.name}@{manifest.version}: "
            f"{sides.base_model} × {samples}, {sides.candidate_model} × {candidate_samples}"
            + "".join(f", {arm} × {candidate_samples}" for arm in arms)
        )
        done = ask_shown(
            questions=questions,
            dataset=trained_on,
            endpoint=sides.candidate,
            base_endpoint=None if sides.base == sides.candidate else sides.base,
            base_model=sides.base_model,
            candidate_model=sides.candidate_model,
            out=folder,
            benchmark=f"{manifest.name}/{manifest.version}",
            base_run_log=all_rows(curator, base_runs) if curator else [],
            adapter=sides.adapter,
            clusters=clusters_of(curator, trained_on) if curator and trained_on else [],
            targeted=_targeted(questions, trained_on, targeted_slice or [], targeted),
            base_samples=samples,
            candidate_samples=candidate_samples,
            arms=arms,
            controls=_controls(
                curator,
                trained_on,
                shots=control_shots,
                prompt=control_prompt,
                context_tokens=context_tokens or (STACK_CONTEXT_TOKENS if adapter else None),
                seed=seed,
            ),
            forgetting=adapter is not None if forgetting is None else forgetting,
            sampling=Sampling(max_tokens=max_tokens, temperature=temperature, seed=seed),
            concurrency=concurrency,
            thresholds=Thresholds(margin=margin / 100),
            judge=judge_settings(sides.candidate, judge_url, judge_model, judge_token),
            calibration=read_calibration_file(calibration),
            cache=settings.home / "cache" if cache else None,
            prices=_prices(price, judge_price, [*("base", "candidate", "probe"), *(f"arm:{arm}" for arm in arms)]),
            reproduce=[same_again(manifest, sides, trained_on, samples=samples, seed=seed, control=control)],
        )
        if curator and adapter:
            store(curator, done)
    _show(done, json=json)


def _hosts(
    candidate_url: str | None,
    candidate_model: str | None,
    candidate_token: str | None,
    base_url: str | None,
    base_model: str | None,
    base_token: str | None,
) -> Sides:
    from burnish_client.evaluation import Endpoint

    if not (candidate_url and candidate_model and base_model):
        raise typer.BadParameter(
            "give --adapter NAME, or --candidate-url, --candidate-model and --base-model (and --base-url, where the "
            "base is elsewhere)",
            param_hint="--adapter",
        )
    candidate = Endpoint(candidate_url, candidate_token)
    base = Endpoint(base_url, base_token) if base_url else candidate
    reference = f"{base_model}-{candidate_model}".replace("/", "-").replace(":", "-")
    return Sides(base, base_model, candidate, candidate_model, reference)


def _targeted(
    questions: list[BenchmarkQuestion], dataset: DatasetManifest | None, slices: list[str], listed: Path | None
) -> list[str]:
    """Question ids by slice and list; with a dataset its split says, and both together are refused."""
    from burnish.errors import InvalidInputError

    if not slices and listed is None:
        return []
    if dataset is not None:
        raise InvalidInputError(
            f"the split of dataset {dataset.name}@{dataset.version} says what is targeted: leave out --targeted-slice "
            "and --targeted",
            field="targeted",
        )
    chosen = asking.targeted_by_slice(questions, slices)
    ids = [line.strip() for line in listed.read_text().splitlines() if line.strip()] if listed else []
    return list(dict.fromkeys([*ids, *chosen]))


def _controls(
    curator: CuratorClient | None,
    dataset: DatasetManifest | None,
    *,
    shots: int,
    prompt: Path | None,
    context_tokens: int | None,
    seed: int,
) -> Controls:
    from burnish.errors import InvalidInputError
    from burnish_client.evaluation import Controls, read_corrections

    text = prompt.read_text().strip() if prompt else None
    if text == "":
        raise InvalidInputError(f"{prompt} is empty: write the system prompt into it", field="control_prompt")
    corrections = []
    if curator and dataset:
        train = b"".join(curator.export_dataset(dataset.name, dataset.version, "rows"))
        corrections = read_corrections(train, dataset.spec.format)
    return Controls(corrections, shots=shots, prompt=text, context_tokens=context_tokens, seed=seed)


def _prices(price: str | None, judge_price: str | None, sides: list[str]) -> dict[str, Prices]:
    found = {side: _price(price, "--price") for side in sides} if price else {}
    return found | ({"judge": _price(judge_price, "--judge-price")} if judge_price else {})


def _price(text: str, option: str) -> Prices:
    import math

    from burnish_client.evaluation import Prices

    words = [word.strip() for word in text.split(",")]
    try:
        prompt, completion = float(words[0]), float(words[1])
        valid = len(words) in (2, 3) and all(math.isfinite(x) and x >= 0 for x in (prompt, completion))
    except (ValueError, IndexError):
        valid = False
    if not valid:
        raise typer.BadParameter(
            f"{text!r} is not PROMPT,COMPLETION[,CURRENCY], such as 0.15,0.6,USD", param_hint=option
        )
    return Prices(prompt, completion, *words[2:])


def _dataset_of(
    curator: CuratorClient | None, adapter: AdapterManifest | None, reference: str | None
) -> DatasetManifest | None:
    """The one that is named, else the adapter's; None where there is neither."""
    if curator is None:
        return None
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


def _show(done: Evaluation, *, json: bool) -> None:
    from burnish_client.cli.commands.evaluation.verdict import show

    if json:
        return console.print_json(
            {
                "manifest": done.manifest.model_dump(mode="json"),
                "verdict": done.verdict.model_dump(mode="json"),
                "folder": str(done.folder),
            }
        )
    show(done.verdict)
    _show_arms(done)
    _show_costs(done)
    if done.reused_base_answers:
        console.note(f"[dim]{done.reused_base_answers:,} answers of the base were taken from the run log[/]")
    out, folder = console.out(), console.path_text(done.folder)
    out.print(f"[dim]eval[/]        {done.manifest.id}")
    out.print(f"[dim]report[/]      {folder}/report.html", soft_wrap=True)
    out.print(f"[dim]postmortem[/]  {folder}/postmortem.md", soft_wrap=True)
    console.next_step(f"burnish verdict --base {folder}/base.jsonl --candidate {folder}/candidate.jsonl --json")


def _show_arms(done: Evaluation) -> None:
    """What each control arm did; what it reached stands with the verdict."""
    for arm in done.manifest.arms:
        console.out().print(f"[dim]arm[/] {arm.name}  [dim]{console.one_line(arm.what)}[/]")


def _show_costs(done: Evaluation) -> None:
    shown = console.table("cost", ">asked", ">reused", ">tokens in", ">tokens out", ">money")
    for cost in done.costs:
        money = "" if cost.money is None else f"{cost.money:.4g} {cost.currency}".rstrip()
        tokens = f"{cost.prompt_tokens:,}", f"{cost.completion_tokens:,}"
        shown.add_row(cost.side, f"{cost.asked:,}", f"{cost.reused:,}", *tokens, money)
    console.show_table(shown)
