"""The options of commands that sample a model or evaluate one, each declared once, and how their words become values.

Used by `eval`, `eval plan`, `verdict`, `judge`, `benchmark run` and `train compare`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from burnish_client.evaluation import Endpoint, JudgeSettings, Prices

MOST_CONCURRENCY = 256

HOSTS, TARGET, SAMPLING = "Any two endpoints, instead of an adapter", "What is targeted", "How it is asked"
BASELINES, JUDGE, RESULT = "Baselines: was training needed?", "Questions graded by a judge model", "The result"


def option(help: str, panel: str | None = None, metavar: str | None = None, *names: str, **more: Any) -> Any:
    """typer.Option with the help text first. A default of None is not shown."""
    return typer.Option(*names, help=help, rich_help_panel=panel, metavar=metavar, **more)


def file_option(help: str, panel: str | None = None) -> Any:
    """A file that is there."""
    return option(help, panel, exists=True, dir_okay=False)


def token_option(variable: str, panel: str) -> Any:
    return option("Bearer token of that endpoint.", panel, "TOKEN", envvar=variable)


PRICE_HELP = "Of a million tokens, prompt and completion: 0.15,0.6,USD."
BenchmarkSource = Annotated[str, option("A file is imported first.", None, "FILE|NAME[@VERSION]", "--benchmark")]
TargetedSlices = Annotated[list[str] | None, option("Without a dataset: this slice; repeatable.", TARGET, "NAME")]
Samples = Annotated[int, option("Times the base is asked. From 2 on, its noise is measured.", SAMPLING, "N", min=1)]
CandidateSamples = Annotated[int, option("Times the candidate, and each baseline, is asked.", SAMPLING, "N", min=1)]
BaseRuns = Annotated[
    str | None, option("Run log (id or name) whose answers of the base are reused.", SAMPLING, "RUNLOG")
]
Concurrency = Annotated[
    int, option("Most requests at once. How many an endpoint really gets is found out.", SAMPLING, "N", min=1)
]
Without = Annotated[
    list[str] | None,
    option("Request parameter that an endpoint does not take (seed, temperature); repeatable.", HOSTS, "PARAMETER"),
]
MaxTokensName = Annotated[
    Literal["max_tokens", "max_completion_tokens"], option("What the endpoint calls the answer budget.", HOSTS)
]
MaxTokens = Annotated[int, option("Answer budget of a question that has none of its own.", SAMPLING, "N", min=1)]
Temperature = Annotated[float, option("0 takes the likeliest answer.", SAMPLING, "X", min=0)]
Seed = Annotated[int, option("Of the sampling; sample i uses this plus i.", SAMPLING, "N")]
JudgeUrl = Annotated[str | None, option("OpenAI-compatible. Default: the candidate's.", JUDGE, "URL")]
JudgeModel = Annotated[str | None, option("Its name there.", JUDGE, "NAME")]
JudgeToken = Annotated[str | None, token_option("BURNISH_JUDGE_TOKEN", JUDGE)]
Calibration = Annotated[
    Path | None,
    file_option("From `burnish judge calibrate`. Without it a judge informs and never decides.", JUDGE),
]
Margin = Annotated[
    float,
    option("The rest may be worse by less than this many percentage points.", RESULT, "POINTS", min=0.1, max=50.0),
]


def judge_settings(own: Endpoint, url: str | None, model: str | None, token: str | None) -> JudgeSettings | None:
    """None if no judge is named. own: the endpoint of a judge that has no URL."""
    if model is None:
        if url:
            raise typer.BadParameter("name the judge there: --judge-model", param_hint="--judge-url")
        return None
    from burnish_client.evaluation import Endpoint, JudgeSettings

    return JudgeSettings(Endpoint(url, token) if url else own, model)


def read_price(text: str, name: str) -> Prices:
    """`0.15,0.6` or `0.15,0.6,EUR`. name: of the option."""
    import math

    from burnish_client.evaluation import Prices

    words = [word.strip() for word in text.split(",")]
    try:
        prompt, completion = float(words[0]), float(words[1])
        valid = len(words) in (2, 3) and all(math.isfinite(x) and x >= 0 for x in (prompt, completion))
    except (ValueError, IndexError):
        valid = False
    if not valid:
        raise typer.BadParameter(f"{text!r} is not PROMPT,COMPLETION[,CURRENCY], such as 0.15,0.6,USD", param_hint=name)
    return Prices(prompt, completion, *words[2:])
