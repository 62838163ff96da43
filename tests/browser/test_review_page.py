"""A reviewer's journey in a real browser: sign in, correct, be refused, lose nothing, filter, on a desk and on a phone."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from runlog_making import jsonl, repeated_failures, run

from burnish.curation.lengths import CharacterLengths
from burnish.objectstores.memory import MemoryObjectStore
from burnish_curator.app import Deps, create_app
from burnish_curator.database import open_database

pytestmark = pytest.mark.browser
CHROMIUM = Path("/usr/bin/chromium")
TOKEN = "browser-token"
HOSTILE = "</pre></textarea><script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
LINES = [
    run(
        "hostile",
        question=HOSTILE,
        answer=HOSTILE,
        evidence_text=HOSTILE,
        evidence_files=[HOSTILE],
        failure_label="odd",
    ),
    *repeated_failures({"not-json": 22, "wrong-field": 3}),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The curator on a real socket, in memory."""
    folder = tmp_path_factory.mktemp("site")
    database = open_database(f"sqlite:///{folder / 'curator.db'}")
    app = create_app(Deps(MemoryObjectStore(), database, folder / "cache", TOKEN, CharacterLengths()))
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    database.dispose()


@pytest.fixture(scope="module")
def review(site: str) -> str:
    answer = httpx.post(
        f"{site}/v1/runlogs",
        params={"name": "x"},
        content=jsonl(LINES),
        headers={"Authorization": f"Bearer {TOKEN}"},
        trust_env=False,
    )
    return f"{site}/review/{answer.json()['manifest']['id']}"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


def sign_in(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".card").first).to_be_visible()


@pytest.fixture
def page(chromium: Browser, review: str) -> Iterator[Page]:
    """Signed in, at a desk. Any request to elsewhere, script error or policy violation fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on(
        "console", lambda message: trouble.append(message.text) if "Content Security Policy" in message.text else None
    )
    page.on(
        "request",
        lambda request: None if request.url.startswith(review.split("/review")[0]) else trouble.append(request.url),
    )
    sign_in(page, review)
    yield page
    context.close()
    assert trouble == []


def card(page: Page, question_id: str) -> Locator:
    return page.locator(".card", has=page.get_by_text(question_id, exact=True))


def test_a_wrong_token_is_refused(chromium: Browser, review: str) -> None:
    page = chromium.new_page()
    page.goto(review)
    page.get_by_label("Token").fill("guess")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("That is not the token")
    expect(page.locator(".card")).to_have_count(0)
    page.close()


def test_corrections_are_saved_without_leaving_the_page(page: Page) -> None:
    first, second = card(page, "not-json-000"), card(page, "not-json-001")
    second.get_by_label("Corrected output").fill("a draft")
    first.get_by_label("Corrected output").fill('{"file": "a.py"}')
    expect(first.get_by_role("status")).to_have_text("Not saved yet")
    first.get_by_role("button", name="Save").click()
    expect(first.get_by_role("status")).to_have_text("Saved")
    expect(first.get_by_text("corrected", exact=True)).to_be_visible()
    expect(page.locator("#corrected")).to_have_text("1")
    expect(second.get_by_label("Corrected output")).to_have_value("a draft")
    second.get_by_label("Corrected output").press("Control+Enter")
    expect(page.locator("#corrected")).to_have_text("2")
    page.reload()
    expect(first.get_by_label("Corrected output")).to_have_value('{"file": "a.py"}')
    expect(second.get_by_label("Corrected output")).to_have_value("a draft")


def test_a_refused_correction_says_why_and_keeps_the_text(page: Page) -> None:
    refused = card(page, "not-json-002")
    refused.get_by_label("Corrected output").fill("wrong answer")
    refused.get_by_role("button", name="Save").click()
    expect(refused.get_by_role("status")).to_contain_text("the same as the original wrong answer")
    expect(refused.get_by_label("Corrected output")).to_have_value("wrong answer")


def test_what_a_model_wrote_does_not_run(page: Page) -> None:
    hostile = page.locator(".card").first
    expect(hostile.locator(".wrong")).to_have_text(HOSTILE)
    page.wait_for_timeout(200)
    assert page.title().startswith("Review")
    hostile.get_by_label("Corrected output").fill(f"right {HOSTILE}")
    hostile.get_by_role("button", name="Save").click()
    expect(hostile.get_by_role("status")).to_have_text("Saved")
    page.reload()
    expect(hostile.get_by_label("Corrected output")).to_have_value(f"right {HOSTILE}")
    page.wait_for_timeout(200)
    assert page.title().startswith("Review")


def test_filters_by_label_and_by_what_is_left(page: Page) -> None:
    page.get_by_role("link", name="wrong-field 3").click()
    expect(page.locator(".card")).to_have_count(3)
    expect(page.locator("#total")).to_have_text("3")
    page.locator(".card").first.get_by_label("Corrected output").fill("right")
    page.locator(".card").first.get_by_role("button", name="Save").click()
    expect(page.locator("#corrected")).to_have_text("1")
    page.get_by_role("link", name="still to do").click()
    expect(page.locator(".card")).to_have_count(2)
    page.get_by_role("link", name="not-json").click()
    page.get_by_role("link", name="everything").click()
    page.get_by_role("link", name="Next").click()
    expect(page.locator(".card")).to_have_count(2)


def test_the_overview_leads_to_a_review_and_back(page: Page) -> None:
    page.get_by_role("link", name="all run logs").click()
    expect(page.locator(".queue")).to_have_count(1)
    page.get_by_role("link", name="wrong-field 3").click()
    expect(page.locator(".card")).to_have_count(3)
    page.get_by_role("link", name="all run logs").click()
    page.get_by_role("link", name="x", exact=True).click()
    expect(page.locator(".card")).to_have_count(20)


def test_it_fits_a_phone(chromium: Browser, review: str) -> None:
    context = chromium.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    sign_in(page, review)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    left, right = (page.locator(".card").nth(1).locator(part).bounding_box() for part in (".wrong", "textarea"))
    assert left is not None
    assert right is not None
    assert right["y"] > left["y"] + left["height"]
    context.close()


def test_it_works_without_script(chromium: Browser, review: str) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, review)
    shown = card(page, "not-json-010")
    shown.get_by_label("Corrected output").fill("\nright")
    shown.get_by_role("button", name="Save").click()
    expect(shown.get_by_label("Corrected output")).to_have_value("\nright")
    shown.get_by_label("Corrected output").fill("wrong answer")
    shown.get_by_role("button", name="Save").click()
    expect(shown.get_by_role("status")).to_contain_text("the same as")
    expect(shown.get_by_label("Corrected output")).to_have_value("wrong answer")
    context.close()
