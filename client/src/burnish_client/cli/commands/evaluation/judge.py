"""`burnish judge`: measure a judge model against people before it may decide anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from burnish.errors import InvalidInputError
from burnish_client.cli.options.common import Options, file_option, grouped, option
from burnish_client.cli.options.evaluation import token_option
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag
from burnish_client.cli.views.evaluation import answers

if TYPE_CHECKING:
    from burnish.schemas.evaluation import JudgeCalibration

app = typer.Typer(help="Judge models: how far they agree with people.", no_args_is_help=True)


@app.callback()
def judge() -> None:
    """Judge models: how far they agree with people."""


class CalibrateOptions(Options):
    """The judge, and what people said."""

    labels: Path = file_option(..., "JSONL: question, answer, expected, and `passed` as a person says.")
    judge_url: str = option(..., "OpenAI-compatible endpoint of the judge.", metavar="URL")
    judge_model: str = option(..., "Its name there.", metavar="NAME")
    rubric: Path = file_option(..., "Text file: the rubric of the benchmark's judge grader.")
    output: Path = option(..., "Calibration to write (JSON).", names=["--out", "-o"])
    judge_token: str | None = token_option("BURNISH_JUDGE_TOKEN")
    judge_max_tokens: int = option(512, "Budget of one judgement.", metavar="N", min=1)
    concurrency: int = option(
        16, "Most requests at once. How many the judge really gets is found out.", metavar="N", min=1
    )
    json: JsonFlag = False


@app.command("calibrate")
@grouped
def calibrate_judge(options: CalibrateOptions) -> None:
    """Ask a judge about answers that people have graded, and write how far they agree.

    The calibration holds for this judge model and this rubric only. The judge's replies are kept beside it as they
    come: the same command after an interruption asks only what is missing.
    """
    import asyncio

    from burnish_client.evaluation.judging.calibration import calibrate, read_labels
    from burnish_client.evaluation.request import Endpoint, JudgeSettings

    output, rubric = options.output, options.rubric.read_text()
    if not rubric.strip():
        raise InvalidInputError(f"{options.rubric} is empty: write what makes an answer pass", field="rubric")
    people = read_labels(options.labels)
    endpoint = Endpoint(options.judge_url, options.judge_token)
    judge = JudgeSettings(endpoint, options.judge_model, options.judge_max_tokens, options.concurrency)
    replies = output.with_suffix(".replies.jsonl")
    console.note(f"{len(people):,} labelled answers: {options.judge_model}")
    with answers.resumable("judgements", replies) as progress:
        calibration = asyncio.run(calibrate(people, rubric, judge, replies, progress))
    console.write_output([calibration.model_dump_json(indent=2).encode() + b"\n"], output)
    if options.json:
        return console.print_json(calibration)
    _show(calibration, asked=len(people), output=output)


def _show(calibration: JudgeCalibration, asked: int, output: Path) -> None:
    c = calibration
    out = console.out()
    out.print(f"[bold green]wrote[/] {console.path_text(output)}: judge {c.judge} of {c.n:,} from {asked:,} labels")
    shown = console.table("agreement", ">value", ">95 % interval")
    shown.add_row("kappa", f"{c.kappa:.2f}", f"{c.kappa_low:.2f} to {c.kappa_high:.2f}")
    for name, rate, low, high in (
        ("passes what people pass", c.true_positive_rate, c.true_positive_low, c.true_positive_high),
        ("fails what people fail", c.true_negative_rate, c.true_negative_low, c.true_negative_high),
    ):
        shown.add_row(name, console.percent(rate), f"{console.percent(low)} to {console.percent(high)}")
    console.show_table(shown)
    if c.kappa_low <= 0:
        console.note("[yellow]no better than chance:[/] its judgements cannot decide a verdict")
