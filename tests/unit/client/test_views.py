"""What commands print: at 80 columns no number is cut, and the next step names every file that it takes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from unit.client.test_stack_state import a_state, identity

from burnish.schemas.base import Parent
from burnish.schemas.dataset import LeftOut
from burnish.schemas.device import DeviceStatus
from burnish.schemas.evaluation import BaselineRecord, EvalManifest, VerdictName
from burnish.testing import eval_side
from burnish.verdict import decide
from burnish_client.cli.views import stack_text
from burnish_client.cli.views.data.data_text import show_left_out
from burnish_client.cli.views.evaluation.evaluation_text import show_evaluation, show_verdict
from burnish_client.evaluation.comparison import Evaluation

SLICE = "questions-about-orders-that-were-returned-and-then-sent-again"
BASELINE = "nearest-few-shot"


def side(targeted: str, rest: str) -> list:
    return eval_side(targeted, prefix="t", targeted=True) + eval_side(rest, prefix="r", slice=SLICE)


BASE = side("F" * 1234, "P" * 2345)
CANDIDATE = side("P" * 1200 + "F" * 34, "P" * 2340 + "F" * 5)


@pytest.mark.parametrize("columns", ["80", "70"])
def test_a_verdict_keeps_its_numbers_in_a_narrow_window(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    decided = decide(BASE, CANDIDATE, baselines={BASELINE: ("what", CANDIDATE)})
    show_verdict(decided)
    text = capsys.readouterr().out
    assert all(len(line) <= int(columns) for line in text.splitlines())
    table = text[text.index("\nquestions") + 1 :]
    assert "…" not in table.replace(" … ", ""), "a cell is cut"
    rest = next(line for line in table.splitlines() if line.startswith("rest "))
    assert rest.split()[1] == "2345"
    assert rest.split()[-1] == f"{decided.rest.p_value:.2g}"
    assert "candidate" in table.splitlines()[0]


def test_the_next_step_names_the_baselines_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = decide(BASE, CANDIDATE)
    arm = BaselineRecord(name=BASELINE, what="w", file=f"arm-{BASELINE}.jsonl", changed=1, plain=0)
    manifest = EvalManifest(
        id="e", base_model="b", candidate_model="c", benchmark="n/v", verdict=verdict.verdict, arms=[arm]
    )
    show_evaluation(Evaluation(verdict, manifest, tmp_path, BASE, CANDIDATE, {}, 0, []))
    assert f"--arm {BASELINE}={tmp_path}/arm-{BASELINE}.jsonl --json" in capsys.readouterr().err


@pytest.mark.parametrize(("verdict", "is_adapter"), [("ship", True), ("ship", False), ("investigate", True)])
def test_an_adapter_that_ships_is_to_be_promoted(
    verdict: VerdictName, is_adapter: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decided = decide(BASE, CANDIDATE).model_copy(update={"verdict": verdict})
    parents = [Parent(kind="adapter", name="fix", digest="a" * 16)] if is_adapter else []
    manifest = EvalManifest(
        id="e", base_model="b", candidate_model="fix@v", benchmark="n/v", verdict=verdict, parents=parents
    )
    show_evaluation(Evaluation(decided, manifest, tmp_path, BASE, CANDIDATE, {}, 0, []))
    shown = "next: burnish adapters promote fix@v" in capsys.readouterr().err
    assert shown == (verdict == "ship" and is_adapter)


@pytest.mark.parametrize(
    ("held_seconds", "line"),
    [
        (None, "job job-1 waits for its device; vLLM is draining"),
        (754.2, "job job-1 has had its device for 12 min 34 s; vLLM is draining"),
    ],
)
def test_the_status_says_who_has_the_device_and_for_how_long(held_seconds: float | None, line: str) -> None:
    device = DeviceStatus(
        sharing="sleep", devices=["GPU-1"], phase="draining", holder="job-1", held_seconds=held_seconds
    )
    assert stack_text.device_line(device).endswith(line)


def test_the_status_names_the_base_model(capsys: pytest.CaptureFixture[str]) -> None:
    stack_text.show_stack(a_state(identity(os.getpid()), base_model="smollm2"), "here")
    assert "base model smollm2" in capsys.readouterr().out


def test_what_was_left_out_is_told_whole_in_a_narrow_window(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    reason = "contamination: it asks nearly what a benchmark question asks"
    lines = [
        LeftOut(question_id="q[1]", action="left out", reason=reason, like=SLICE, similarity=0.8123),
        LeftOut(question_id="q2", action="masked", reason="secret in its text: API key"),
    ]
    show_left_out(lines, json=False)
    assert capsys.readouterr().out.splitlines() == [
        f"q[1] left out: {reason}; like {SLICE} (0.81)",
        "q2 masked: secret in its text: API key",
    ]
    show_left_out([], json=False)
    assert "nothing was left out" in capsys.readouterr().err
