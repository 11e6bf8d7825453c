"""`make docs`: the site builds strictly, has every page, and takes nothing from another host."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.pipeline.report.browser import CHROMIUM, Browser

ASSET = re.compile(r"<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*(?:src|data)=[\"'](?P<from>[^\"']+)")
LINKED = re.compile(r"<link\b(?![^>]*rel=[\"']?(?:canonical|next|prev))[^>]*href=[\"']?(?P<from>[^\"'\s>]+)")
STYLED = re.compile(r"(?:url\(|@import\s+)[\"']?(?P<from>[^)\"']+)")

ANSWERS = {
    "why was a document dropped": "/how-to/why-dropped.html",  # not the record of a decision
    "load model in transformers": "/how-to/use-the-model.html",
    "no space left on the disk": "/troubleshooting.html",
    "export jsonl": "/export.html",
    "resume an interrupted export": "/export.html",
}
FOUND = """new Promise(done => { const look = () => {
  const links = [...document.querySelectorAll('.md-search-result__link')].map(link => link.pathname);
  links.length ? done(links) : setTimeout(look, 50) }; look() })"""


@pytest.fixture(scope="module")
def built(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(repository / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def build(configuration: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(configuration), "-d", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_every_page_of_the_docs_is_a_page_of_the_site(built: Path, repository: Path) -> None:
    pages = [path.relative_to(repository / "docs").with_suffix(".html") for path in (repository / "docs").rglob("*.md")]
    assert len(pages) > 30
    extra = [Path(name) for name in ("contributing.html", "changelog.html", "configs.html", "sample-licences.html")]
    assert [page for page in pages + extra if not (built / page).exists()] == []


def test_nothing_is_loaded_from_another_host(built: Path) -> None:
    found = []
    for path in built.rglob("*"):
        if path.suffix in (".html", ".css"):
            text = path.read_text(encoding="utf-8")
            found += [m["from"] for pattern in (ASSET, LINKED, STYLED) for m in pattern.finditer(text)]
    assert len(found) > 200
    assert sorted({place for place in found if re.match(r"(?:https?:)?//", place)}) == []


def test_equations_and_code_in_tables_are_drawn(built: Path) -> None:
    model = (built / "model.html").read_text(encoding="utf-8")
    assert model.count("<math") > 15
    assert "arithmatex" not in model
    pages = "".join(path.read_text(encoding="utf-8") for path in built.rglob("*.html"))
    assert re.findall(r"<td>[^\n]*<code>[^<]*\\\|[^<]*</code>", pages) == []


def test_search_knows_the_pages(built: Path) -> None:
    index = (built / "search/search_index.json").read_text(encoding="utf-8")
    for words in ("max_quarantined", "SmolLM2", "tokenmill takedown", "what to mix"):
        assert words.lower() in index.lower()


@pytest.mark.parametrize("fault", ["[gone](gone.md)", "[gone](index.md#gone)"])
def test_a_dead_link_fails_the_build(fault: str, repository: Path, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text(f"# A page\n\n{fault}\n")
    text = (repository / "mkdocs.yml").read_text().partition("\nnav:")[0]
    text = text.replace("docs/site/hooks.py", str(repository / "docs/site/hooks.py"))
    text = re.sub(r"^hooks:\n.*\n", "", text, flags=re.MULTILINE)
    (tmp_path / "mkdocs.yml").write_text(text)
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    assert "gone" in done.stdout + done.stderr


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def address(built: Path) -> Iterator[str]:
    """Where the site is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(built))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
@pytest.mark.xdist_group("chromium")
@pytest.mark.parametrize(("colours", "scheme", "width"), [("light", "default", 1280), ("dark", "slate", 390)])
def test_in_a_browser_the_search_finds_and_nothing_else_is_asked(
    colours: str, scheme: str, width: int, address: str
) -> None:
    with Browser() as browser:
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": colours}])
        browser.open(f"{address}/index.html?q=forgetting", width=width)
        assert "/how-to/forgetting.html" in browser.value(FOUND)
        assert browser.value("document.body.dataset.mdColorScheme") == scheme
        assert browser.value("document.documentElement.scrollWidth") <= width
        assert browser.problems == []
        asked = [url for url in browser.requests if not url.startswith(("data:", "blob:"))]
    assert len(asked) > 4
    assert [url for url in asked if not url.startswith(address)] == []


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
@pytest.mark.xdist_group("chromium")
def test_questions_find_the_page_that_answers_them_first(address: str) -> None:
    found = {}
    with Browser() as browser:
        for question in ANSWERS:
            browser.open(f"{address}/index.html?q={question.replace(' ', '+')}", width=1280)
            found[question] = browser.value(FOUND)[0]
    assert found == ANSWERS


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
@pytest.mark.xdist_group("chromium")
def test_a_wide_window_shows_lines_of_code_whole(address: str) -> None:
    with Browser() as browser:
        browser.open(f"{address}/export.html", width=1920)
        cut = "[...document.querySelectorAll('pre code')].filter(code => code.scrollWidth > code.clientWidth).length"
        assert browser.value(cut) == 0
        assert browser.value("document.querySelectorAll('pre code').length") > 2
