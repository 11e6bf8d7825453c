"""What a model was trained on, counted for the summary: one pass over the documents that its steps have read.

Tokens of a document count twice over: once each time that they were read (as `tokenmill licences` counts), and once in
all, which is the size of the data.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.clean.url_entries import host_of
from pipeline.disclosure.crawlers import Crawler, crawlers_of
from pipeline.disclosure.domains import registrable
from pipeline.lineage.licences import Read, documents_read, licences
from pipeline.lineage.training import Training
from pipeline.recipe.options import Source
from pipeline.run import ledger
from pipeline.run.folder import Run
from pipeline.run.manifest import load_manifests

WEB_ARCHIVES = ("warc", "wet")
PII = ("email", "ip", "phone", "iban", "card", "secret", "national_id")
NO_LANGUAGE = "not told"
_MONTH = r"^(?P<month>\d{4}-\d{2})"


@dataclass
class Size:
    """Documents, their tokens as often as they were read, and their tokens once."""

    documents: int = 0
    read: int = 0
    tokens: int = 0

    def add(self, documents: int, read: int, tokens: int) -> None:
        """Adds to it."""
        self.documents, self.read, self.tokens = self.documents + documents, self.read + read, self.tokens + tokens


@dataclass
class SourceFacts:
    """What was read of one source."""

    source: Source
    size: Size = field(default_factory=Size)
    formats: set[str] = field(default_factory=set)
    licences: Counter[str] = field(default_factory=Counter)  # tokens read
    domains: dict[str, Size] = field(default_factory=dict)
    months: set[str] = field(default_factory=set)  # YYYY-MM in which pages of web archives were fetched

    @property
    def crawled_from(self) -> str:
        """First and last month of the crawl, as the template writes it; empty where none is known."""
        if not self.months:
            return ""
        first, last = (f"{month[5:]}/{month[:4]}" for month in (min(self.months), max(self.months)))
        return f"from {first} to {last}"


@dataclass
class Facts:
    """All that the summary says of a run."""

    run: Run
    step: int
    total: dict[str, Any]  # the answer of `tokenmill licences`
    sources: dict[str, SourceFacts]
    languages: dict[str, Size]
    opt_out: Counter[str]  # documents that were read although they have such a mark
    pii: Counter[str]
    excluded: Counter[str]
    dropped: dict[str, int]  # documents that a stage left out
    taken_down: int
    crawlers: list[Crawler]

    @property
    def size(self) -> Size:
        """Of all sources."""
        whole = Size()
        for found in self.sources.values():
            whole.add(found.size.documents, found.size.read, found.size.tokens)
        return whole

    @property
    def other_runs(self) -> list[str]:
        """Names of the run folders that are mixed in, whose documents are counted by their own summaries."""
        return [root.rstrip("/").rpartition("/")[2] for root in self.run.recipe.train.runs]


def collect(run: Run, step: int) -> Facts:
    """Counts what a checkpoint of a run was trained on.

    Args:
        run: The run.
        step: Of the checkpoint.

    Raises:
        RunError: If its tokens are gone.
    """
    total = licences(run, step)
    counts = [manifest.counts for manifest in load_manifests(run.root, "clean").values()]
    facts = Facts(
        run=run,
        step=step,
        total=total,
        sources={source.name: SourceFacts(source) for source in run.recipe.sources},
        languages={},
        opt_out=Counter(),
        pii=Counter(),
        excluded=_summed(count.get("excluded_reasons", {}) for count in counts),
        dropped=_dropped(run),
        taken_down=len(ledger.load(run.root).documents),
        crawlers=[],
    )
    formats = _formats(run)
    for read in documents_read(Training(run), step):
        _count(facts, read, formats.get(read.shard, {}))
    archived = [found.source for found in facts.sources.values() if found.formats & set(WEB_ARCHIVES)]
    facts.crawlers = crawlers_of(archived)
    return facts


def _summed(counters: Iterator[dict[str, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for counter in counters:
        found.update(counter)
    return found


def _dropped(run: Run) -> dict[str, int]:
    found = {}
    for stage in ("dedup", "filter"):
        if manifests := load_manifests(run.root, stage):
            found[stage] = sum(manifest.counts.get("dropped", 0) for manifest in manifests.values())
    return found


def _formats(run: Run) -> dict[str, dict[str, str]]:
    """Shard of documents -> path of each of its input files -> its format."""
    return {
        shard: {part["path"]: part["format"] for part in manifest.config.get("parts", [])}
        for shard, manifest in load_manifests(run.root, "clean").items()
    }


def _count(facts: Facts, read: Read, formats: dict[str, str]) -> None:
    """Adds what was read of one shard."""
    if read.source not in facts.sources:  # tokens that were imported, or a source that the recipe has no more
        facts.sources[read.source] = SourceFacts(Source(name=read.source, paths=["."]))
    found = facts.sources[read.source]
    seen = pa.array(read.tokens > 0)
    archives = set(formats.values()) & set(WEB_ARCHIVES)
    names = ["licence", "url", "language", "opt_out", "path", *(f"pii_{kind}" for kind in PII)]
    table = read.columns(facts.run, [*names, *(["crawl_date"] if archives else [])])
    if table is None:
        found.size.add(int((read.tokens > 0).sum()), int(read.tokens.sum()), int(read.lengths[read.tokens > 0].sum()))
        return
    table = table.append_column("read", pa.array(read.tokens)).append_column("tokens", pa.array(read.lengths))
    table = table.filter(seen)
    found.size.add(table.num_rows, pc.sum(table["read"]).as_py() or 0, pc.sum(table["tokens"]).as_py() or 0)
    found.formats |= {formats[path] for path in table["path"].unique().to_pylist() if path in formats}
    for licence, size in _by(table, "licence"):
        found.licences[licence or "unknown"] += size[1]
    for language, size in _by(table, "language"):
        facts.languages.setdefault(language or NO_LANGUAGE, Size()).add(*size)
    _count_hosts(found, table)
    for marks, size in _by(table, "opt_out"):
        facts.opt_out.update(dict.fromkeys((marks or "").split(",") if marks else [], size[0]))
    for kind in PII:
        if f"pii_{kind}" not in table.schema.names:
            continue  # of a run that was made before such were looked for
        facts.pii[kind] += pc.sum(table[f"pii_{kind}"]).as_py() or 0
    if archives and "crawl_date" in table.schema.names:
        found.months |= _months(table, [path for path, kind in formats.items() if kind in WEB_ARCHIVES])


def _by(table: pa.Table, column: str) -> Iterator[tuple[str | None, tuple[int, int, int]]]:
    """Documents, tokens read and tokens by the values of a column."""
    groups = table.group_by([column]).aggregate([("read", "count"), ("read", "sum"), ("tokens", "sum")])
    for row in groups.to_pylist():
        yield row[column], (row["read_count"], row["read_sum"], row["tokens_sum"])


def _count_hosts(found: SourceFacts, table: pa.Table) -> None:
    web = pc.extract_regex(table["url"], r"^(?P<site>[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#\\]+)")
    if web.null_count == len(web):
        return
    sites = table.append_column("site", pc.struct_field(web, "site"))
    for site, size in _by(sites, "site"):
        if site:
            found.domains.setdefault(registrable(host_of(site)), Size()).add(*size)


def _months(table: pa.Table, paths: list[str]) -> set[str]:
    """The months in which the pages of web archives were fetched."""
    pages = table.filter(pc.is_in(table["path"], pa.array(paths, pa.string())))
    fetched = pc.struct_field(pc.extract_regex(pages["crawl_date"], _MONTH), "month")
    return {month for month in fetched.unique().to_pylist() if month}
