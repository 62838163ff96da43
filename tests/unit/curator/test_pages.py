"""The review page without a browser: signing in, escaping, forged forms, saving with and without script."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from runlog_making import jsonl, repeated_failures, run

from burnish import layout
from burnish.objectstores.memory import MemoryObjectStore
from burnish_curator.app import Deps, create_app

TOKEN = "unit-test-token"
LINES = [
    run(
        "<b>q</b>",
        question="<script>alert(1)</script>",
        answer='"><script>alert(2)</script>',
        evidence_files=["<i>.py"],
    ),
    *repeated_failures({"not-json": 25}),
]


@pytest.fixture
async def page(caller: httpx.AsyncClient) -> str:
    """URL of a review; the caller then goes on without the token, as a browser."""
    answer = await caller.post("/v1/runlogs", params={"name": "x"}, content=jsonl(LINES))
    del caller.headers["Authorization"]
    return f"/review/{answer.json()['manifest']['id']}"


@pytest.fixture
async def browser(anonymous: httpx.AsyncClient, page: str) -> httpx.AsyncClient:
    """Signed in."""
    answer = await anonymous.post("/review/sign-in", data={"token": TOKEN, "next": page})
    assert (answer.status_code, answer.headers["location"]) == (303, page)
    return anonymous


def uses(body: str) -> list[str]:
    """What the buttons that accept a suggestion send, in the order of the page."""
    return re.findall(r'value="(use:[0-9a-f]+)"', body)


async def form(
    browser: httpx.AsyncClient, page: str, question_id: str, text: str = "", **fields: str
) -> dict[str, str]:
    """The fields of an item's form, as the page has them."""
    mark = "&" if "?" in page else "?"
    body = (await browser.get(f"{page}{mark}item={quote(question_id)}")).text
    names = ("form_token", "question_id", "failure_label", "prompt_key", "version")
    hidden = {name: html.unescape(re.findall(f'name="{name}" value="([^"]*)"', body)[-1]) for name in names}
    return hidden | {"corrected_output": text} | fields


async def save(
    browser: httpx.AsyncClient, page: str, question_id: str, text: str = "", by_script: bool = False, **fields: str
) -> httpx.Response:
    sent = await form(browser, page, question_id, text, **fields)
    target = page.replace("?", "/corrections?") if "?" in page else f"{page}/corrections"
    return await browser.post(target, data=sent, headers=script() if by_script else {})


def script() -> dict[str, str]:
    return {"Accept": "application/json"}


async def test_without_a_session_there_is_only_the_sign_in_form(anonymous: httpx.AsyncClient, page: str) -> None:
    answer = await anonymous.get(f"{page}?label=not-json")
    assert answer.status_code == 401
    assert 'name="token"' in answer.text
    assert f'value="{page}?label=not-json"' in answer.text
    assert "alert" not in answer.text


async def test_the_cookie_is_closed_to_scripts_and_other_sites(anonymous: httpx.AsyncClient, page: str) -> None:
    wrong = await anonymous.post("/review/sign-in", data={"token": "wrong", "next": page})
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
    right = await anonymous.post("/review/sign-in", data={"token": f" {TOKEN}\n", "next": page})
    cookie = right.headers["set-cookie"]
    assert TOKEN not in cookie
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/review", "Max-Age=43200"))


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/review/\\evil", "/v1/runlogs"])
async def test_signing_in_leads_nowhere_else(anonymous: httpx.AsyncClient, target: str) -> None:
    answer = await anonymous.post("/review/sign-in", data={"token": TOKEN, "next": target})
    assert answer.headers["location"] == "/review"


async def test_what_a_model_wrote_is_text(browser: httpx.AsyncClient, page: str) -> None:
    answer = await browser.get(page)
    assert "<script>alert" not in answer.text
    assert "<b>q</b>" not in answer.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    [nonce] = set(re.findall(r'nonce="([^"]+)"', answer.text))
    assert f"script-src 'nonce-{nonce}'" in policy
    assert not re.findall(r'(?:src|href)="https?:', answer.text)


def shown(answer: httpx.Response) -> str:
    """The id of the item in focus."""
    body = answer.json()["html"] if "json" in answer.headers["content-type"] else answer.text
    return next(iter(re.findall(r'data-question="([^"]*)"', body)), "")


