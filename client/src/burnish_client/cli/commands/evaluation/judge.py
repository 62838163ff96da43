"""`burnish judge`: measure a judge model against people before it may decide anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from burnish_client.cli.options.evaluation import file_option, option
from burnish_client.cli.views import answers, console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish.schemas.evaluation import JudgeCalibration

app = typer.Typer(help="Judge models: how far they agree with people.", no_args_is_help=True)


@app.callback()
def judge() -> None:
    """Judge models: how far they agree with people."""


@app.command("calibrate")
def calibrate_judge(
    labels: Annotated[Path, file_option("JSONL: question, answer, expected, and `passed` as a person says.")],
    judge_url: Annotated[str, option("OpenAI-compatible endpoint of the judge.", None, "URL")],
    judge_model: Annotated[str, option("Its name there.", None, "NAME")],
    rubric: Annotated[Path, file_option("Text file: the rubric of the benchmark's judge grader.")],
    output: Annotated[Path, option("Calibration to write (JSON).", None, None, "--out", "-o")],
    judge_token: Annotated[
        str | None, option("Bearer token of that endpoint.", None, "TOKEN", envvar="BURNISH_JUDGE_TOKEN")
    ] = None,
    judge_max_tokens: Annotated[int, option("Budget of one judgement.", None, "N", min=1)] = 512,
    concurrency: Annotated[
        int, option("Most requests at once. How many the judge really gets is found out.", None, "N", min=1)
    ] = 16,
    json: JsonFlag = False,
) -> None:
    """Ask a judge about answers that people have graded, and write how far they agree.

    The calibration holds for this judge model and this rubric only. The judge's replies are kept beside it as they
    come: the same command after an interruption asks only what is missing.
    """
    import asyncio

    from burnish.errors import InvalidInputError
    from burnish_client.evaluation.calibration import calibrate, read_labels
    from burnish_client.evaluation.request import Endpoint, JudgeSettings

    text = rubric.read_text()
    if not text.strip():
        raise InvalidInputError(f"{rubric} is empty: write what makes an answer pass", field="rubric")
    people = read_labels(labels)
    judge = JudgeSettings(Endpoint(judge_url, judge_token), judge_model, judge_max_tokens, concurrency)
    replies = output.with_suffix(".replies.jsonl")
    console.note(f"{len(people):,} labelled answers: {judge_model}")
    with answers.resumable("judgements", replies) as progress:
        calibration = asyncio.run(calibrate(people, text, judge, replies, progress))
    console.write_output([calibration.model_dump_json(indent=2).encode() + b"\n"], output)
    if json:
        return console.print_json(calibration.model_dump(mode="json"))
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
