"""Preferences over HTTP: on the review page without script, through the API, and as a file, into a dataset."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import httpx
import orjson
import pytest
from runlog_making import jsonl, run

TOKEN = "unit-test-token"


def asked(number: int) -> list[dict[str, Any]]:
    """One question that two models failed, in other words each."""
    about = {"question": f"Tell me about subject {chr(65 + number) * 5}."}
    return [
        run(f"q{number}", answer=f"base {number}", model="base", **about),
        run(f"q{number}", answer=f"other {number}", model="other", run_id="r2", **about),
    ]


LINES = [*(line for number in range(8) for line in asked(number)), run("lone", answer="only one")]


@pytest.fixture
async def run_log(caller: httpx.AsyncClient) -> str:
    answer = await caller.post("/v1/runlogs", params={"name": "x"}, content=jsonl(LINES))
    return str(answer.json()["manifest"]["id"])


@pytest.fixture
async def browser(anonymous: httpx.AsyncClient, run_log: str) -> httpx.AsyncClient:
    await anonymous.post("/review/sign-in", data={"token": TOKEN, "next": f"/review/{run_log}", "reviewer": "mia"})
    return anonymous


async def form(browser: httpx.AsyncClient, url: str) -> tuple[str, dict[str, str]]:
    """The page, and the fields of the item's form."""
    body = (await browser.get(url)).text
    names = ("form_token", "question_id", "failure_label", "prompt_key", "version", "a", "b")
    found = {name: re.findall(f'name="{name}" value="([^"]*)"', body) for name in names}
    return body, {name: html.unescape(values[0]) for name, values in found.items() if values}


def sides(page: str) -> list[str]:
    return [re.sub("<.*?>", "", text) for text in re.findall(r'aria-label="Answer [AB]">(.*?)</pre>', page)]


async def test_two_answers_are_offered_where_there_are_two(browser: httpx.AsyncClient, run_log: str) -> None:
    page = f"/review/{run_log}"
    body, _ = await form(browser, f"{page}?item=q1")
    assert (f'href="{page}?mode=compare&amp;item=q1"' in body, "prefer:up" in body) == (True, True)
    lone, _ = await form(browser, f"{page}?item=lone&mode=compare")
    assert ("prefer:a" in lone, 'id="compare"' in lone, "prefer:down" in lone) == (False, False, True)