async def test_a_decision_by_script_brings_the_next_item(browser: httpx.AsyncClient, page: str) -> None:
    answer = await save(browser, page, "not-json-003", "right\r\nanswer", by_script=True)
    assert (answer.json()["said"], shown(answer)) == ("not-json-003: corrected", "not-json-004")
    assert answer.json()["url"] == f"{page}?item=not-json-004"
    assert '<strong id="decided">1</strong>' in answer.json()["html"]
    assert "right\nanswer</textarea>" in (await browser.get(f"{page}?item=not-json-003")).text
    taken_back = await save(browser, page, "not-json-003", " ", by_script=True)
    assert '<strong id="decided">0</strong>' in taken_back.json()["html"]


async def test_a_decision_without_script_goes_on_to_the_next_item(browser: httpx.AsyncClient, page: str) -> None:
    view = f"{page}?label=not-json"
    answer = await save(browser, view, "not-json-003", "right")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{view}&after=not-json-003")
    assert shown(await browser.get(answer.headers["location"])) == "not-json-004"


async def test_a_refused_save_loses_nothing(browser: httpx.AsyncClient, page: str) -> None:
    plain = await save(browser, page, "not-json-003", "wrong answer ")
    assert plain.status_code == 400
    assert "wrong answer </textarea>" in plain.text
    assert "corrected_output: the same as the original wrong answer" in plain.text
    by_script = await save(browser, page, "not-json-003", "wrong answer ", by_script=True)
    assert by_script.status_code == 400
    assert "the same as" in by_script.json()["error"]["message"]
    assert "wrong answer </textarea>" in by_script.json()["html"]
    no_reason = await save(browser, page, "not-json-003", action="flagged", reason=" ")
    assert (no_reason.status_code, "reason: say why the item is flagged" in no_reason.text) == (400, True)


async def test_what_is_not_to_be_corrected_is_set_aside(browser: httpx.AsyncClient, page: str) -> None:
    await save(browser, page, "not-json-003", action="reason:1")
    await save(browser, page, "not-json-004", action="unsure", reason="whose <b>house</b>?")
    body = (await browser.get(f"{page}?show=dismissed")).text
    assert ('data-question="not-json-003"' in body, "the answer is right and the grade is wrong" in body) == (
        True,
        True,
    )
    unsure = (await browser.get(f"{page}?item=not-json-004")).text
    assert "&lt;b&gt;house&lt;/b&gt;" in unsure
    assert re.search(r"reviewer-\w{4} marked it as unsure at \d{4}-\d\d-\d\d \d\d:\d\d UTC", unsure)
    for state in ("unsure", "dismissed"):
        assert f'{state} <span class="count">1</span>' in unsure


