"""What an eval will ask, before it asks."""

from __future__ import annotations

from pathlib import Path

from unit.evaluation.questions import make_answer, make_questions

from burnish.schemas.base import Message
from burnish_client.evaluation.asking.ask import Side, Wording
from burnish_client.evaluation.forecast import forecast
from burnish_client.evaluation.request import Endpoint, Sampling

ENDPOINT = Endpoint("http://host")


def test_known_answers_are_not_asked_and_say_how_long_the_others_take() -> None:
    questions = [*make_questions(2, max_tokens=10), make_questions(3)[2]]
    known = tuple(make_answer(0, question_id=q.question_id, latency_ms=64_000.0) for q in questions)
    base = Side(ENDPOINT, "base", Path(), samples=2, known=known)
    found = forecast([base, Side(ENDPOINT, "tuned", Path())], questions, Sampling(max_tokens=100))
    assert (found.answers, found.completion_tokens) == (6, 2 * (10 + 10 + 100))
    assert found.prompt_tokens == 6 * 10, "five bytes are two tokens, and a message has eight more"
    assert found.minutes == 6 * 64 / 32 / 60
    assert found.sentence() == "to ask: 6 answers, at most about 60 tokens in and 240 out; about 0 minutes"


def test_a_baselines_wording_counts() -> None:
    questions = make_questions(2)
    shown = {"q0000": Wording((Message(role="user", content="x" * 1000), Message(role="user", content="q0000")))}
    found = forecast([Side(ENDPOINT, "base", Path(), wordings=shown)], questions, Sampling())
    assert found.prompt_tokens == 400 + 2 + 16 + 2 + 8
    assert found.minutes is None
    assert "once answers come" in found.sentence()
