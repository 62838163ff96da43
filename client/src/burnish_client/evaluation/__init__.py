"""The eval client: asks any OpenAI-compatible endpoint, grades, compares base and candidate, writes the report.

`ask` and `ask_sides` collect answers (resumable), `make_run_log` turns them into a graded run log, `evaluate` does the
whole comparison into a folder. Used by the CLI, the demo and whoever imports the SDK. Async; must not import a service.
"""

from burnish_client.evaluation.answers import Answer
from burnish_client.evaluation.asking import Progress, Side, ask, ask_sides
from burnish_client.evaluation.cache import AnswerCache, model_digest_of
from burnish_client.evaluation.chat import Endpoint, Sampling
from burnish_client.evaluation.comparison import Evaluation, evaluate
from burnish_client.evaluation.controls import ARM_NAMES, Controls, arm_names, read_corrections
from burnish_client.evaluation.cost import Prices, costs
from burnish_client.evaluation.judging import JudgeSettings
from burnish_client.evaluation.rows import check_questions, eval_rows
from burnish_client.evaluation.run_log import make_run_log, reuse_run_log

__all__ = [
    "ARM_NAMES",
    "Answer",
    "AnswerCache",
    "Controls",
    "Endpoint",
    "Evaluation",
    "JudgeSettings",
    "Prices",
    "Progress",
    "Sampling",
    "Side",
    "arm_names",
    "ask",
    "ask_sides",
    "check_questions",
    "costs",
    "eval_rows",
    "evaluate",
    "make_run_log",
    "model_digest_of",
    "read_corrections",
    "reuse_run_log",
]
