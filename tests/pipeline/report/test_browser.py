"""The report in a browser: a headless Chromium; skipped where there is none."""

import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.report.compare import compare_page
from pipeline.report.stage import write
from pipeline.run.folder import Run
from tests.end_to_end import tiny
from tests.pipeline.report.browser import CHROMIUM, Browser

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
    pytest.mark.xdist_group("chromium"),
]
WIDTHS = (320, 390, 1280)
PAPER = {"light": "rgb(244, 246, 249)", "dark": "rgb(18, 22, 29)"}
CONTRAST = """(() => {
  const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = c => { const f = c.slice(0, 3).map(v => linear(v / 255));
    return .2126 * f[0] + .7152 * f[1] + .0722 * f[2]; };
  const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
  const bad = []; let seen = 0;
  for (const details of document.querySelectorAll('details')) details.open = true;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; node = walk.nextNode();) {
    const e = node.parentElement;
    if (!node.textContent.trim() || e.closest('style') || !e.getClientRects().length) continue;
    const style = getComputedStyle(e), own = e.closest('svg') ? style.fill : style.color;
    const a = light(parse(own)), b = light(behind(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05); seen++;
    const where = e.tagName + '.' + e.className + ' ' + node.textContent.trim().slice(0, 30);
    if (ratio < 4.5) bad.push(ratio.toFixed(2) + ' ' + where);
  }
  return {seen, bad: [...new Set(bad)]};
})()"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    """A tiny run without training, and the traces of one; hostile text in documents, prompt and sample."""
    folder = tmp_path_factory.mktemp("report")
    recipe = tiny.write_inputs(folder, sample)
    tiny.run_all(recipe, folder / "run", overrides=("stages=['clean', 'dedup', 'filter', 'tokenize', 'report']",))
    tiny.write_training(folder / "run")
    write(Run.open(folder / "run"))
    return folder / "run"


@pytest.fixture(scope="module")
def pages(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The report, and the page of two runs that differ in a threshold."""
    other = tmp_path_factory.mktemp("other") / "stricter"
    shutil.copytree(root, other)
    recipe = root.parent / "tiny.toml"
    tiny.run_all(
        recipe,
        other,
        overrides=("stages=['clean', 'dedup', 'filter', 'tokenize']", "filter.gopher_quality.min_words=80"),
    )
    page = other.parent / "compared.html"
    page.write_text(compare_page(Run.open(root), Run.open(other)))
    return [root / "report/index.html", page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


def test_page_asks_for_nothing_and_complains_of_nothing(browser: Browser, pages: list[Path]) -> None:
    for page in pages:
        browser.open(page)
        asked = [url for url in browser.requests if not url.startswith("data:")]
        assert asked == [page.resolve().as_uri()]
        assert browser.problems == []
        assert browser.value("document.querySelectorAll('svg').length") >= 3
        assert browser.value("[...document.querySelectorAll('svg')].every(drawing => drawing.getBBox().height > 100)")


def test_browser_would_have_told_of_a_request_and_of_an_error(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<img src='missing.png'><script>console.error('seen'); nowhere()</script>")
    browser.open(page)
    assert any(url.endswith("missing.png") for url in browser.requests)
    assert len(browser.problems) >= 2


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_overflows_the_screen(browser: Browser, pages: list[Path], width: int) -> None:
    for page in pages:
        browser.open(page, width=width)
        browser.value("document.querySelectorAll('details').forEach(details => details.open = true)")
        assert browser.value("document.documentElement.scrollWidth") <= width


def test_page_reads_the_same_without_script(browser: Browser, pages: list[Path]) -> None:
    for page in pages:
        texts = []
        for script in (True, False):
            browser.open(page, script=script)
            browser.call("Emulation.setScriptExecutionDisabled", value=False)
            texts.append(browser.value("document.body.innerText"))
        assert texts[0] == texts[1]
        assert "records read" in texts[0]
        assert browser.value("document.scripts.length") == 0


def test_details_open_without_script_by_the_keyboard(browser: Browser, pages: list[Path]) -> None:
    browser.open(pages[0], script=False)
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    browser.press("Tab")
    assert browser.value("document.activeElement.className") == "skip"
    browser.value("document.querySelector('summary').focus()")
    browser.press("Enter")
    assert browser.value("document.querySelector('details').open")
    assert browser.value("getComputedStyle(document.querySelector('summary')).outlineStyle") == "solid"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_of_every_text_is_enough(browser: Browser, pages: list[Path], scheme: str) -> None:
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    for page in pages:
        for width in (390, 1280):
            browser.open(page, width=width)
            found = browser.value(CONTRAST)
            assert found["seen"] > 100
            assert found["bad"] == []
            assert browser.value("getComputedStyle(document.body).backgroundColor") == PAPER[scheme]
    browser.call("Emulation.setEmulatedMedia", features=[])


def test_bar_of_links_is_whole_on_a_telephone(browser: Browser, pages: list[Path]) -> None:
    for page in pages:
        browser.open(page, width=400)
        assert browser.value(
            "[...document.querySelectorAll('nav a')].every(a => a.getBoundingClientRect().right <= 400)"
        )


def test_pictures_have_descriptions_and_headings_do_not_skip(browser: Browser, pages: list[Path]) -> None:
    for page in pages:
        browser.open(page)
        drawings = "[...document.querySelectorAll('svg')]"
        assert browser.value(f"{drawings}.every(drawing => drawing.getAttribute('aria-label').length > 10)")
        levels = browser.value("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => Number(h.tagName[1]))")
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        assert browser.value("document.documentElement.lang") == "en"
        links = browser.value("[...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.getAttribute('href'))")
        assert all(browser.value(f"!!document.querySelector({link!r})") for link in links)


def test_hostile_text_is_text(browser: Browser, pages: list[Path]) -> None:
    browser.open(pages[0])
    assert browser.value("document.querySelectorAll('script, [onerror], iframe, object, embed, form').length") == 0
    browser.value("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert '<script>alert("x")</script>' in browser.value("document.body.innerText")
    assert "\x1b" not in browser.value("document.documentElement.textContent")
    assert browser.problems == []
    policy = browser.value("document.querySelector('meta[http-equiv]').content")
    assert re.search("default-src 'none'", policy)
    # and even if markup got in, the policy stops it
    image = "https://example.org/x.png"
    script = "const image = new Image(); image.onload = () => done('loaded'); image.onerror = () => done('refused')"
    assert browser.value(f"new Promise(done => {{ {script}; image.src = {image!r} }})") == "refused"
    assert browser.blocked == [image]


def test_curves_funnel_and_samples_are_told(browser: Browser, pages: list[Path]) -> None:
    browser.open(pages[0])
    text = browser.value("document.body.innerText")
    for words in ("Dropped by filter", "By licence", "Signals and their thresholds", "Tokens and tokenizer",
                  "What it writes, by checkpoint", "step 12", "step 6", "Commands, as typed",
                  "the records add up, to the last one"):  # fmt: skip
        assert words in text, words
    browser.open(pages[1])
    text = browser.value("document.body.innerText")
    assert "filter.gopher_quality.min_words" in text
    assert re.search(r"[1-9]\d* only in ", text)
    assert "drops it:" in browser.value("document.body.textContent")
    assert pages[0].parents[1].name in text
