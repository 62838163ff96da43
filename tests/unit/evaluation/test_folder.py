"""A folder with a finished eval: only the same eval may be written there again, with all its baselines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from burnish.errors import AlreadyExistsError
from burnish_client.evaluation import output
from burnish_client.evaluation.request import BaselineSettings, Endpoint, EvalRequest


def request(*baselines: Any, **changes: Any) -> EvalRequest:
    fields = {"benchmark": "bench/v1", "base_model": "base", "candidate_model": "fixes@1"} | changes
    return EvalRequest(endpoint=Endpoint("http://x"), baselines=BaselineSettings(baselines), **fields)


def finish(folder: Path, done: EvalRequest) -> None:
    (folder / output.REQUEST).write_text(done.model_dump_json())


def test_the_same_eval_may_be_written_again_and_more_asked(tmp_path: Path) -> None:
    output.check_folder(tmp_path / "new", request())
    finish(tmp_path, request("schema"))
    output.check_folder(tmp_path, request("schema"))
    output.check_folder(tmp_path, request("schema", "prompt", base_samples=5))


@pytest.mark.parametrize("changes", [{"benchmark": "bench/v2"}, {"candidate_model": "fixes@2"}, {"dataset": "d/1"}])
def test_another_eval_is_not_overwritten(tmp_path: Path, changes: dict[str, str]) -> None:
    finish(tmp_path, request())
    with pytest.raises(AlreadyExistsError, match="give another folder with `--out`"):
        output.check_folder(tmp_path, request(**changes))


def test_baselines_are_not_dropped(tmp_path: Path) -> None:
    finish(tmp_path, request("few-shot", "schema"))
    with pytest.raises(AlreadyExistsError, match="baselines few-shot: add `--control schema,few-shot`"):
        output.check_folder(tmp_path, request("schema"))
