"""The review page without a browser: signing in, escaping, forged forms, saving with and without script."""

from __future__ import annotations

import html
import re
from typing import Any

import httpx
import pytest
from runlog_making import jsonl, repeated_failures, run

from burnish import layout
from burnish.objectstores.memory import MemoryObjectStore

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


async def form(browser: httpx.AsyncClient, page: str, question_id: str, text: str) -> dict[str, str]:
    body = (await browser.get(page)).text
    token = re.search(r'name="form_token" value="([^"]+)"', body)
    assert token
    fields = {"form_token": token[1], "question_id": question_id, "failure_label": "not-json"}
    return fields | {"corrected_output": text}


async def save(browser: httpx.AsyncClient, page: str, question_id: str, text: str, **headers: str) -> httpx.Response:
    fields = await form(browser, page, question_id, text)
    return await browser.post(f"{page}/corrections", data=fields, headers=headers)


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


async def test_a_save_by_script_answers_the_progress(browser: httpx.AsyncClient, page: str) -> None:
    answer = await save(browser, page, "not-json-003", "right\r\nanswer", **script())
    assert answer.json() == {"stands": True, "corrected": 1, "total": 26}
    assert "right\nanswer</textarea>" in (await browser.get(page)).text
    removed = await save(browser, page, "not-json-003", " ", **script())
    assert removed.json() == {"stands": False, "corrected": 0, "total": 26}


async def test_a_save_without_script_comes_back_to_the_page(browser: httpx.AsyncClient, page: str) -> None:
    view = f"{page}?label=not-json&show=open&page=2"
    fields = await form(browser, page, "not-json-003", "right")
    answer = await browser.post(view.replace("?", "/corrections?"), data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, view)


async def test_a_refused_save_loses_nothing(browser: httpx.AsyncClient, page: str) -> None:
    plain = await save(browser, page, "not-json-003", "wrong answer ")
    assert plain.status_code == 400
    assert "wrong answer </textarea>" in plain.text
    assert "corrected_output: the same as the original wrong answer" in plain.text
    by_script = await save(browser, page, "not-json-003", "wrong answer ", **script())
    assert by_script.status_code == 400
    assert "the same as" in by_script.json()["error"]["message"]


@pytest.mark.parametrize("change", [{"form_token": "forged"}, {"form_token": ""}])
async def test_a_forged_form_is_refused(browser: httpx.AsyncClient, page: str, change: dict[str, Any]) -> None:
    fields = await form(browser, page, "not-json-003", "right")
    answer = await browser.post(f"{page}/corrections", data=fields | change, headers=script())
    assert answer.status_code in (400, 401)
    browser.cookies.clear()
    assert (await browser.post(f"{page}/corrections", data=fields, headers=script())).status_code == 401


async def test_filters_and_pages(browser: httpx.AsyncClient, page: str) -> None:
    first = (await browser.get(page)).text
    assert (first.count("<article"), "Page 1 of 2" in first) == (20, True)
    assert (await browser.get(f"{page}?page=99")).text.count("<article") == 6
    await save(browser, page, "not-json-003", "right", **script())
    still_open = (await browser.get(f"{page}?show=open&label=not-json&page=2")).text
    assert (still_open.count("<article"), '<strong id="corrected">1</strong>' in still_open) == (5, True)


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
    assert body.count("<article") == 20
    assert (">odd <" in body, "billing-odd" in body, "refunds-" in body) == (True, False, False)
    assert html.escape(f"{view}&page=2") in body
    save_url = view.replace("?", "/corrections?")
    assert f'action="{html.escape(save_url)}"' in body
    token = re.search(r'name="form_token" value="([^"]+)"', body)
    assert token
    fields = {"form_token": token[1], "question_id": "billing-refusal-3", "failure_label": "refusal"}
    saved = await anonymous.post(save_url, data=fields | {"corrected_output": "right"}, headers=script())
    assert saved.json() == {"stands": True, "corrected": 1, "total": 23}
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
    assert "<strong>0</strong> of 26 corrected" in body
    assert "No labelled failure of the model" in body
    await save(anonymous, f"/review/{ids['failing']}", "not-json-003", "right", **script())
    assert "<strong>1</strong> of 26 corrected" in (await anonymous.get("/review")).text
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
