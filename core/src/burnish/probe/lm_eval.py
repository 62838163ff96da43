"""Writes the probe set as tasks of lm-evaluation-harness: data, task files and the grading hook. See docs/lm-eval.md."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import orjson

from burnish.probe.dataset import MAX_TOKENS, probe_questions, probe_texts
from burnish.schemas.benchmark import BenchmarkQuestion

QUESTIONS_TASK, TEXTS_TASK = "burnish_probe", "burnish_texts"
GRADING_MODULE = "burnish_grading"

_QUESTIONS_YAML = """\
# The probe set of Burnish, graded by Burnish's own graders: `pip install burnish-core` where lm_eval runs.
task: {task}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: generate_until
doc_to_text: "{{{{prompt}}}}"
doc_to_target: "{{{{expected_answer}}}}"
process_results: !function {module}.process_results
generation_kwargs:
  until: []
  do_sample: false
  temperature: 0.0
  max_gen_toks: {max_tokens}
metric_list:
{metrics}metadata:
  version: 1.0
"""
_METRIC = """\
  - metric: {name}
    aggregation: mean
    higher_is_better: true
"""
_TEXTS_YAML = """\
# The plain texts of Burnish: perplexity by log-likelihood of each whole text.
task: {task}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list:
  - metric: word_perplexity
  - metric: byte_perplexity
  - metric: bits_per_byte
metadata:
  version: 1.0
"""
_GRADING = '''\
"""Grades an answer with the grader that its question names: 1.0 passed, 0.0 not. Called by lm_eval for each question."""

import json

from burnish.grading import grade
from burnish.schemas.benchmark import GraderSpec


def process_results(doc, results):
    outcome = grade(GraderSpec(**json.loads(doc["grader"])), results[0], doc["expected_answer"])
    passed = float(bool(outcome.passed))
    return {"pass_rate": passed, doc["slice"]: passed}
'''


def write_lm_eval_tasks(folder: Path) -> list[Path]:
    """Write two tasks into a folder (made if it is missing); the files written.

    `burnish_probe`: every probe question, generated greedily; metric `pass_rate`, and one a category.
    `burnish_texts`: perplexity of the plain texts. Task files name their data by absolute path, since lm_eval reads it from
    wherever it is started: write anew after moving the folder.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    questions, texts = folder / f"{QUESTIONS_TASK}.jsonl", folder / f"{TEXTS_TASK}.jsonl"
    _write_lines(questions, (_doc(question) for question in probe_questions()))
    _write_lines(texts, ({"text_id": text.text_id, "text": text.text} for text in probe_texts()))
    names = ["pass_rate", *sorted({question.slice for question in probe_questions()})]
    contents = {
        folder / f"{QUESTIONS_TASK}.yaml": _QUESTIONS_YAML.format(
            task=QUESTIONS_TASK,
            data=_quoted(questions),
            module=GRADING_MODULE,
            max_tokens=MAX_TOKENS,
            metrics="".join(_METRIC.format(name=name) for name in names),
        ),
        folder / f"{TEXTS_TASK}.yaml": _TEXTS_YAML.format(task=TEXTS_TASK, data=_quoted(texts)),
        folder / f"{GRADING_MODULE}.py": _GRADING,
    }
    for path, content in contents.items():
        path.write_text(content, encoding="utf-8")
    return [questions, texts, *contents]


def _doc(question: BenchmarkQuestion) -> dict[str, str]:
    """The grader as JSON text: columns of the `json` loader must have one type in every row."""
    (message,) = question.prompt_messages()
    return {
        "question_id": question.question_id,
        "slice": question.slice,
        "prompt": message.content,
        "expected_answer": question.expected_answer,
        "grader": orjson.dumps(question.grader.model_dump()).decode(),
    }


def _quoted(path: Path) -> str:
    """A YAML double-quoted scalar: JSON's strings are such."""
    return orjson.dumps(str(path)).decode()


def _write_lines(path: Path, lines: Iterable[dict[str, str]]) -> None:
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
