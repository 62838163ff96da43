"""Teachers' answers: what is asked, how they are graded and kept, and that none is a decision."""

from __future__ import annotations

import html
import json
from typing import Any

import httpx
import pytest
from runlog_making import jsonl, passing, run

GRADER = {"name": "contains"}
LINES = [
    run("q1", expected_answer="yes", grader=GRADER, slice="a", system_prompt="Answer with a word."),
    run("q2", expected_answer="no", grader=GRADER, slice="b"),
    run("q3", failure_label="vague"),
    run("q3", failure_label="vague", run_id="r2", evidence_text="More to read."),
    run("pictures", messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a"}}]}]),
    run("missed", retrieval_hit=False),
    passing("fine"),
]
TEACHER = {"model": "big", "host": "api.example.org"}


@pytest.fixture
async def review(caller: httpx.AsyncClient) -> str:
    answer = await caller.post("/v1/runlogs", params={"name": "x"}, content=jsonl(LINES))
    return f"/v1/runlogs/{answer.json()['manifest']['id']}/review"


async def prompts(caller: httpx.AsyncClient, review: str, **query: Any) -> dict[str, dict[str, Any]]:
    answer = await caller.get(f"{review}/prompts", params=query)
    assert answer.status_code == 200, answer.text
    return {prompt["question_id"]: prompt for prompt in map(json.loads, answer.text.splitlines())}


async def suggest(
    caller: httpx.AsyncClient, review: str, texts: dict[str, str], query: dict[str, str] | None = None, **fields: Any
) -> dict[str, Any]:
    asked = await prompts(caller, review, state="all")
    answers = [
        {name: asked[q][name] for name in ("question_id", "failure_label", "prompt_key")}
        | TEACHER
        | {"text": text}
        | fields
        for q, text in texts.items()
    ]
    answer = await caller.post(f"{review}/suggestions", params=query or {}, content=jsonl(answers))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def kept(caller: httpx.AsyncClient, review: str, **query: Any) -> list[dict[str, Any]]:
    answer = await caller.get(f"{review}/suggestions", params=query)
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_open_items_are_asked_with_the_prompt_that_failed(caller: httpx.AsyncClient, review: str) -> None:
    found = await prompts(caller, review)
    assert list(found) == ["q1", "q2", "q3", "pictures"]
    assert found["q1"]["messages"] == [
        {"role": "system", "content": "Answer with a word."},
        {"role": "user", "content": "What is q1?"},
    ]
    assert found["q3"]["messages"][-1]["content"] == "What is q3?", "the first failure, which the reviewer sees"
    assert [q for q, prompt in found.items() if prompt["problem"]] == ["pictures"]
    assert set(await prompts(caller, review, label="vague")) == {"q3"}
    assert set(await prompts(caller, review, slice="b")) == {"q2"}
    few = await prompts(caller, review, limit=1)
    assert sum(not prompt["problem"] for prompt in few.values()) == 1
    await caller.post(f"{review}/decisions", json={"question_id": "q1", "state": "dismissed", "reason": "fine"})
    assert "q1" not in await prompts(caller, review)
    assert (await caller.get(f"{review}/prompts", params={"state": "second"})).status_code == 400


async def test_an_answer_is_graded_kept_and_decides_nothing(caller: httpx.AsyncClient, review: str) -> None:
    done = await suggest(
        caller, review, {"q1": "Well, yes.", "q2": "yes", "q3": "Perhaps."},
        sampling={"temperature": 0.0, "max_tokens": 9}, completion_tokens=4, finish_reason="stop",
    )  # fmt: skip
    assert done == {"grades": {"passed": 1, "ungraded": 1, "failed": 1}, "rejected_lines": []}
    found = {one["question_id"]: one for one in await kept(caller, review)}
    assert [found[q]["grade"] for q in ("q1", "q2", "q3")] == ["passed", "failed", "ungraded"]
    assert found["q1"]["grader"] == "grader:contains"
    assert found["q1"]["sampling"] == {"temperature": 0.0, "max_tokens": 9}
    assert (found["q1"]["model"], found["q1"]["host"], found["q1"]["completion_tokens"]) == (
        "big",
        "api.example.org",
        4,
    )
    assert found["q2"]["detail"]
    progress = (await caller.get(f"{review}/progress")).json()
    assert progress["states"]["open"] == progress["total"] == 4
    assert progress["suggestions"] == {"passed": 1, "ungraded": 1, "failed": 1}
    exported = (await caller.get(review, params={"label": ["not-json", "vague"]})).text.splitlines()
    assert [json.loads(line)["corrected_output"] for line in exported] == [""] * 4
    # The same teacher is not asked twice, and its newer answer takes the place of the older.
    assert set(await prompts(caller, review, **TEACHER)) == {"pictures"}
    assert set(await prompts(caller, review, **TEACHER, again=True)) == {"q1", "q2", "q3", "pictures"}
    assert "q1" in await prompts(caller, review, model="big", host="another.example.org")
    await suggest(caller, review, {"q2": "no, never"})
    [second] = await kept(caller, review, question_id="q2")
    assert (second["text"], second["grade"]) == ("no, never", "passed")


async def test_what_grades_a_line_without_a_grader(caller: httpx.AsyncClient, review: str) -> None:
    question = {"question_id": "q3", "prompt": "What is q3?", "expected_answer": "blue", "grader": {"name": "contains"}}
    answer = await caller.post("/v1/benchmarks", params={"name": "colours"}, content=jsonl([question]))
    benchmark = f"colours/{answer.json()['version']}"
    done = await suggest(caller, review, {"q3": "It is blue."}, {"benchmark": benchmark})
    assert done["grades"] == {"passed": 1, "ungraded": 0, "failed": 0}
    done = await suggest(caller, review, {"q3": "I'm sorry, but I cannot help with that."})
    assert done["grades"]["failed"] == 1
    [one] = await kept(caller, review, question_id="q3")
    assert one["grader"] == "signature:refusal"
    done = await suggest(caller, review, {"q3": " wrong answer\n"})
    [one] = await kept(caller, review, question_id="q3")
    assert (one["grade"], one["detail"]) == ("failed", "the same as the wrong answer")
    unknown = await caller.post(f"{review}/suggestions", params={"grader": "feeling"}, content=b"")
    assert (unknown.status_code, "feeling" in unknown.text) == (400, True)
    named = await caller.post(f"{review}/suggestions", params={"benchmark": "colours"}, content=b"")
    assert (named.status_code, "name/version" in named.text) == (400, True)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("question_id", "q9", "'q9' has no model-attributed, labelled failure"),
        ("question_id", "missed", "'missed' has no model-attributed, labelled failure"),
        ("failure_label", "vague", "'q1' failed as not-json, not as 'vague'"),
        ("prompt_key", "0" * 64, "'q1' did not fail with this prompt"),
        ("text", " \n", "the answer is empty"),
        ("text", "a\x00b", "text: holds a NUL"),
        ("host", "me:key@api.example.org", "host: "),
        ("host", "https://api.example.org/v1", "host: "),
    ],
)
async def test_what_is_no_answer_to_a_failure_is_named(
    caller: httpx.AsyncClient, review: str, field: str, value: str, reason: str
) -> None:
    asked = (await prompts(caller, review))["q1"]
    good = {name: asked[name] for name in ("question_id", "failure_label", "prompt_key")} | TEACHER | {"text": "yes"}
    answer = await caller.post(f"{review}/suggestions", content=jsonl([good, good | {field: value}]))
    [line] = answer.json()["rejected_lines"]
    assert (line["line_number"], reason in line["reason"]) == (2, True), line
    assert len(await kept(caller, review)) == 1


