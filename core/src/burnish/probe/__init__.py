"""The general probe set that Burnish ships: questions and plain texts, written for it, to see whether a model forgot.

Asked of base and adapter beside the user's benchmark by the eval client; exported for lm-evaluation-harness by the
CLI. Package data: `questions.jsonl` (schema BenchmarkQuestion, slice = category) and `texts.jsonl` (ProbeText).
"""

from burnish.probe.cross_entropy import CrossEntropy, TextScore, compare_texts
from burnish.probe.dataset import CATEGORIES, MAX_TOKENS, ProbeText, probe_questions, probe_texts, probe_version
from burnish.probe.lm_eval import write_lm_eval_tasks

__all__ = [
    "CATEGORIES",
    "MAX_TOKENS",
    "CrossEntropy",
    "ProbeText",
    "TextScore",
    "compare_texts",
    "probe_questions",
    "probe_texts",
    "probe_version",
    "write_lm_eval_tasks",
]
