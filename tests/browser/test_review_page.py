"""A reviewer's journey in a real browser: sign in, decide by key, be refused, lose nothing, undo, on a desk and on a phone, with and without script."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from curator_thread import TOKEN, curator_thread
from playwright.sync_api import Browser, Page, expect, sync_playwright
from runlog_making import jsonl, run

pytestmark = pytest.mark.browser
CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = "</pre></textarea><script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">"
HIDDEN = "safe\u202etxt.exe\x07"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
WAIT_MS = 30_000  # a busy machine
expect.set_options(timeout=WAIT_MS)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The curator on a real socket, in memory."""
    with curator_thread(tmp_path_factory.mktemp("site")) as address:
        yield address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


def failures(count: int, **fields: Any) -> list[dict[str, Any]]:
    """Items with a suggestion."""
    expected = json.dumps({"team": "billing", "priority": "high"})
    return [run(f"t{n:03d}", answer="billing, high", expected_answer=expected, **fields) for n in range(count)]


def new_review(site: str, lines: list[dict[str, Any]]) -> str:
    """The address of the review of a run log of its own."""
    content = jsonl([*lines, run(f"made at {time.time_ns()}", grade="correct", failure_label=None)])
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = httpx.post(
        f"{site}/v1/runlogs", params={"name": "x"}, content=content, headers=headers, trust_env=False, timeout=60
    )
    return f"{site}/review/{answer.json()['manifest']['id']}"


def sign_in(page: Page, address: str, name: str = "Mia") -> None:
    page.goto(address)
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector(".card")


