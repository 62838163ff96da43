"""Evals: ask any OpenAI-compatible endpoint, grade, compare base and candidate, write the report.

`EvalRequest` and `EvalInputs` in, `evaluate`, an `Evaluation` out; `ask_sides` only asks. Called by the CLI, the demo and
users of the SDK. No command, nothing that prints, and no service belongs here.
"""

from burnish_client.evaluation.answers import Answer, AnswerCache, model_digest_of
from burnish_client.evaluation.ask import Progress, Side, ask_sides
from burnish_client.evaluation.baselines import BASELINE_NAMES, baseline_names, read_corrections
from burnish_client.evaluation.comparison import Evaluation, evaluate
from burnish_client.evaluation.grade import check_questions, eval_rows, make_run_log, reuse_run_log
from burnish_client.evaluation.output import costs, store
from burnish_client.evaluation.request import (
    BaselineSettings,
    Correction,
    Endpoint,
    EvalInputs,
    EvalRequest,
    JudgeSettings,
    Prices,
    Sampling,
    read_benchmark,
)

__all__ = [
    "BASELINE_NAMES",
    "Answer",
    "AnswerCache",
    "BaselineSettings",
    "Correction",
    "Endpoint",
    "EvalInputs",
    "EvalRequest",
    "Evaluation",
    "JudgeSettings",
    "Prices",
    "Progress",
    "Sampling",
    "Side",
    "ask_sides",
    "baseline_names",
    "check_questions",
    "costs",
    "eval_rows",
    "evaluate",
    "make_run_log",
    "model_digest_of",
    "read_benchmark",
    "read_corrections",
    "reuse_run_log",
    "store",
]
