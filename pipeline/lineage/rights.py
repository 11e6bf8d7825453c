"""What the marks of pages and the robots.txt of their sites ask for, and what it costs to heed them.

Of each mark and robot: the documents that are still in the run, their tokens, and the records that the clean stage has
left out for it already.  A folder of robots.txt files is judged as ``[clean] robots`` would judge it, without a run.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc

from pipeline.base import storage
from pipeline.base.progress import each
from pipeline.base.words import counted
from pipeline.clean.facts.robots import Robots, Sites
from pipeline.clean.facts.site_files import read_sites
from pipeline.filter.whatif import BYTES_PER_TOKEN
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.manifest import load_manifests
from pipeline.run.rows import shard_names
from pipeline.run.table_files import batches
from pipeline.run.tables import DOCUMENTS, EXCLUDED
from pipeline.run.tables.alive import alive_in_run
from pipeline.tokens.shards.shard_facts import token_layout

ROBOTS, CONTENT, TDMREP = "robots", "content-usage", "tdm-reservation"
UNKNOWN = "unknown"
COLUMNS = ["doc_id", "text", "url", "opt_out", "licence"]
Key = tuple[str, str | None]  # mark and robot


@dataclass
class _Cost:
    """What one mark or robot asks for."""

    documents: int = 0
    tokens: float = 0.0
    excluded: int = 0

    def row(self, total: float) -> dict[str, Any]:
        share = self.tokens / total if total else 0.0
        return {"documents": self.documents, "tokens": round(self.tokens), "share": share, "excluded": self.excluded}


@dataclass
class _Tally:
    """Costs by mark and robot, of all marks together, and by licence."""

    costs: dict[Key, _Cost] = field(default_factory=lambda: defaultdict(_Cost))
    licences: dict[str, _Cost] = field(default_factory=lambda: defaultdict(_Cost))
    together: _Cost = field(default_factory=_Cost)
    whole: _Cost = field(default_factory=_Cost)

    def add(self, licence: str | None, asked: Iterable[Key], tokens: float) -> None:
        """A document that is in the run."""
        keys = set(asked)
        costs = [self.whole, self.licences[licence or UNKNOWN], *(self.costs[key] for key in keys)]
        for cost in [*costs, self.together] if keys else costs:
            cost.documents += 1
            cost.tokens += tokens


def rights(run: Run, robots: str | None = None, agents: Sequence[str] | None = None) -> dict[str, Any]:
    """Documents and tokens by opt-out, robot and licence.

    Args:
        run: The run, its clean stage done.
        robots: Folder of robots.txt files; None: that of the recipe, if it has one.
        agents: Robots to ask about; None: those of the recipe.

    Returns:
        ``opt_outs`` (mark, agent, documents, tokens, share, excluded), ``together`` (documents with at least one of
        them), ``licences``, and the totals.

    Raises:
        UserError: If there is no such folder, or no robots.txt in it.
    """
    clean = run.recipe.clean
    sites = read_sites(robots or clean.robots, clean.robots_agents)
    exact = storage.exists(run.url(layout.stage_manifest("tokenize")))
    tally = _Tally()
    for shard in each(shard_names(run), "rights", "shard"):
        for document in _kept(run, shard, exact):
            asked = [*_marks(document.opt_out), *_of_site(document.url, sites, agents or clean.robots_agents)]
            tally.add(document.licence, asked, document.tokens)
    for key in _excluded(run):
        tally.costs[key].excluded += 1
    total = tally.whole.tokens
    rows = [{"mark": mark, "agent": agent, **cost.row(total)} for (mark, agent), cost in _ordered(tally.costs)]
    licences = [{"licence": name, **cost.row(total)} for name, cost in _ordered(tally.licences)]
    for row in licences:
        del row["excluded"]
    together = tally.together.row(total)
    together["excluded"] = sum(reason == "opt_out" for reason, _ in _refused(run))
    whole = {"documents": tally.whole.documents, "tokens": round(total), "tokens_are_estimated": not exact}
    return {
        "root": run.root,
        **whole,
        "sites": len(sites),
        "opt_outs": rows,
        "together": together,
        "licences": licences,
    }


def _ordered(costs: dict[Any, _Cost]) -> list[tuple[Any, _Cost]]:
    def rank(item: tuple[Any, _Cost]) -> tuple[float, int, str]:
        return -item[1].tokens, -item[1].excluded, str(item[0])

    return sorted(costs.items(), key=rank)


@dataclass(frozen=True)
class _Document:
    tokens: float
    url: str | None
    opt_out: str | None
    licence: str | None


def _kept(run: Run, shard: str, exact: bool) -> Iterator[_Document]:
    """The documents of a shard that no stage has dropped; their tokens, or what their bytes stand for."""
    known = _token_counts(run, shard) if exact else {}
    place = 0
    path = run.local(layout.documents(shard))
    rows = sum(batch.num_rows for batch in batches(path, DOCUMENTS, ["doc_id"]))
    kept = alive_in_run(run, run.recipe.selection_before("tokenize"), shard, rows)
    for batch in batches(path, DOCUMENTS, COLUMNS):
        sizes = pc.binary_length(batch["text"]).to_pylist()
        columns = [batch[name].to_pylist() for name in COLUMNS if name != "text"]
        for row, (size, doc_id, url, opt_out, licence) in enumerate(zip(sizes, *columns, strict=True)):
            if kept[place + row]:
                tokens = known.get(doc_id, 0) if exact else size / BYTES_PER_TOKEN
                yield _Document(tokens, url, opt_out, licence)
        place += batch.num_rows


def _token_counts(run: Run, shard: str) -> dict[bytes, int]:
    """Tokens of each document of a document shard."""
    counts: dict[bytes, int] = {}
    for split in ("train", "validation"):
        path = layout.tokens(split, shard)
        if storage.exists(run.url(path)):
            held = token_layout(run.local(path))
            counts |= {bytes(doc_id): int(n) for doc_id, n in zip(held.doc_ids, held.lengths, strict=True)}
    return counts


def _marks(opt_out: str | None) -> Iterator[Key]:
    """The marks of a page that the recipe lets pass."""
    yield from ((mark, None) for mark in (opt_out or "").split(",") if mark)


def _of_site(url: str | None, sites: Sites, agents: Sequence[str]) -> Iterator[Key]:
    """What the page's site reserves: robots that must not fetch it, words on what it may be used for, TDMRep."""
    if not url or not len(sites):
        return
    for _, said in sites.files_of(url):
        if isinstance(said, Robots):
            yield from ((ROBOTS, agent) for agent in said.refuses(url, agents))
            if said.says(url):
                yield CONTENT, None
        elif said.reserves(url):
            yield TDMREP, None


