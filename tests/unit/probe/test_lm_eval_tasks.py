"""What is written for lm-evaluation-harness: the data, the task files, and a grading hook that grades as we do."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import orjson
import yaml

from burnish.probe import CATEGORIES, probe_questions, probe_texts, probe_version, write_lm_eval_tasks
from burnish_client.cli import app as cli


class TaskLoader(yaml.SafeLoader):
    """Knows lm_eval's `!function` tag, as text."""


TaskLoader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def read_task(path: Path) -> dict:
    return yaml.load(path.read_text(), Loader=TaskLoader)


def test_the_tasks_name_their_data_wherever_lm_eval_is_started(tmp_path: Path):
    folder = tmp_path / 'with "quotes" and: colon'
    written = write_lm_eval_tasks(folder)
    assert all(path.is_file() for path in written)
    for task, lines in (("burnish_probe", probe_questions()), ("burnish_texts", probe_texts())):
        read = read_task(folder / f"{task}.yaml")
        assert read["task"] == task
        data = Path(read["dataset_kwargs"]["data_files"]["test"])
        assert data.is_absolute()
        assert len(data.read_bytes().splitlines()) == len(lines)
    metrics = [metric["metric"] for metric in read_task(folder / "burnish_probe.yaml")["metric_list"]]
    assert metrics == ["pass_rate", *CATEGORIES]


def test_the_grading_hook_grades_as_we_do(tmp_path: Path):
    write_lm_eval_tasks(tmp_path)
    spec = importlib.util.spec_from_file_location("burnish_grading", tmp_path / "burnish_grading.py")
    assert spec is not None
    assert spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    docs = [orjson.loads(line) for line in (tmp_path / "burnish_probe.jsonl").read_bytes().splitlines()]
    for doc, question in zip(docs, probe_questions(), strict=True):
        assert all(isinstance(value, str) for value in doc.values())
        assert hook.process_results(doc, [question.expected_answer]) == {"pass_rate": 1.0, question.slice: 1.0}
        assert hook.process_results(doc, [question.extra["wrong"]]) == {"pass_rate": 0.0, question.slice: 0.0}


def test_the_command_says_what_it_wrote(tmp_path: Path, capsys):
    assert cli.run(["probe", "export", str(tmp_path / "tasks"), "--json"]) == 0
    said = orjson.loads(capsys.readouterr().out)
    assert said["version"] == probe_version()
    assert sorted(Path(path) for path in said["files"]) == sorted((tmp_path / "tasks").iterdir())
