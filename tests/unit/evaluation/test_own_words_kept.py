"""The eval's folder written again: a person's words stay, and a damaged postmortem is set aside, not overwritten."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from burnish.reporting.meta import ReportMeta
from burnish.reporting.own_words import BEGIN, END
from burnish.testing import eval_side
from burnish.verdict import decide
from burnish_client.evaluation import output
from burnish_client.evaluation.request import Endpoint, EvalRequest

WORDS = "\n\nAsk *two* people next time.\n\n"


def write(out: Path) -> str:
    base = eval_side(["F"] * 20, prefix="t", targeted=True) + eval_side(["P"] * 40, prefix="r")
    candidate = eval_side(["P"] * 20, prefix="t", targeted=True) + eval_side(["P"] * 40, prefix="r")
    meta = ReportMeta(base_model="base", candidate_model="candidate", benchmark="bench/v1")
    request = EvalRequest(
        benchmark="bench/v1", endpoint=Endpoint("http://x"), base_model="base", candidate_model="candidate"
    )
    output.write(out, request, decide(base, candidate), {output.BASE: base, output.CANDIDATE: candidate}, meta)
    return (out / "postmortem.md").read_text()


def test_words_between_the_comments_stay(tmp_path: Path) -> None:
    written = write(tmp_path).replace(f"{BEGIN}\n\n{END}", f"{BEGIN}{WORDS}{END}")
    (tmp_path / "postmortem.md").write_text(written)
    assert f"{BEGIN}{WORDS}{END}" in write(tmp_path)
    assert not list(tmp_path.glob("*kept*"))


def test_a_damaged_postmortem_is_set_aside_byte_for_byte(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fresh = write(tmp_path)
    for number, damaged in enumerate((b"no markers, only \xff words", fresh.replace(END, "").encode()), start=1):
        (tmp_path / "postmortem.md").write_bytes(damaged)
        with caplog.at_level(logging.WARNING):
            assert f"{BEGIN}\n\n{END}" in write(tmp_path)
        assert (tmp_path / f"postmortem.kept-{number}.md").read_bytes() == damaged
        assert f"postmortem.kept-{number}.md" in caplog.text