async def test_the_page_shows_who_suggested_what_those_that_pass_first(
    caller: httpx.AsyncClient, anonymous: httpx.AsyncClient, review: str
) -> None:
    await suggest(caller, review, {"q1": "no & never", "q3": "Perhaps."})
    await suggest(caller, review, {"q1": "yes & sure"}, model="small")
    page = f"/review/{review.split('/')[3]}"
    del anonymous.headers["Authorization"]
    await anonymous.post("/review/sign-in", data={"token": "unit-test-token", "next": page})
    body = html.unescape((await anonymous.get(f"{page}?item=q1")).text)
    places = [
        body.index(f'aria-label="Suggestion: {who}"')
        for who in ("expected answer", "small at api.example.org", "big at api.example.org")
    ]
    assert places == sorted(places), "the last one fails"
    assert [body.count(words) for words in ("✓ passes", "✕ fails", "not graded")] == [2, 1, 0]
    assert "not graded" in (await anonymous.get(f"{page}?item=q3")).text


async def test_a_teachers_suggestions_are_removed_and_corrections_still_say_whose_they_were(
    caller: httpx.AsyncClient, review: str
) -> None:
    """Of what it suggested one text stands as a correction, one did before it was taken back, and one nobody has decided about."""
    await suggest(caller, review, {"q1": "yes, I think", "q2": "no, never", "q3": "Perhaps."})
    await suggest(caller, review, {"q3": "Surely."}, host="other.example.org")
    await suggest(caller, review, {"q3": "Never."}, model="small")
    for question, text in (("q1", "yes, I think"), ("q2", "no, never")):
        await decide(caller, review, question, "accepted", text, author=question)
    await caller.post(f"{review}/undo", json={"author": "q1"})
    await decide(caller, review, "q2", "corrected", "no", author="tom")
    listed = (await caller.get(f"{review}/teachers")).json()["teachers"]
    assert [(one["model"], one["host"], one["grades"], one["accepted"]) for one in listed] == [
        ("big", "api.example.org", {"passed": 2, "ungraded": 1}, 2),
        ("big", "other.example.org", {"ungraded": 1}, 0),
        ("small", "api.example.org", {"ungraded": 1}, 0),
    ]
    assert (await remove(caller, review, model="big", host="other.example.org")).json() == {"removed": 1, "accepted": 0}
    assert (await remove(caller, review, model="big")).json() == {"removed": 3, "accepted": 2}
    again = await remove(caller, review, model="big")
    assert (again.status_code, again.json()["error"]["message"]) == (
        404,
        "no suggestion of 'big' in this review: there are those of small at api.example.org",
    )
    assert [one["model"] for one in await kept(caller, review)] == ["small"]
    assert (await caller.get(f"{review}/progress")).json()["suggestions"] == {"ungraded": 1}
    assert {"q1", "q3"} <= (await prompts(caller, review, **TEACHER)).keys(), "the teacher can be asked again"
    # Not even what is kept for the corrections is taken; and it says whose the correction is that stands again.
    await caller.post(f"{review}/undo", json={"author": "tom"})
    spec = {"name": "d", "run_log_id": review.split("/")[3], "labels": ["not-json", "vague"], "held_out_share": 0.01}
    built = (await caller.post("/v1/datasets", json=spec | {"source": "teacher", "take_ungraded": True})).json()
    assert built["split"]["targeted"] == ["q2", "q3"]
    await decide(caller, review, "q1", "corrected", "yes", author="tom")
    built = (await caller.post("/v1/datasets", json=spec | {"labels": ["not-json"]})).json()
    assert built["origins"] == [{"kind": "accepted", "teacher": "big at api.example.org", "questions": ["q2"]}]


async def decide(caller: httpx.AsyncClient, review: str, question: str, state: str, output: str, author: str) -> None:
    decision = {"question_id": question, "state": state, "output": output, "author": author}
    assert (await caller.post(f"{review}/decisions", json=decision)).status_code == 200


async def remove(caller: httpx.AsyncClient, review: str, **query: str) -> httpx.Response:
    return await caller.delete(f"{review}/suggestions", params=query)