async def test_a_person_compares_without_script_and_sees_no_origin(
    browser: httpx.AsyncClient, caller: httpx.AsyncClient, run_log: str
) -> None:
    page = f"/review/{run_log}"
    body, sent = await form(browser, f"{page}?item=q1&mode=compare")
    shown = sides(body)
    assert sorted(shown) == ["base 1", "other 1"]
    assert ("Wrong answer" in body, "other<" in body) == (False, False)
    answer = await browser.post(f"{page}/corrections?mode=compare", data=sent | {"action": "prefer:b"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{page}?mode=compare&after=q1")
    [event] = (await caller.get(f"/v1/runlogs/{run_log}/review/history", params={"question_id": "q1"})).json()["events"]
    assert (event["state"], event["author"]) == ("compared", "mia")
    sources = {"base 1": "base", "other 1": "other"}
    assert event["preference"] == {
        "choice": "b", "a": shown[0], "b": shown[1], "a_source": sources[shown[0]], "b_source": sources[shown[1]]
    }  # fmt: skip
    late = await browser.post(f"{page}/corrections?mode=compare", data=sent | {"action": "prefer:a"})
    assert (late.status_code, "mia compared it at" in late.text, "preferred B (" in late.text) == (409, True, True)
    gone = await browser.post(f"{page}/corrections?mode=compare", data=sent | {"action": "prefer:a", "a": "0" * 16})
    assert (gone.status_code, "the answers of this item have changed" in gone.text) == (400, True)
    again, _ = await form(browser, f"{page}?item=q1&mode=compare")
    assert sides(again) == shown
    undone = await browser.post(f"{page}/undo?mode=compare", data={"form_token": sent["form_token"]})
    assert undone.headers["location"] == f"{page}?mode=compare&item=q1&done=undone-1"


async def test_a_thumb_is_about_the_answer_that_is_shown(
    browser: httpx.AsyncClient, caller: httpx.AsyncClient, run_log: str
) -> None:
    page = f"/review/{run_log}"
    _, sent = await form(browser, f"{page}?item=lone")
    answer = await browser.post(f"{page}/corrections", data=sent | {"action": "prefer:down"})
    assert answer.status_code == 303
    body, _ = await form(browser, f"{page}?item=lone")
    assert ("mia rated it at" in body, "(thumb down)" in body) == (True, True)
    progress = (await caller.get(f"/v1/runlogs/{run_log}/review/progress")).json()
    assert (progress["states"]["rated"], progress["states"]["open"]) == (1, 8)


async def test_a_second_reviewer_sees_the_same_two_answers_and_not_the_choice(
    browser: httpx.AsyncClient, caller: httpx.AsyncClient, run_log: str
) -> None:
    decision = {"question_id": "q2", "failure_label": "not-json", "state": "compared", "author": "tom"}
    preference = {"choice": "a", "a": "base 2", "b": "other 2"}
    url = f"/v1/runlogs/{run_log}/review/decisions"
    assert (await caller.post(url, json=decision | {"preference": preference})).status_code == 200
    page = f"/review/{run_log}"
    body, sent = await form(browser, f"{page}?show=second&item=q2")
    card = body.split("<article")[1].split("</article>")[0]
    assert (sorted(sides(body)), "tom" in card, "state-now" in card) == (["base 2", "other 2"], False, False)
    mine = "ab"[sides(body).index("base 2")]
    await browser.post(f"{page}/corrections?show=second", data=sent | {"action": f"prefer:{mine}"})
    progress = (await caller.get(f"/v1/runlogs/{run_log}/review/progress")).json()
    assert (progress["agreement"]["items"], progress["agreement"]["same"]) == (1, 1)


async def test_the_api_refuses_what_is_no_answer(caller: httpx.AsyncClient, run_log: str) -> None:
    decision = {"question_id": "q2", "state": "compared", "preference": {"choice": "a", "a": "made up", "b": "base 2"}}
    answer = await caller.post(f"/v1/runlogs/{run_log}/review/decisions", json=decision)
    assert (answer.status_code, answer.json()["error"]["message"].split(":")[0]) == (400, "answer_a")


async def test_a_question_that_the_log_has_not_is_named(caller: httpx.AsyncClient, run_log: str) -> None:
    """Also one whose id no answer can be written with: it was a failure of the curator."""
    preference = {"choice": "a", "a": "x", "b": "y"}
    for question_id, said in (("nobody", "no model-attributed"), ("\ud800", "single surrogate")):
        body = json.dumps({"question_id": question_id, "state": "compared", "preference": preference})
        url, kind = f"/v1/runlogs/{run_log}/review/decisions", {"Content-Type": "application/json"}
        answer = await caller.post(url, content=body, headers=kind)
        error = json.loads(answer.content)["error"]
        assert (answer.status_code, said in error["message"]) == (400, True)
        assert error["metadata"]["question_id"] == question_id


async def test_from_a_file_to_the_rows_of_a_dataset(caller: httpx.AsyncClient, run_log: str) -> None:
    """Out, filled, in, out again unchanged, and built; ties are counted with their reason."""
    url, query = f"/v1/runlogs/{run_log}/review", {"label": "not-json"}
    items = [orjson.loads(line) for line in (await caller.get(url, params=query)).content.splitlines()]
    for item in items:
        better = "a" if item["answer_a"].startswith("other") else "b"
        item["preference"] = {"q0": "tie", "lone": "down"}.get(item["question_id"], better)
    done = (await caller.post(url, params={"author": "mia"}, content=jsonl(items))).json()
    assert (done["preferred"], done["accepted"], done["rejected_lines"]) == (9, 0, [])
    back = (await caller.get(url, params=query)).content
    again = (await caller.post(url, params={"author": "tom"}, content=back)).json()
    assert (again["preferred"], again["rejected_lines"]) == (9, [])
    assert (await caller.get(url, params=query)).content == back, "a file that nobody touched changes nothing"
    spec = {"name": "fix", "run_log_id": run_log, "labels": ["not-json"], "format": "dpo"}
    manifest = (await caller.post("/v1/datasets", json=spec)).json()
    assert manifest["counts"]["preferences"] == manifest["counts"]["train"] + manifest["counts"]["validation"] >= 4
    assert manifest["counts"]["discarded"] == {
        "no correction: its answer has a thumb, of which only kto makes a row": 1,
        "no preference: a person judged the two answers alike (tie)": 1,
    }
    rows = (await caller.get(f"/v1/datasets/fix/{manifest['version']}/export", params={"form": "rows"})).content
    for row in map(orjson.loads, rows.splitlines()):
        number = row["question_id"][1:]
        words = row["chosen"][0]["content"], row["rejected"][0]["content"]
        assert (row["source"], words) == ("preference", (f"other {number}", f"base {number}"))
