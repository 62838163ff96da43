"""report.html opened from disk in headless Chromium, as a person would: wide, dark, on a phone and in print."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page
from unit.reporting.sample import HOSTILE, Sample, make_sample

from burnish.reporting import headline, report_html

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def sample() -> Sample:
    return make_sample()


@pytest.fixture(scope="module")
def report(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report_html(sample.verdict, sample.base, sample.candidate, sample.meta))
    return path


async def opened(browser: Browser, report: Path, width: int = 1200, scheme: str = "light") -> tuple[Page, list[str]]:
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
    for details in await page.locator("details").all():
        await details.evaluate("element => element.open = true")
    assert await page.locator("script, img, iframe").count() == 0
    assert HOSTILE.replace("\u202e", "‹U+202E›") in await page.locator("#fixed figure pre").first.inner_text()
    assert "owned" not in await page.title()
    assert events == []
    await page.close()


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (1200, "dark"), (360, "light")])
async def test_fits_its_window_and_can_be_read(browser: Browser, report: Path, width: int, scheme: str) -> None:
    page, _ = await opened(browser, report, width, scheme)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    too_small = "[...document.querySelectorAll('body *')].filter(e => e.offsetParent && e.children.length == 0 && e.textContent.trim() && parseFloat(getComputedStyle(e).fontSize) < 11).length"
    assert await page.evaluate(too_small) == 0
    assert await contrast(page, "body") > 7
    for selector in (".note", ".tag", ".badge", ".facts dt"):
        assert await contrast(page, selector) > 4.0, selector
    await page.close()


async def test_prints(browser: Browser, report: Path) -> None:
    page, _ = await opened(browser, report)
    assert len(await page.pdf(format="A4")) > 20_000
    await page.close()


async def test_bars_are_as_long_as_the_numbers_say(browser: Browser, report: Path, sample: Sample) -> None:
    page, _ = await opened(browser, report)
    card = page.locator(".card", has_text="Targeted, held out").first
    for kind, share in (("base", sample.verdict.targeted.base), ("candidate", sample.verdict.targeted.candidate)):
        fill, track = (
            await card.locator(f".fill.{kind}").bounding_box(),
            await card.locator(".track").first.bounding_box(),
        )
        assert fill is not None
        assert track is not None
        assert fill["width"] / track["width"] == pytest.approx(share, abs=0.02)
    await page.close()


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