async def test_a_suggestion_is_taken_as_it_is_or_edited(
    caller: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    grader = {"name": "one_of", "args": {"labels": ["yes", "no"]}}
    lines = [
        run("q1", expected_answer="yes", correction="a vendor's"),
        run("q2", expected_answer="wrong answer"),
        run("q3", expected_answer="no", correction="perhaps", grader=grader),
    ]
    imported = await caller.post("/v1/runlogs", params={"name": "x"}, content=jsonl(lines))
    page = f"/review/{imported.json()['manifest']['id']}"
    del anonymous.headers["Authorization"]
    await anonymous.post("/review/sign-in", data={"token": TOKEN, "next": page, "reviewer": " Mia  M. "})
    first = (await anonymous.get(f"{page}?item=q1")).text
    assert [first.count(f"Suggestion: {each}</h3>") for each in ("expected answer", "correction from the log")] == [
        0,
        0,
    ]
    assert [
        first.count(f'aria-label="Suggestion: {each}"') for each in ("expected answer", "correction from the log")
    ] == [1, 1]
    assert 'aria-label="Suggestion' not in (await anonymous.get(f"{page}?item=q2")).text
    graded = (await anonymous.get(f"{page}?item=q3")).text
    assert ("passes the question’s grader" in graded, "fails the question’s grader" in graded) == (True, True)
    assert "a vendor&#39;s</textarea>" in (await anonymous.get(f"{page}?item=q1&edit=1")).text
    taken = await save(anonymous, page, "q1", action=uses(first)[1], by_script=True)
    assert taken.json()["said"] == "q1: accepted"
    gone = await save(anonymous, page, "q3", action=uses(first)[1], by_script=True)
    assert (gone.status_code, "is not there any more" in gone.json()["error"]["message"]) == (400, True)
    refused = await save(anonymous, page, "q3", action=uses(graded)[1], by_script=True)
    assert (refused.status_code, "own grader" in refused.json()["error"]["message"]) == (400, True)
    assert (await save(anonymous, page, "q3", "no", by_script=True)).json()["said"] == "q3: accepted"
    anonymous.headers["Authorization"] = f"Bearer {TOKEN}"
    history = (await anonymous.get(f"/v1/runlogs{page.removeprefix('/review')}/review/history")).json()["events"]
    assert [(e["question_id"], e["state"], e["output"], e["author"]) for e in history] == [
        ("q3", "accepted", "no", "Mia M."),
        ("q1", "accepted", "a vendor's", "Mia M."),
    ]
    assert all(0 <= e["seconds"] < 60 for e in history)


async def test_two_people_on_one_item_are_told(
    anonymous: httpx.AsyncClient, browser: httpx.AsyncClient, page: str, deps: Deps
) -> None:
    """The second one's text is kept on the page beside what stands, and saving again replaces it knowingly."""
    transport = httpx.ASGITransport(create_app(deps))
    async with httpx.AsyncClient(transport=transport, base_url="http://curator") as other:
        await other.post("/review/sign-in", data={"token": TOKEN, "next": page, "reviewer": "tom"})
        first = await form(browser, page, "not-json-003", "mine")
        seen = (await other.get(f"{page}?item=not-json-003")).text
        assert re.search(r"reviewer-\w{4} has this item open until", seen)
        assert shown(await other.get(f"{page}?after=not-json-002")) == "not-json-004", (
            "the queue offers it to nobody else"
        )
        assert (await save(other, page, "not-json-003", "tom's")).status_code == 303
        late = await browser.post(f"{page}/corrections", data=first, headers=script())
        assert (late.status_code, late.json()["error"]["reason"]) == (409, "CONFLICT")
        assert re.match(r"tom corrected it at [\d-]+ [\d:]+ UTC, after you", late.json()["error"]["message"])
        assert late.json()["error"]["metadata"]["author"] == "tom"
        assert ("mine</textarea>" in late.json()["html"], "tom&#39;s" in late.json()["html"]) == (True, True)
        again = re.search(r'name="version" value="(\d+)"', late.json()["html"])
        assert again
        forced = await browser.post(f"{page}/corrections", data=first | {"version": again[1]}, headers=script())
        assert forced.status_code == 200
        nothing = await other.post(
            f"{page}/undo", data={"form_token": (await form(other, page, "not-json-005"))["form_token"]}
        )
        assert (nothing.status_code, "corrected it at" in nothing.text) == (409, True)


async def test_a_correction_is_for_the_prompt_that_the_page_showed(
    caller: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    """One question id, asked in two slices with two prompts: the page shows the one that was corrected, and says so where it cannot."""
    lines = [run("both", question=f"Asked of {name}", slice=name, answer=f"wrong {name}") for name in ("a", "b")]
    answer = await caller.post("/v1/runlogs", params={"name": "two"}, content=jsonl(lines))
    review = f"/review/{answer.json()['manifest']['id']}"
    await anonymous.post("/review/sign-in", data={"token": TOKEN, "next": review})
    assert (await save(anonymous, f"{review}?slice=b", "both", "right for b")).status_code == 303
    everywhere = await anonymous.get(f"{review}?show=all&item=both")
    assert "Asked of b" in everywhere.text
    assert "another prompt" not in everywhere.text
    elsewhere = await anonymous.get(f"{review}?show=all&slice=a&item=both")
    assert "Asked of a" in elsewhere.text
    assert "was written for another prompt of this question" in elsewhere.text
    await save(anonymous, f"{review}?show=all&slice=a", "both", "right for b")
    assert "Asked of a" in (await anonymous.get(f"{review}?show=all&item=both")).text
    log = answer.json()["manifest"]["id"]
    decision = {"question_id": "both", "state": "corrected", "output": "x", "prompt_key": "0" * 64}
    refused = await caller.post(f"/v1/runlogs/{log}/review/decisions", json=decision)
    assert (refused.status_code, "did not fail with this prompt" in refused.text) == (400, True)


async def test_undo_shows_what_it_took_back(browser: httpx.AsyncClient, page: str) -> None:
    await save(browser, page, "not-json-003", "right")
    await save(browser, page, "not-json-004", action="reason:8")
    token = {"form_token": (await form(browser, page, "not-json-005"))["form_token"]}
    first = await browser.post(f"{page}/undo", data=token, headers=script())
    assert (shown(first), first.json()["said"]) == ("not-json-004", "Took back 1 item.")
    second = await browser.post(f"{page}/undo", data=token)
    assert second.headers["location"] == f"{page}?item=not-json-003&done=undone-1"
    nothing = await browser.post(f"{page}/undo", data=token, headers=script())
    assert (nothing.status_code, "you have decided nothing" in nothing.text) == (404, True)


async def test_many_items_at_once_after_a_preview(browser: httpx.AsyncClient, page: str) -> None:
    await save(browser, page, "not-json-003", "right")
    view = f"{page}?label=not-json"
    token = {"form_token": (await form(browser, page, "not-json-005"))["form_token"], "reason": "4"}
    preview = (await browser.post(f"{page}/bulk?label=not-json", data=token)).text
    assert ("25 open items would be dismissed" in preview, "another question asks the same" in preview) == (True, True)
    assert preview.count("<li>") == 5
    proof = re.search(r'name="token" value="(\w+)"', preview)
    assert proof
    await save(browser, page, "not-json-004", "right")
    changed = await browser.post(f"{page}/bulk?label=not-json", data=token | {"token": proof[1]})
    assert (changed.status_code, "since the preview" in changed.text) == (409, True)
    proof = re.search(r'name="token" value="(\w+)"', changed.text)
    assert proof
    done = await browser.post(f"{page}/bulk?label=not-json", data=token | {"token": proof[1], "words": "all alike"})
    assert done.headers["location"] == f"{view}&done=dismissed-24"
    after = (await browser.get(done.headers["location"])).text
    assert ("24 items dismissed. Undo takes it back." in after, '<strong id="decided">26</strong>' in after) == (
        True,
        True,
    )
    undone = await browser.post(f"{page}/undo", data=token, headers=script())
    assert undone.json()["said"] == "Took back 24 items."
    assert '<strong id="decided">2</strong>' in undone.json()["html"]


async def test_a_second_opinion_does_not_see_the_first(
    browser: httpx.AsyncClient, page: str, deps: Deps, caller: httpx.AsyncClient
) -> None:
    await save(browser, page, "not-json-003", "the first text")
    await save(browser, page, "not-json-004", action="reason:2")
    own = (await browser.get(f"{page}?show=second")).text
    assert "No item in view waits for your second opinion" in own
    transport = httpx.ASGITransport(create_app(deps))
    async with httpx.AsyncClient(transport=transport, base_url="http://curator") as other:
        await other.post("/review/sign-in", data={"token": TOKEN, "next": page, "reviewer": "tom"})
        seen = await other.get(f"{page}?show=second")
        assert (shown(seen), "the first text" in seen.text, "History" in seen.text) == ("not-json-003", False, False)
        after = await save(other, f"{page}?show=second", "not-json-003", "other words")
        assert shown(await other.get(after.headers["location"])) == "not-json-004"
        await save(other, f"{page}?show=second", "not-json-004", action="reason:9")
    caller.headers["Authorization"] = f"Bearer {TOKEN}"
    progress = (await caller.get(f"/v1/runlogs{page.removeprefix('/review')}/review/progress")).json()
    assert progress["states"] == {
        "open": 24,
        "corrected": 1,
        "accepted": 0,
        "compared": 0,
        "rated": 0,
        "unsure": 1,
        "dismissed": 0,
        "flagged": 0,
    }
    assert (progress["agreement"]["items"], progress["agreement"]["same"]) == (2, 1)
    assert progress["effort"]["reviewers"] == 2


@pytest.mark.parametrize("change", [{"form_token": "forged"}, {"form_token": ""}])
async def test_a_forged_form_is_refused(browser: httpx.AsyncClient, page: str, change: dict[str, Any]) -> None:
    fields = await form(browser, page, "not-json-003", "right", reason="1")
    for action in ("corrections", "undo", "lease", "bulk"):
        answer = await browser.post(f"{page}/{action}", data=fields | change, headers=script())
        assert answer.status_code in (400, 401), action
    browser.cookies.clear()
    for action in ("corrections", "undo", "lease", "bulk"):
        assert (await browser.post(f"{page}/{action}", data=fields, headers=script())).status_code == 401, action


async def test_one_item_is_shown_and_the_next_one_follows_in_the_order_of_review(
    browser: httpx.AsyncClient, page: str
) -> None:
    first = await browser.get(page)
    assert (shown(first), first.text.count("<article")) == ("&lt;b&gt;q&lt;/b&gt;", 1)
    assert shown(await browser.get(f"{page}?after=not-json-024")) == "&lt;b&gt;q&lt;/b&gt;", "around the end"
    assert shown(await browser.get(f"{page}?after=nobody")) == "&lt;b&gt;q&lt;/b&gt;"
    assert (await browser.get(f"{page}?item=nobody")).status_code == 404
    for number in (4, 5):
        await save(browser, page, f"not-json-00{number}", "right")
    assert shown(await browser.get(f"{page}?after=not-json-003")) == "not-json-006"
    assert shown(await browser.get(f"{page}?show=corrected&after=not-json-004")) == "not-json-005"
    lease = {"form_token": (await form(browser, page, "not-json-007"))["form_token"], "question_id": "not-json-007"}
    assert (await browser.post(f"{page}/lease", data=lease)).json()["mine"] is True


async def test_a_review_that_is_not_there_is_a_page_too(browser: httpx.AsyncClient, page: str) -> None:
    missing = await browser.get("/review/nothing")
    assert (missing.status_code, "no run log &#39;nothing&#39;" in missing.text) == (404, True)
    unknown = await browser.get(f"{page}?label=<b>")
    assert (unknown.status_code, "<b>" in unknown.text) == (400, False)


async def test_a_page_keeps_every_label_and_slice_that_it_was_given(
    caller: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    lines = [
        run(f"{slice_name}-{label}-{n}", failure_label=label, slice=slice_name)
        for slice_name in ("billing", "refunds")
        for label in ("not-json", "refusal", "odd")
        for n in range(21 if label == "refusal" else 2)
    ]
    imported = await caller.post("/v1/runlogs", params={"name": "sliced"}, content=jsonl(lines))
    view = f"/review/{imported.json()['manifest']['id']}?label=not-json&label=refusal&slice=billing"
    signed_in = await anonymous.post("/review/sign-in", data={"token": TOKEN, "next": view})
    assert signed_in.headers["location"] == view
    body = (await anonymous.get(view)).text
    assert '<span id="total">23</span>' in body
    assert (">odd <" in body, "billing-odd" in body, "refunds-" in body) == (True, False, False)
    assert html.escape(f"{view}&item=billing-not-json-0") in body
    save_url = view.replace("?", "/corrections?")
    assert f'action="{html.escape(save_url)}"' in body
    saved = await save(anonymous, view, "billing-refusal-3", "right", by_script=True)
    assert '<strong id="decided">1</strong> of <span id="total">23</span>' in saved.json()["html"]
    unknown = await anonymous.get(view.replace("billing", "nothing"))
    assert (unknown.status_code, "billing" in unknown.text) == (400, True)


async def test_the_overview_lists_every_run_log_with_its_queue(
    caller: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    ids = {}
    for name, lines in {
        "failing": LINES,
        "good": [run("fine", grade="correct")],
        "<i>last": repeated_failures({"odd": 3}),
    }.items():
        ids[name] = (await caller.post("/v1/runlogs", params={"name": name}, content=jsonl(lines))).json()["manifest"][
            "id"
        ]
    assert (await anonymous.get("/review")).status_code == 401
    signed_in = await anonymous.post("/review/sign-in", data={"token": TOKEN, "next": "/review"})
    assert signed_in.headers["location"] == "/review"
    body = (await anonymous.get("/review")).text
    assert [body.index(ids[name]) for name in ("<i>last", "good", "failing")] == sorted(
        body.index(each) for each in ids.values()
    )
    assert "&lt;i&gt;last" in body
    assert f'href="/review/{ids["failing"]}?label=not-json"' in body
    assert "<strong>0</strong> of 26 decided" in body
    assert "No labelled failure of the model" in body
    await save(anonymous, f"/review/{ids['failing']}", "not-json-003", "right")
    assert "<strong>1</strong> of 26 decided" in (await anonymous.get("/review")).text
    caller.headers["Authorization"] = f"Bearer {TOKEN}"
    await caller.delete(f"/v1/runlogs/{ids['failing']}")
    assert ids["failing"] not in (await anonymous.get("/review")).text


async def test_the_overview_names_logs_that_cannot_be_read(
    caller: httpx.AsyncClient, anonymous: httpx.AsyncClient, memory_store: MemoryObjectStore
) -> None:
    memory_store.put(layout.runlog("0" * 16), b"{torn<i>")
    await caller.post("/v1/runlogs", params={"name": "whole"}, content=jsonl(LINES))
    await anonymous.post("/review/sign-in", data={"token": TOKEN, "next": "/review"})
    body = (await anonymous.get("/review")).text
    assert layout.runlog("0" * 16) in body
    assert "whole" in body


async def test_the_overview_has_pages(caller: httpx.AsyncClient, anonymous: httpx.AsyncClient) -> None:
    for n in range(12):
        await caller.post(
            "/v1/runlogs", params={"name": f"log-{n}"}, content=jsonl(repeated_failures({f"label-{n}": 3}))
        )
    first_time = await anonymous.post("/review/sign-in", data={"token": TOKEN, "next": "/review?page=2"})
    assert first_time.headers["location"] == "/review?page=2"
    first, second = (await anonymous.get("/review")).text, (await anonymous.get("/review?page=2")).text
    assert (first.count("<article"), 'href="/review?page=2"' in first) == (10, True)
    assert (second.count("<article"), "log-0" in second, 'href="/review" rel="prev"' in second) == (2, True, True)
