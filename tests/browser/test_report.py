"""report.html opened from disk in headless Chromium, as a person would: wide, dark, on a phone and in print."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser, Page
from unit.reporting.sample import HOSTILE, Sample, make_rich_sample

from burnish.reporting.page import report_html
from burnish.reporting.sentences import headline

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def sample() -> Sample:
    return make_rich_sample()


@pytest.fixture(scope="module")
def report(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report_html(sample.verdict, sample.base, sample.candidate, sample.meta))
    return path


async def opened(
    browser: Browser, report: Path, width: int = 1200, scheme: Literal["light", "dark"] = "light"
) -> tuple[Page, list[str]]:
    """The page, and what it complained of or asked for beyond itself."""
    page = await browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    events: list[str] = []
    page.on("console", lambda message: events.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: events.append(f"error: {error}"))
    page.on("request", lambda request: events.append(f"request: {request.url}"))
    await page.goto(report.as_uri())
    await page.wait_for_load_state("networkidle")
    events.remove(f"request: {report.as_uri()}")
    return page, events


async def test_opens_alone_and_says_the_verdict_first(browser: Browser, report: Path, sample: Sample) -> None:
    page, events = await opened(browser, report)
    assert events == []
    assert await page.locator("h1").inner_text() == f"{sample.verdict.verdict} {headline(sample.verdict)}"
    box = await page.locator("h1").bounding_box()
    assert box is not None
    assert box["y"] < 200
    await page.close()


async def test_hostile_answers_stay_text(browser: Browser, report: Path) -> None:
    page, events = await opened(browser, report)
    await page.locator("#unfold").click()
    assert await page.locator("script").count() == 1
    assert await page.locator("img, iframe, b").count() == 0
    answer = page.locator("#answers [data-outcome=fixed] figure pre").first
    assert HOSTILE.replace("\u202e", "‹U+202E›") in await answer.inner_text()
    assert "owned" not in await page.title()
    assert events == []
    await page.close()


async def test_a_script_that_is_not_ours_does_not_run(browser: Browser, report: Path, tmp_path: Path) -> None:
    """Were the escaping to fail, the content security policy would still stand."""
    broken = tmp_path / "report.html"
    broken.write_text(report.read_text().replace("<main", "<script>document.title='owned'</script><main", 1))
    page, events = await opened(browser, broken)
    assert "owned" not in await page.title()
    assert any("Content Security Policy" in event for event in events)
    assert await page.locator("#filter").is_visible(), "ours still runs"
    await page.close()


async def test_filters_by_click(browser: Browser, report: Path, sample: Sample) -> None:
    page, events = await opened(browser, report)
    examples, said = page.locator("#answers .example"), page.locator("#shown")
    total = await examples.count()
    assert await said.inner_text() == f"{total} of {total} shown"
    await page.get_by_role("radio", name="Regressions").click()
    lost = [regression.question_id for regression in sample.verdict.regressions]
    assert await visible_names(page) == sorted(lost)
    await page.get_by_role("combobox", name="slice").select_option("parameters")
    assert await visible_names(page) == sorted(name for name in lost if name.startswith("parameters"))
    await page.get_by_role("button", name="Reset").click()
    assert await said.inner_text() == f"{total} of {total} shown"
    assert await page.get_by_role("radio", name="All").is_checked()
    await page.get_by_label("Words in question or answers").fill("bisect.PY  f7(a")
    assert await visible_names(page) == ["docstring-007"]
    await page.get_by_label("Words in question or answers").fill("no such words")
    assert await visible_names(page) == []
    assert await said.inner_text() == f"0 of {total} shown"
    assert events == []
    await page.close()


async def test_filters_by_keyboard(browser: Browser, report: Path, sample: Sample) -> None:
    page, _ = await opened(browser, report)
    await page.get_by_role("radio", name="All").focus()
    await page.keyboard.press("ArrowRight")
    assert await page.get_by_role("radio", name="Regressions").is_checked()
    assert len(await visible_names(page)) == len(sample.verdict.regressions)
    await page.keyboard.press("ArrowRight")
    assert await page.get_by_role("radio", name="Regressed").is_checked()
    assert len(await visible_names(page)) >= len(sample.verdict.regressions)
    for expected in ("slice", "label", "group", "text"):
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.name") == expected
    await page.keyboard.type("bisect")
    assert len(await visible_names(page)) == 5
    summary = page.locator("#answers .example:not([hidden]) summary").nth(1)
    await summary.focus()
    await page.keyboard.press("Enter")
    assert await page.locator("#answers .example:not([hidden])").nth(1).get_attribute("open") is not None
    await page.close()


async def test_without_script_every_pair_is_there(browser: Browser, report: Path) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(report.as_uri())
    assert await page.locator("#filter").is_hidden()
    assert await page.locator("#answers .example:not([hidden])").count() > 40
    await context.close()


async def test_controls_and_drawings_have_names(browser: Browser, report: Path) -> None:
    page, _ = await opened(browser, report)
    tree = await page.locator("body").aria_snapshot()
    for wanted in (
        'search "Filter the answers"',
        'radio "Regressions"',
        'combobox "slice"',
        'searchbox "Words in question or answers"',
        'table "Slices"',
        'navigation "Sections"',
        'heading "The two claims" [level=2]',
        'rowheader "parameters"',
    ):
        assert wanted in tree, wanted
    unnamed = "[...document.querySelectorAll('[role=img], section[id]')].filter(e => !e.ariaLabel && !e.getAttribute('aria-labelledby')).length"
    assert await page.evaluate(unnamed) == 0
    dangling = (
        "[...document.querySelectorAll('nav a')].filter(a => !document.querySelector(a.getAttribute('href'))).length"
    )
    assert await page.evaluate(dangling) == 0
    await page.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (320, "dark")])
async def test_fits_its_window_and_can_be_read(
    browser: Browser, report: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    page, _ = await opened(browser, report, width, scheme)
    await page.locator("#unfold").click()
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    too_small = "[...document.querySelectorAll('body *')].filter(e => e.offsetParent && e.children.length == 0 && e.textContent.trim() && parseFloat(getComputedStyle(e).fontSize) < 11).length"
    assert await page.evaluate(too_small) == 0
    assert await contrast(page, "body") > 7
    for selector in (".note", ".tag", ".badge", ".facts dt", ".mark-name span", "mark", "nav a"):
        assert await contrast(page, selector) > 4.0, selector
    await page.close()


async def test_prints_everything_whatever_is_filtered(browser: Browser, report: Path) -> None:
    page, _ = await opened(browser, report, scheme="dark")
    await page.get_by_role("radio", name="Fixed").click()
    await page.emulate_media(media="print")
    unseen = "[...document.querySelectorAll('.example figure')].filter(e => !e.checkVisibility()).length"
    assert await page.evaluate(unseen) == 0
    assert await page.locator("#filter").is_hidden()
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert len(await page.pdf(format="A4")) > 60_000
    await page.close()


async def test_bars_are_as_long_as_the_numbers_say(browser: Browser, report: Path, sample: Sample) -> None:
    page, _ = await opened(browser, report)
    card = page.locator(".card", has_text="The target improved").first
    for kind, share in (("base", sample.verdict.targeted.base), ("candidate", sample.verdict.targeted.candidate)):
        fill, track = (
            await card.locator(f".fill.{kind}").bounding_box(),
            await card.locator(".track").first.bounding_box(),
        )
        assert fill is not None
        assert track is not None
        assert fill["width"] / track["width"] == pytest.approx(share, abs=0.02)
    await page.close()


async def test_the_margin_and_the_interval_stand_where_the_axis_says(
    browser: Browser, report: Path, sample: Sample
) -> None:
    page, _ = await opened(browser, report)
    card = page.locator(".card", has_text="The rest is not worse").first
    script = "(card) => [...card.querySelectorAll('.zero, .margin, .range')].map(e => e.getBoundingClientRect()).map(r => [r.left, r.right])"
    zero, margin, (low, high) = await card.evaluate(script)
    rest = sample.verdict.rest
    per_share = (zero[0] - (margin[0] + margin[1]) / 2) / sample.verdict.margin
    assert low == pytest.approx(zero[0] + per_share * rest.ci_low, abs=2)
    assert high == pytest.approx(zero[0] + per_share * rest.ci_high, abs=2)
    await page.close()


async def visible_names(page: Page) -> list[str]:
    return sorted(await page.locator("#answers .example:not([hidden]) summary code").all_inner_texts())


async def contrast(page: Page, selector: str) -> float:
    """WCAG contrast ratio of the first match's text against the nearest painted background."""
    script = """element => {
      const parse = text => { const c = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
        c.fillStyle = text; c.fillRect(0, 0, 1, 1); return [...c.getImageData(0, 0, 1, 1).data]; };
      let at = element, back = [0, 0, 0, 0];
      while (at && (back = parse(getComputedStyle(at).backgroundColor))[3] < 255) at = at.parentElement;
      const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      const [a, b] = [light(parse(getComputedStyle(element).color)), light(back)].sort((x, y) => y - x);
      return (a + 0.05) / (b + 0.05);
    }"""
    ratio: float = await page.locator(selector).first.evaluate(script)
    return ratio