@pytest.fixture
def page(chromium: Browser, site: str) -> Iterator[Page]:
    """At a desk. Any request to elsewhere, script error or policy violation fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on(
        "console", lambda message: trouble.append(message.text) if "Content Security Policy" in message.text else None
    )
    page.on("request", lambda request: None if request.url.startswith(site) else trouble.append(request.url))
    yield page
    context.close()
    assert trouble == []


def at(page: Page, question_id: str) -> None:
    """Wait until this item is in focus."""
    expect(page.locator(f'.card[data-question="{question_id}"]')).to_be_visible(timeout=30_000)


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)
        expect(page.locator("#work")).not_to_have_attribute("aria-busy", "true")


def accessible(page: Page) -> None:
    """WCAG 2.2 AA as axe sees it."""
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
    assert found.violations_count == 0, found.generate_report()


def test_a_wrong_token_is_refused(page: Page, site: str) -> None:
    page.goto(f"{site}/review/x")
    page.get_by_label("Token").fill("guess")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("That is not the token")
    expect(page.locator(".card")).to_have_count(0)
    accessible(page)


def test_keys_decide_and_go_on(page: Page, site: str) -> None:
    """Accept, correct, set aside, skip, go back and undo without a mouse."""
    sign_in(page, new_review(site, failures(6)))
    at(page, "t000")
    press(page, "Enter")
    at(page, "t001")
    press(page, "e")
    page.keyboard.type("1s?ue")  # none of these is a command while it is typed
    expect(page.get_by_label("Right answer")).to_have_value(re.compile(r"^1s\?ue\{"))
    expect(page.locator("#json")).to_contain_text("not JSON")
    expect(page.locator("#problem")).to_have_text("Not saved yet")
    press(page, "Control+Enter")
    at(page, "t002")
    press(page, "8")
    at(page, "t003")
    press(page, "s")
    at(page, "t004")
    press(page, "d")
    page.keyboard.type("asked twice")
    press(page, "Enter")
    at(page, "t005")
    expect(page.locator(".filters.states")).to_contain_text("corrected 1")
    expect(page.locator("#decided")).to_have_text("4")
    press(page, "ArrowLeft")
    at(page, "t004")
    expect(page.locator(".state-now")).to_have_text("dismissed")
    press(page, "u")
    at(page, "t004")
    expect(page.locator("#decided")).to_have_text("3")
    press(page, "ArrowRight", "ArrowRight")
    at(page, "t003")
    page.go_back()
    at(page, "t005")
    page.reload()
    at(page, "t005")


def test_keys_can_be_turned_off(page: Page, site: str) -> None:
    sign_in(page, new_review(site, failures(2)))
    press(page, "?")
    accessible(page)
    page.get_by_label("Single keys act at once").uncheck()
    press(page, "Escape", "1", "Enter", "s")
    page.reload()
    press(page, "1", "Enter", "s")
    at(page, "t000")
    expect(page.locator("#decided")).to_have_text("0")
    page.get_by_role("button", name="Keys").click()
    page.get_by_label("Single keys act at once").check()
    press(page, "Escape", "1")
    at(page, "t001")


def test_a_refused_decision_says_why_and_a_draft_waits(page: Page, site: str) -> None:
    sign_in(page, new_review(site, failures(3)))
    page.get_by_label("Right answer").fill("billing, high")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("the same as the original wrong answer")
    expect(page.get_by_label("Right answer")).to_have_value("billing, high")
    page.get_by_label("Right answer").fill("a draft")
    press(page, "Escape", "ArrowRight")
    at(page, "t001")
    expect(page.get_by_label("Right answer")).to_have_value("")
    press(page, "ArrowLeft")
    at(page, "t000")
    expect(page.get_by_label("Right answer")).to_have_value("a draft")
    page.get_by_role("button", name="Save").click()
    at(page, "t001")


def test_two_people_on_one_item(page: Page, chromium: Browser, site: str) -> None:
    review = new_review(site, failures(3))
    sign_in(page, review)
    context = chromium.new_context()
    other = context.new_page()
    sign_in(other, review, "Tom")
    at(other, "t001")
    other.goto(f"{review}?item=t000")
    expect(other.locator(".notice")).to_contain_text("Mia has this item open until")
    other.get_by_label("Right answer").fill("tom's answer")
    other.get_by_role("button", name="Save").click()
    at(other, "t001")
    page.get_by_label("Right answer").fill("mia's answer")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Tom corrected it at")
    expect(page.get_by_role("alert")).to_contain_text("tom's answer")
    expect(page.get_by_label("Right answer")).to_have_value("mia's answer")
    accessible(page)
    page.get_by_role("button", name="Save").click()
    at(page, "t002")
    context.close()


def test_json_is_checked_and_formatted_and_the_difference_is_shown(page: Page, site: str) -> None:
    sign_in(page, new_review(site, failures(1)))
    text = page.get_by_label("Right answer")
    text.fill('{"n": 12345678901234567890.10, "a": [], "b": [1, {"c": "x, \\" }"}]} billing')
    expect(page.locator("#json")).to_contain_text("not JSON")
    expect(page.get_by_role("button", name="Format JSON")).to_be_hidden()
    text.fill('{"n": 12345678901234567890.10, "a": [], "b": [1, {"c": "x, \\" }"}]}')
    expect(page.locator("#json")).to_have_text("valid JSON")
    page.get_by_role("button", name="Format JSON").click()
    expect(text).to_have_value(
        '{\n  "n": 12345678901234567890.10,\n  "a": [],\n  "b": [\n    1,\n    {\n      "c": "x, \\" }"\n    }\n  ]\n}'
    )
    text.fill("billing, low")
    expect(page.locator("#diff ins")).to_have_count(1)
    expect(page.locator("#diff ins")).to_have_text("low")


def test_what_a_model_wrote_does_not_run_and_hides_nothing(page: Page, site: str) -> None:
    names = ("question", "answer", "evidence_text", "expected_answer")
    review = new_review(
        site,
        [
            run("hostile", failure_label=HOSTILE, evidence_files=[HOSTILE], **dict.fromkeys(names, HOSTILE)),
            run("hidden", **dict.fromkeys(names, HIDDEN), correction=f"{HIDDEN}!"),
        ],
    )
    sign_in(page, review, HOSTILE[:60])
    page.goto(f"{review}?item=hostile")
    expect(page.locator(".wrong")).to_have_text(HOSTILE)
    page.get_by_label("Right answer").fill(f"right {HOSTILE}")
    expect(page.locator("#diff")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    at(page, "hidden")
    page.goto(f"{review}?item=hostile")
    expect(page.get_by_label("Right answer")).to_have_value(f"right {HOSTILE}")
    page.goto(f"{review}?item=hidden")
    for part in ("#item-heading", ".wrong", ".suggestion pre"):
        expect(page.locator(part)).to_contain_text("safe‹U+202E›txt.exe‹U+0007›")
    press(page, "e")
    expect(page.get_by_label("Right answer")).to_have_value(f"{HIDDEN}!")
    page.keyboard.type("x")
    expect(page.locator("#diff")).to_contain_text("xsafe‹U+202E›txt.exe‹U+0007›!")
    assert page.title().startswith("Review")


def test_many_at_once_are_previewed_and_taken_back(page: Page, site: str) -> None:
    review = new_review(site, [*failures(8), *(run(f"o{n}", failure_label="odd") for n in range(3))])
    sign_in(page, review)
    page.get_by_role("link", name="odd 3").click()
    expect(page.locator("#total")).to_have_text("3")
    page.locator(".bulk summary").click()
    page.get_by_label("Reason", exact=True).select_option("4")
    accessible(page)
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading")).to_have_text("3 open items would be dismissed")
    accessible(page)
    page.get_by_role("button", name="Apply to 3").click()
    expect(page.get_by_role("status")).to_have_text("3 items dismissed. Undo takes it back.")
    expect(page.get_by_role("heading", name="Nothing left to do here")).to_be_visible()
    press(page, "u")
    expect(page.get_by_role("status")).to_have_text("Took back 3 items.")
    expect(page.locator("#decided")).to_have_text("0")


def suggest(review: str, expected: dict[str, str], answers: dict[str, dict[str, str]]) -> None:
    """What teachers (by name) answer to these questions, kept by the curator and graded by a benchmark that expects these texts."""
    site, _, log = review.partition("/review/")
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=f"{site}/v1", headers=headers, trust_env=False, timeout=60) as curator:
        questions = [
            {"question_id": q, "prompt": f"What is {q}?", "expected_answer": text, "grader": {"name": "contains"}}
            for q, text in expected.items()
        ]
        version = curator.post("/benchmarks", params={"name": "teams"}, content=jsonl(questions)).json()["version"]
        prompts = curator.get(f"/runlogs/{log}/review/prompts").text.splitlines()
        given = [
            {name: prompt[name] for name in ("question_id", "failure_label", "prompt_key")}
            | {"model": model, "host": "teacher.example.org", "text": text}
            for prompt in map(json.loads, prompts)
            for model, text in answers[prompt["question_id"]].items()
        ]
        kept = curator.post(
            f"/runlogs/{log}/review/suggestions", params={"benchmark": f"teams/{version}"}, content=jsonl(given)
        )
        assert (kept.status_code, kept.json()["rejected_lines"]) == (200, [])


def test_a_teachers_suggestion_has_its_name_and_grade_and_is_taken_by_key(page: Page, site: str) -> None:
    """The one that passes comes first. Enter accepts it; e edits the chosen one, here the other; nothing is accepted unasked."""
    review = new_review(site, [run(f"t{n}", answer="sales") for n in range(3)])
    right, wrong = "It is for billing.", "It is for shipping."
    both = {"small": wrong, "big": right}
    suggest(review, {"t0": "billing", "t1": "billing"}, {"t0": both, "t1": both, "t2": {"small": wrong}})
    sign_in(page, review)
    at(page, "t0")
    expect(page.locator(".suggestion h3")).to_have_text(
        [
            "Suggestion: big at teacher.example.org ✓ passes the question’s grader",
            "Suggestion: small at teacher.example.org ✕ fails the question’s grader",
        ]
    )
    expect(page.get_by_text("✕ fails")).to_have_attribute("title", re.compile("'billing' is not in the answer"))
    expect(page.locator("#decided")).to_have_text("0")
    press(page, "Enter")
    at(page, "t1")
    press(page, "ArrowDown", "e")
    expect(page.get_by_label("Right answer")).to_have_value(wrong)
    page.keyboard.type("No: ")
    press(page, "Control+Enter")
    at(page, "t2")
    expect(page.locator(".suggestion h3")).to_have_text("Suggestion: small at teacher.example.org not graded")
    accessible(page)
    for question, state, text in (("t0", "accepted", right), ("t1", "corrected", f"No: {wrong}")):
        page.goto(f"{review}?item={question}")
        expect(page.locator(".state-now")).to_have_text(state)
        expect(page.get_by_label("Right answer")).to_have_value(text)


def test_the_overview_leads_to_a_review_and_back(page: Page, site: str) -> None:
    sign_in(page, new_review(site, failures(4, failure_label="not-json")))
    page.get_by_role("link", name="all run logs").click()
    accessible(page)
    page.get_by_role("link", name="not-json 4").first.click()
    expect(page.locator("#total")).to_have_text("4")
    expect(page.get_by_role("link", name="not-json 4")).to_have_attribute("aria-current", "page")


@pytest.mark.parametrize("width", [390, 1280])
def test_two_answers_are_compared_by_keys_alone(chromium: Browser, site: str, width: int) -> None:
    """A, B, tie, neither, thumbs and undo; the way into comparing and out of it; no key decides where there is nothing to decide."""
    context = chromium.new_context(viewport={"width": width, "height": 844})
    page = context.new_page()
    lines = [
        run(f"p{n}", answer=f"answer of {m} to {n}", run_id=f"r{m}", model=f"m{m}") for n in range(5) for m in range(3)
    ]
    sign_in(page, new_review(site, [*lines, run("lone", answer="the only one")]))
    at(page, "p0")
    press(page, "a")
    expect(page.get_by_role("status")).to_have_text("Press c to see two answers side by side first.")
    press(page, "c")
    expect(page.get_by_label("Answer A")).to_be_visible()
    expect(page.locator(".wrong")).to_have_count(0)
    accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    first = page.get_by_label("Answer A").inner_text()
    press(page, "ArrowDown")
    expect(page.locator("#decision")).to_contain_text("Pair 2 of 3")
    press(page, "ArrowUp")
    expect(page.locator("#decision")).to_contain_text("Pair 1 of 3")
    press(page, "a")
    at(page, "p1")
    press(page, "b")
    at(page, "p2")
    press(page, "t")
    at(page, "p3")
    press(page, "x")
    at(page, "p4")
    press(page, "c")
    expect(page.get_by_label("Right answer")).to_be_visible()
    press(page, "-")
    at(page, "lone")
    press(page, "c")
    expect(page.get_by_role("status")).to_have_text("There are no two answers here to compare.")
    press(page, "+")
    expect(page.get_by_role("heading", name="Nothing left to do here")).to_be_visible()
    expect(page.locator(".filters.states")).to_contain_text("compared 4")
    expect(page.locator(".filters.states")).to_contain_text("rated 2")
    press(page, "u")
    at(page, "lone")
    expect(page.locator("#decided")).to_have_text("5")
    page.goto(re.sub(r"\?.*", "", page.url) + "?item=p0&mode=compare")
    expect(page.locator(".state-now")).to_have_text("compared")
    expect(page.get_by_label("Answer A")).to_have_text(first)
    page.get_by_text("History").click()
    expect(page.locator(".history")).to_contain_text("preferred A (m")
    accessible(page)
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_is_accessible(chromium: Browser, site: str, width: int, scheme: Any) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    long = "an-unbroken-label-" * 8
    review = new_review(site, [*failures(3, slice=long, failure_label=long, evidence_files=[long], evidence_text=long)])
    sign_in(page, review, "M" * 60)
    press(page, "9")
    page.goto(f"{review}?item=t000")
    for details in page.locator(".card details").all():
        details.locator("summary").click()
    page.get_by_label("Right answer").fill('{"a": ')
    expect(page.locator("#json")).to_be_visible()
    accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = [page.locator(part).bounding_box() for part in (".wrong", "#text")]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert (boxes[1]["y"] > boxes[0]["y"] + boxes[0]["height"]) == (width == 390)
    context.close()


def test_it_works_without_script(chromium: Browser, site: str) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    review = new_review(site, failures(5))
    sign_in(page, review)
    page.get_by_role("button", name="Accept").click()
    at(page, "t001")
    page.get_by_label("Right answer").fill("\nright")
    page.get_by_role("button", name="Save").click()
    at(page, "t002")
    page.get_by_label("Right answer").fill("billing, high")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("the same as")
    expect(page.get_by_label("Right answer")).to_have_value("billing, high")
    page.get_by_role("link", name="Edit").click()
    expect(page.get_by_label("Right answer")).to_have_value('{"team": "billing", "priority": "high"}')
    page.get_by_label("Or set it aside, because").fill("who knows")
    page.get_by_label("Or set it aside, because").press("Enter")
    at(page, "t003")
    page.get_by_role("button", name="Undo").click()
    at(page, "t002")
    expect(page.get_by_role("status")).to_have_text("Took back 1 item.")
    page.get_by_role("link", name="Back").click()
    expect(page.get_by_label("Right answer")).to_have_value("\nright")
    context.close()


def test_a_hundred_items_take_few_keys(page: Page, site: str) -> None:
    """One key an item whose suggestion is right, three for one that must be changed: at a key a second far below five minutes."""
    sign_in(page, new_review(site, failures(100)))
    keys = 0
    for number in range(100):
        at(page, f"t{number:03d}")
        wanted = ["e", "x", "Control+Enter"] if number % 10 == 9 else ["Enter"]
        press(page, *wanted)
        keys += len(wanted)
    expect(page.get_by_role("heading", name="Nothing left to do here")).to_be_visible()
    expect(page.locator(".filters.states")).to_contain_text("accepted 90")
    assert keys <= 120