def _refused(run: Run) -> Iterator[tuple[str, str]]:
    """Reason and detail of what the clean stage has left out."""
    for manifest in load_manifests(run.root, "clean").values():
        for path in manifest.digests(layout.EXCLUDED):
            for batch in batches(run.local(path), EXCLUDED, ["reason", "detail"]):
                details = (detail or "" for detail in batch["detail"].to_pylist())
                yield from zip(batch["reason"].to_pylist(), details, strict=True)


def _excluded(run: Run) -> Iterator[Key]:
    """Marks by which the clean stage has left records out, and the first robot that robots.txt names for each."""
    for reason, detail in _refused(run):
        if reason != "opt_out":
            continue
        mark, colon, rule = detail.partition(": ")
        if not colon:
            yield from _marks(detail)
        elif mark == ROBOTS and rule.partition(": ")[1] and "Disallow" in rule:
            yield ROBOTS, rule.partition(": ")[0]
        else:
            yield (CONTENT if mark == ROBOTS else mark), None


def as_text(found: dict[str, Any]) -> str:
    """The tables for a person."""
    about = "about " * found["tokens_are_estimated"]
    lines = [
        f"{about}{counted(found['tokens'], 'token')} of {counted(found['documents'], 'document')} in the run; "
        f"robots.txt or tdmrep.json of {counted(found['sites'], 'site')}",
        "",
        f"{'opt-out':18} {'robot':28} {'documents':>12} {'tokens':>16} {'share':>8} {'left out':>12}",
    ]
    for row in [*found["opt_outs"], {"mark": "any of them", "agent": None, **found["together"]}]:
        lines.append(
            f"{row['mark']:18} {row['agent'] or '':28} {row['documents']:>12,} {row['tokens']:>16,} "
            f"{row['share']:>8.2%} {row['excluded']:>12,}"
        )
    lines += ["", f"{'licence':47} {'documents':>12} {'tokens':>16} {'share':>8}"]
    for row in found["licences"]:
        lines.append(f"{row['licence']:47} {row['documents']:>12,} {row['tokens']:>16,} {row['share']:>8.2%}")
    return "\n".join(lines)
