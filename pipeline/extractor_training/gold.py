"""Gold sets: pages, and the text that people marked on them, read from clones of their repositories.

- ``wcxb-dev``, ``wcxb-test``  Murrough-Foley/web-content-extraction-benchmark (CC BY 4.0): seven types of page
- ``trafilatura``              adbar/trafilatura, tests/ (Apache 2.0): sentences that must and must not come out
- ``scrapinghub``              scrapinghub/article-extraction-benchmark (MIT): articles
- ``magic-article``, ``-forum``  opendatalab/magic-html, benchmark/ (Apache 2.0): articles and threads, many Chinese

The pages themselves belong to whoever wrote them; no page and no text is kept in the model or in this repository.
"""

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.base.errors import parse_json
from pipeline.clean.decode import NotText, decode

FOLDERS = {
    "wcxb": "web-content-extraction-benchmark",
    "trafilatura": "trafilatura",
    "scrapinghub": "article-extraction-benchmark",
    "magic": "magic-html",
}
_TYPES = {"category": "collection"}


@dataclass(frozen=True)
class GoldPage:
    """A page and what people marked on it.

    Attributes:
        key: Its name in its set.
        domain: Of its URL, without ``www.``; the key where it has none.
        html: As the clean stage decodes it.
        text: Its text; None where only segments are marked.
        wanted: Segments that must come out.
        unwanted: Segments that must not.
        page_type: Where the set tells types.
    """

    key: str
    domain: str
    html: str
    text: str | None = None
    wanted: list[str] = field(default_factory=list)
    unwanted: list[str] = field(default_factory=list)
    page_type: str | None = None


def read_set(name: str, clones: Path) -> Iterator[GoldPage]:
    """The pages of a set.

    Args:
        name: One of SETS.
        clones: Folder that holds the clones under their repositories' names.
    """
    return SETS[name](clones)


def _wcxb(split: str) -> Callable[[Path], Iterator[GoldPage]]:
    def read(clones: Path) -> Iterator[GoldPage]:
        folder = clones / FOLDERS["wcxb"] / split
        for path in sorted((folder / "ground-truth").glob("*.json")):
            case = parse_json(path.read_bytes())
            kind = ((case.get("_internal") or {}).get("page_type") or {}).get("primary", "article")
            body = gzip.decompress((folder / "html" / f"{path.stem}.html.gz").read_bytes())
            text = case["ground_truth"].get("main_content") or ""
            yield _page(path.stem, case.get("url"), body, text=text, page_type=_TYPES.get(kind, kind))

    return read


def _trafilatura(clones: Path) -> Iterator[GoldPage]:
    tests = clones / FOLDERS["trafilatura"] / "tests"
    for number, (url, case) in enumerate(parse_json((tests / "evaldata.json").read_bytes()).items()):
        path = next(path for path in (tests / "cache" / case["file"], tests / "eval" / case["file"]) if path.exists())
        yield _page(f"{number:04}", url, path.read_bytes(), wanted=case["with"], unwanted=case["without"])


def _scrapinghub(clones: Path) -> Iterator[GoldPage]:
    folder = clones / FOLDERS["scrapinghub"]
    for key, case in sorted(parse_json((folder / "ground-truth.json").read_bytes()).items()):
        body = gzip.decompress((folder / "html" / f"{key}.html.gz").read_bytes())
        yield _page(key, case.get("url"), body, text=case.get("articleBody", ""))


def _magic(kind: str) -> Callable[[Path], Iterator[GoldPage]]:
    def read(clones: Path) -> Iterator[GoldPage]:
        folder = clones / FOLDERS["magic"] / "benchmark" / "data" / kind
        for key, case in sorted(parse_json((folder / "base.json").read_bytes()).items()):
            yield _page(key, case["url"], (folder / "htmls" / f"{key}.html").read_bytes(), text=case["content"])

    return read


SETS: dict[str, Callable[[Path], Iterator[GoldPage]]] = {
    "wcxb-dev": _wcxb("dev"),
    "wcxb-test": _wcxb("test"),
    "trafilatura": _trafilatura,
    "scrapinghub": _scrapinghub,
    "magic-article": _magic("article"),
    "magic-forum": _magic("forum"),
}


def _page(key: str, url: str | None, body: bytes, **marked: Any) -> GoldPage:
    try:
        html, _, _ = decode(body, html=True)
    except NotText:
        html = ""
    return GoldPage(key, urlsplit(url or "").netloc.lower().removeprefix("www.") or key, html, **marked)
