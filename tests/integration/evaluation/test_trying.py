"""Cheap means tried on a failure cluster, against a real endpoint: which does it, which helps, and when nothing can say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from curator_thread import TOKEN, curator_thread
from integration.evaluation.chat_server import ChatServer
from runlog_making import jsonl, run

from burnish.errors import InvalidInputError, PreconditionError
from burnish.schemas.runlog import RunLogLine
from burnish_client.evaluation.request import BaselineSettings, Endpoint, Sampling
from burnish_client.evaluation.trying import (
    ARM_NAMES,
    NO_EVIDENCE,
    NO_EXAMPLES,
    Sampled,
    Trial,
    arm_names,
    sample_cluster,
    try_means,
)

EXACT = {"grader": {"name": "exact"}}


def lines(count: int = 24, **fields: Any) -> list[dict[str, Any]]:
    """Questions that fail as `prose`; the right answer is one word."""
    return [
        run(
            f"q{i:02}",
            failure_label="prose",
            expected_answer=f"city-{i}",
            answer=f"It is city-{i}.",
            **(EXACT | fields),
        )
        for i in range(count)
    ]


def sampled(made: list[dict[str, Any]], count: int = 20, grader: str | None = None) -> Sampled:
    return sample_cluster([RunLogLine.read(line) for line in made], {}, "prose", grader, count, seed=1)


async def tried(server: ChatServer, chosen: Sampled, folder: Path, means: str = "all") -> Trial:
    names, evidence_last = arm_names(means)
    return await try_means(
        chosen,
        names,
        evidence_last,
        BaselineSettings(names),
        Endpoint(server.url),
        "model",
        Sampling(),
        folder,
        concurrency=1,
    )


def answers_like_its_examples(server: ChatServer) -> None:
    """One word if an example was shown, prose otherwise."""

    def say(_model: str, prompt: str) -> str:
        shown = any(message["role"] == "assistant" for message in server.bodies[-1]["messages"])
        number = prompt.removeprefix("What is q").removesuffix("?").lstrip("0") or "0"
        return f"city-{number}" if shown else f"It is city-{number}."

    server.say = say


async def test_examples_that_do_it_mean_no_fine_tuning(server: ChatServer, tmp_path: Path) -> None:
    answers_like_its_examples(server)
    chosen = sampled(lines())
    assert len(chosen.asked) == len(chosen.examples) == 12
    trial = await tried(server, chosen, tmp_path)
    outcomes = {arm.name: (arm.outcome, arm.passed) for arm in trial.arms}
    assert trial.base.passed == 0
    assert outcomes["few-shot"] == outcomes["nearest-few-shot"] == ("does-it", 12)
    assert outcomes["prompt"] == ("no-difference", 0)
    assert outcomes["evidence-last"] == ("not-applicable", 0)
    assert trial.does_it is not None
    assert trial.does_it.name == "few-shot"
    shown = {example.output for example in chosen.examples}
    assert not shown & {failure.question.expected_answer for failure in chosen.asked}


async def test_a_second_call_asks_nothing_again(server: ChatServer, tmp_path: Path) -> None:
    chosen = sampled(lines(8))
    await tried(server, chosen, tmp_path, "prompt")
    asked = server.requests
    await tried(server, chosen, tmp_path, "prompt")
    assert server.requests == asked


async def test_a_model_that_passes_as_it_is_needs_nothing(server: ChatServer, tmp_path: Path) -> None:
    server.say = lambda _model, prompt: f"city-{int(prompt.removeprefix('What is q').removesuffix('?'))}"
    trial = await tried(server, sampled(lines(10)), tmp_path, "prompt")
    assert trial.does_it is trial.base


async def test_evidence_is_put_last_and_the_question_asked_again(server: ChatServer, tmp_path: Path) -> None:
    server.say = lambda _model, prompt: "city" if prompt.index("What") < prompt.index("facts about") else "prose"
    made = [line | {"evidence_text": "facts about cities", "expected_answer": "city"} for line in lines(10)]
    trial = await tried(server, sampled(made), tmp_path, "evidence-last")
    assert [(arm.name, arm.outcome) for arm in trial.arms] == [("evidence-last", "does-it")]
    assert trial.base.passed == 0


async def test_a_line_that_nothing_grades_passes_without_its_signature(server: ChatServer, tmp_path: Path) -> None:
    refusal = "I'm sorry, but I cannot help with that."
    made = [run(f"q{i}", failure_label="prose", answer=refusal) for i in range(6)]
    made.append(run("other", failure_label="prose", answer="Something else that is wrong"))
    chosen = sampled(made)
    assert ({failure.by_signature for failure in chosen.asked}, chosen.ungradeable) == ({"refusal"}, 1)
    server.say = lambda _model, _prompt: refusal
    assert (await tried(server, chosen, tmp_path / "a", "prompt")).base.passed == 0
    server.say = lambda _model, _prompt: "It is in Rome."
    again = await tried(server, chosen, tmp_path / "b", "few-shot")
    assert again.base.passed == len(chosen.asked)
    assert [arm.what for arm in again.arms] == [NO_EXAMPLES]


def test_what_cannot_be_tried_says_why() -> None:
    with pytest.raises(PreconditionError, match="--grader"):
        sampled([run(f"q{i}", failure_label="prose") for i in range(4)])
    assert sampled([run(f"q{i}", expected_answer="Rome") for i in range(4)], grader="exact").asked
    with pytest.raises(InvalidInputError, match="few-shot,nearest-few-shot,schema,choice,prompt,evidence-last"):
        arm_names("magic")
    assert arm_names("all")[0] + ("evidence-last",) == ARM_NAMES
    assert NO_EVIDENCE


def test_the_command_says_do_not_fine_tune(server: ChatServer, tmp_path: Path) -> None:
    answers_like_its_examples(server)
    (tmp_path / "log.jsonl").write_bytes(jsonl(lines()))
    with curator_thread(tmp_path) as url:
        env = os.environ | {"BURNISH_CURATOR_URL": url, "BURNISH_TOKEN": TOKEN, "BURNISH_HOME": str(tmp_path / "home")}
        env["COLUMNS"] = "80"

        def burnish(*words: str) -> str:
            command = [sys.executable, "-m", "burnish_client.cli", *words]
            done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            return done.stdout

        burnish("runs", "import", "log.jsonl", "--name", "cities")
        words = ("try", "cities", "prose", "--url", server.url, "--model", "m", "--concurrency", "1")
        assert "Do not fine-tune for prose: few-shot does it, 12 of 12." in " ".join(burnish(*words).split())
        found = orjson.loads(burnish(*words, "--json"))
        assert (found["does_it"], len(found["questions"]), found["by_signature"]) == ("few-shot", 12, 0)
