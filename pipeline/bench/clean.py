"""``tokenmill bench clean``: raw files to document shards, beside datatrove and a bare extraction loop.

One process each.

Input: the WARC and JSONL.gz files below ``$TOKENMILL_BENCH_CORPUS`` (folders ``warc`` and ``text``), else data/sample.
The peers that take long read an even sample of the same records; every rate is over what that row has read.
"""

import signal
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.bench.corpus import LID_176, sample_jsonl, sample_warc
from pipeline.bench.rates import row_of, with_ratios
from pipeline.clean.decode import decode
from pipeline.clean.languages.identify import model_of
from pipeline.clean.settings import job_config
from pipeline.clean.worker import clean_partition
from pipeline.recipe.options import Clean, Source
from pipeline.run.engine import Job, Outputs

PAGES, PEER_PAGES = 3_000, 300
RECORDS, PEER_RECORDS = 12_000, 1_200


def run() -> list[dict[str, Any]]:
    """Rows of both inputs: who, seconds, rates, and the ratio of ours to them."""
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as folder:
        return warc_rows(Path(folder)) + extractor_rows(Path(folder)) + jsonl_rows(Path(folder))


# --- the sides


def ours(path: Path, kind: str, folder: Path, **options: Any) -> None:
    """Our worker on one file: shards written and digested."""
    size = path.stat().st_size
    part = {"path": path.name, "format": kind, "start": 0, "end": size, "unit": "bytes", "size": size, "error": None}
    config = job_config(Clean(**options), Source(name="bench", paths=["."]), [part])
    job = Job("00000", config=config, arguments={"root": str(path.parent)})
    outputs = Outputs(str(folder / "run"), job)
    clean_partition(job, outputs)
    outputs.publish()


def bare_loop(path: Path) -> None:
    """Parses with fastwarc, decodes as detected, extracts with resiliparse, and nothing else."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import detect_encoding
    from resiliparse.parse.html import HTMLTree

    with open(path, "rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.response):
            body = record.reader.read()
            tree = HTMLTree.parse_from_bytes(body, detect_encoding(body) or "utf-8")
            extract_plain_text(tree, main_content=True)


def _datatrove(path: Path, steps: Callable[[Path], list[Any]]) -> None:
    data: Any = None
    ours = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # its extractor forks a child, and ends it by this signal
    try:
        for step in steps(path):
            data = step.run(data, 0, 1)
        for _ in data:
            pass
    finally:
        signal.signal(signal.SIGTERM, ours)


def _language_filter() -> Any:
    from datatrove.pipeline.filters import LanguageFilter

    language = LanguageFilter(label_only=True)
    language.model._model = model_of(str(LID_176))  # its own, compressed; it would be downloaded
    return language


def _warc_steps(path: Path) -> list[Any]:
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.readers import WarcReader

    reader = WarcReader(str(path.parent), glob_pattern=path.name)
    return [reader, Trafilatura(favour_precision=True, timeout=10), _language_filter()]


def _jsonl_steps(path: Path) -> list[Any]:
    from datatrove.pipeline.formatters import FTFYFormatter
    from datatrove.pipeline.readers import JsonlReader

    return [JsonlReader(str(path.parent), glob_pattern=path.name), FTFYFormatter(), _language_filter()]


# --- rows


def warc_rows(folder: Path) -> list[dict[str, Any]]:
    """WARC.gz to document shards, everything on, beside its peers."""
    full, part = folder / "full.warc.gz", folder / "part.warc.gz"
    pages, size = sample_warc(full, PAGES)
    peer_pages, peer_size = sample_warc(part, PEER_PAGES)
    ours(part, "warc", folder)  # compiles the kernels and loads the model
    rows = [
        row_of("warc", "tokenmill, everything on", pages, size, lambda: ours(full, "warc", folder)),
        row_of(
            *("warc", "tokenmill, everything on, resiliparse's text", pages, size),
            lambda: ours(full, "warc", folder, extractor="resiliparse"),
        ),
        row_of("warc", "fastwarc + resiliparse, bare", pages, size, lambda: bare_loop(full)),
        row_of("warc sample", "tokenmill, everything on", peer_pages, peer_size, lambda: ours(part, "warc", folder)),
        row_of(
            *("warc sample", "datatrove WarcReader + Trafilatura + LanguageFilter", peer_pages, peer_size),
            lambda: _datatrove(part, _warc_steps),
        ),
    ]
    return with_ratios(rows)


def extractor_rows(folder: Path) -> list[dict[str, Any]]:
    """The text of the same decoded pages, by our extractor and by the peers that are installed."""
    from pipeline.extractor_training.peers import extractors

    pages = pages_of(folder / "part.warc.gz")
    size = sum(len(page.encode("utf-8", "replace")) for page in pages)
    rows = []
    for who, extract in extractors().items():
        extract_all(extract, pages[:50])  # compiles the kernels, loads the models
        rows.append(row_of("decoded pages", who, len(pages), size, partial(extract_all, extract, pages)))
    return with_ratios(rows)


def pages_of(path: Path) -> list[str]:
    """The decoded pages of a WARC file."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    with open(path, "rb") as file:
        records = ArchiveIterator(file, record_types=WarcRecordType.response)
        return [decode(record.reader.read(), record.http_charset, html=True)[0] for record in records]


def extract_all(extract: Callable[[str], str], pages: list[str]) -> int:
    """Extracts every page; the characters of all texts."""
    return sum(len(extract(page)) for page in pages)


def jsonl_rows(folder: Path) -> list[dict[str, Any]]:
    """JSONL.gz to document shards beside its peers."""
    full, part = folder / "full.jsonl.gz", folder / "part.jsonl.gz"
    records, size = sample_jsonl(full, RECORDS)
    peer_records, peer_size = sample_jsonl(part, PEER_RECORDS)
    ours(part, "jsonl", folder)
    rows = [
        row_of("jsonl.gz", "tokenmill, without PII", records, size, lambda: ours(full, "jsonl", folder, pii="off")),
        row_of("jsonl.gz", "tokenmill, everything on", records, size, lambda: ours(full, "jsonl", folder)),
        row_of(
            *("jsonl.gz sample", "tokenmill, without PII", peer_records, peer_size),
            lambda: ours(part, "jsonl", folder, pii="off"),
        ),
        row_of(
            *("jsonl.gz sample", "datatrove JsonlReader + FTFYFormatter + LanguageFilter", peer_records, peer_size),
            lambda: _datatrove(part, _jsonl_steps),
        ),
    ]
    return with_ratios(rows)
