"""The options of commands that sample a model or evaluate one, each declared once, and how their words become values.

Used by `eval`, `eval plan`, `verdict`, `judge`, `benchmark run` and `train compare`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from burnish_client.cli.options.common import Options, file_option, option

if TYPE_CHECKING:
    from burnish.schemas.evaluation import JudgeCalibration
    from burnish.verdict import Thresholds
    from burnish_client.evaluation.request import Endpoint, JudgeSettings, Prices

MOST_CONCURRENCY = 256

HOSTS, TARGET, SAMPLING = "Any two endpoints, instead of an adapter", "What is targeted", "How it is asked"
BASELINES, JUDGE, RESULT = "Baselines: was training needed?", "Questions graded by a judge model", "The result"
CALIBRATION_HELP = "From `burnish judge calibrate`. Without it a judge informs and never decides."
MARGIN_HELP = "The rest may be worse by less than this many percentage points."
PRICE_HELP = "Of a million tokens, prompt and completion: 0.15,0.6,USD."

BenchmarkSource = Annotated[
    str, typer.Option("--benchmark", metavar="FILE|NAME[@VERSION]", help="A file is imported first.")
]


def token_option(variable: str, panel: str | None = None) -> Any:
    return option(None, "Bearer token of that endpoint.", panel, "TOKEN", envvar=variable)


class RequestOptions(Options):
    """How many requests at a time, and how long their answers may be."""

    concurrency: int = option(
        MOST_CONCURRENCY, "Most requests at once. How many an endpoint really gets is found out.", SAMPLING, "N", min=1
    )
    max_tokens: int = option(256, "Answer budget of a question that has none of its own.", SAMPLING, "N", min=1)


class SamplingOptions(RequestOptions):
    """Everything that decides what a model answers."""

    temperature: float = option(0.0, "0 takes the likeliest answer.", SAMPLING, "X", min=0)
    seed: int = option(0, "Of the sampling; sample i uses this plus i.", SAMPLING, "N")


class SideOptions(Options):
    """How often base and candidate are asked."""

    samples: int = option(2, "Times the base is asked. From 2 on, its noise is measured.", SAMPLING, "N", min=1)
    candidate_samples: int = option(1, "Times the candidate, and each baseline, is asked.", SAMPLING, "N", min=1)
    base_runs: str | None = option(
        None, "Run log (id or name) whose answers of the base are reused.", SAMPLING, "RUNLOG"
    )


class DecisionOptions(Options):
    """What the verdict goes by."""

    calibration: Path | None = file_option(None, CALIBRATION_HELP, JUDGE)
    margin: float = option(2.0, MARGIN_HELP, RESULT, "POINTS", min=0.1, max=50.0)

    def limits(self) -> tuple[Thresholds, JudgeCalibration | None]:
        """Of the verdict, and how far its judge can be trusted."""
        from burnish.verdict import Thresholds, read_calibration

        return Thresholds(margin=self.margin / 100), read_calibration(self.calibration) if self.calibration else None


class JudgeOptions(DecisionOptions):
    """The judge of questions that need one, and what the verdict goes by."""

    judge_url: str | None = option(None, "OpenAI-compatible. Default: the candidate's.", JUDGE, "URL")
    judge_model: str | None = option(None, "Its name there.", JUDGE, "NAME")
    judge_token: str | None = token_option("BURNISH_JUDGE_TOKEN", JUDGE)

    def judge(self, own: Endpoint) -> JudgeSettings | None:
        """None if no judge is named. own: the endpoint of a judge that has no URL."""
        from burnish_client.evaluation.request import Endpoint, JudgeSettings

        if self.judge_model is None:
            if self.judge_url:
                raise typer.BadParameter("name the judge there: --judge-model", param_hint="--judge-url")
            return None
        return JudgeSettings(Endpoint(self.judge_url, self.judge_token) if self.judge_url else own, self.judge_model)


def read_price(text: str, name: str) -> Prices:
    """`0.15,0.6` or `0.15,0.6,EUR`. name: of the option."""
    from burnish_client.evaluation.request import Prices

    words = [word.strip() for word in text.split(",")]
    try:
        prompt, completion = float(words[0]), float(words[1])
        valid = len(words) in (2, 3) and all(math.isfinite(x) and x >= 0 for x in (prompt, completion))
    except (ValueError, IndexError):
        valid = False
    if not valid:
        raise typer.BadParameter(f"{text!r} is not PROMPT,COMPLETION[,CURRENCY], such as 0.15,0.6,USD", param_hint=name)
    return Prices(prompt, completion, *words[2:])
