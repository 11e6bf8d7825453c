"""Which documents a takedown is about: by doc_id or record id, URL, domain, licence, path or phrase."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.lookup import locate
from pipeline.lookup.locate import DocIndex, Located
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.ledger import Ledger, Removed, key_hash
from pipeline.run.manifest import canonical_json, digest_bytes, load_manifests
from pipeline.run.rows import matching_rows, read_rows
from pipeline.run.tables import CLUSTERS, DOCUMENTS
from pipeline.takedown.searches import Search, hash_of, search

_DOC_ID = re.compile(r"[0-9a-f]{32}")
_PREFIX = re.compile(r"[0-9a-f]{4,32}")
SHORTEST_PREFIX = 8  # hex digits of a doc_id that name a document to be taken down
_HOST = re.compile(r"[\w-]+(\.[\w-]+)*")  # any script: what DNS knows it as is for the reader of lists
UNKNOWN_LICENCE = "unknown"


@dataclass(frozen=True)
class Choice:
    """What a person asked for; a document is chosen when any of these names it."""

    ids: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    note: str = ""
    paths: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    all_matches: bool = False  # a path or phrase may fit several documents

    def __bool__(self) -> bool:
        return bool(self.ids or self.urls or self.domains or self.licences or self.searches)

    @property
    def searches(self) -> list[tuple[str, str]]:
        """Option and value of each path and phrase."""
        return [*(("--path", value) for value in self.paths), *(("--phrase", value) for value in self.phrases)]

    def request(self, doc_ids: Sequence[str]) -> dict[str, Any]:
        """The ledger's line of this takedown; all but domains and licences as hashes: they may be part of what goes."""
        asked = {
            "ids": sorted(value if _names_one(value, doc_ids) else key_hash("id", value) for value in self.ids),
            "urls": sorted(key_hash("url", value) for value in self.urls),
            "domains": sorted(self.domains),
            "licences": sorted(self.licences),
        }
        for name, option, values in (("paths", "--path", self.paths), ("phrases", "--phrase", self.phrases)):
            if values:  # a request without them keeps the name that it always had
                asked[name] = sorted(hash_of(option, value) for value in values)
        name = digest_bytes(canonical_json([asked, sorted(doc_ids)]).encode())[:16]
        kept = {key: value for key, value in asked.items() if value}
        note = {"note": self.note} if self.note else {}
        return {"request": name, "documents": len(doc_ids), **kept, **note}


def _names_one(value: str, doc_ids: Sequence[str]) -> bool:
    return bool(_PREFIX.fullmatch(value)) and any(doc_id.startswith(value) for doc_id in doc_ids)


@dataclass
class Chosen:
    """The documents that a choice names: those still there, and those that were taken down before."""

    documents: list[Located] = field(default_factory=list)
    gone: list[Removed] = field(default_factory=list)
    searches: list[Search] = field(default_factory=list)
    refused: str = ""  # why these cannot be taken down


def choose(run: Run, choice: Choice, removed: Ledger) -> Chosen:
    """Finds the documents; each once, in shard order.

    Raises:
        UserError: If an id or URL is unknown, or a domain, licence, path or phrase names no document.
    """
    chosen = Chosen()
    index = DocIndex(run)
    places: dict[bytes, Located] = {}
    for value in choice.ids:
        _add(places, chosen, removed, _by_id(run, index, value, removed))
    for value in choice.urls:
        found = locate.by_key(run, "url", value)
        _add(places, chosen, removed, found or _gone(removed.by_key("url", value), f"no document has the url {value}"))
    for value in choice.domains:
        _add(places, chosen, removed, _by_domain(run, value))
    for value in choice.licences:
        _add(places, chosen, removed, _by_licence(run, value))
    for option, value in choice.searches:
        found_here = search(run, option, value, removed)
        chosen.searches.append(found_here)
        chosen.gone += [gone for gone in found_here.gone if gone not in chosen.gone]
        _add(places, chosen, removed, found_here.documents)
    chosen.documents = sorted(places.values(), key=lambda located: (located.shard, located.row))
    if len(chosen.documents) and len(chosen.documents) + len(removed.documents) >= _count(run):
        chosen.refused = (
            f"this names every document of the run ({len(chosen.documents):,} that are left); nothing would remain to "
            f"keep consistent. Delete the run folder {run.root} and its exports instead"
        )
    return chosen


def _count(run: Run) -> int:
    return sum(manifest.counts.get("documents", 0) for manifest in load_manifests(run.root, "clean").values())


def _add(places: dict[bytes, Located], chosen: Chosen, removed: Ledger, found: list[Located]) -> None:
    for located in found:
        gone = removed.documents.get(located.doc_id.hex())
        if gone is None:
            places[located.doc_id] = located
        elif gone not in chosen.gone:
            chosen.gone.append(gone)


def _gone(found: list[Removed], message: str) -> list[Located]:
    if not found:
        raise UserError(f"{message}; it is compared as it stands, letter by letter")
    return [Located(bytes.fromhex(gone.doc_id), gone.shard, gone.row) for gone in found]


def _by_id(run: Run, index: DocIndex, value: str, removed: Ledger) -> list[Located]:
    """A doc_id, else a record's own id, else the beginning of one doc_id.

    Raises:
        UserError: If there is none, or the beginning is that of several or too short to be meant: a record's own id
            that is not in this run must not take another document down.
    """
    if _DOC_ID.fullmatch(value.lower()):
        located = next(index.from_key(bytes.fromhex(value.lower())), None)
        if located is not None and located.doc_id.hex() == value.lower():
            return [located]
    found = locate.by_key(run, "id", value)
    if found:
        return found
    gone = removed.by_key("id", value)
    if not gone and _PREFIX.fullmatch(value.lower()):
        located = index.find(value)  # its error names the nearest doc_id, or all that begin so
        if len(value) < SHORTEST_PREFIX:
            raise UserError(
                f"--ids {value}: {located.doc_id.hex()} begins so; a takedown wants at least {SHORTEST_PREFIX} of its "
                "digits"
            )
        return [located]
    return _gone(gone, f"{value}: neither a doc_id (32 hex digits) nor a record's own id in this run")


def _by_domain(run: Run, domain: str) -> list[Located]:
    """Documents whose URL, or the one that the page names as its own, is in a domain, as block lists mean it."""
    name = domain.strip().strip(".")
    if not _HOST.fullmatch(name):
        raise UserError(f"--domain {domain!r}: expected a domain such as example.org, without scheme, port or path")
    from pipeline.clean.urls import UrlList  # loads kernels, which no other choice needs

    entries = UrlList([name], key="--domain", single=True)

    def matches(batch: pa.RecordBatch) -> NDArray[np.bool_]:
        found = [entries.among(column) for column in batch.columns]
        either: NDArray[np.bool_] = np.logical_or.reduce(found)
        return either

    return list(locate.every(run, ["url", "canonical_url"], matches)) or _nothing(f"no URL lies in the domain {name}")


def _by_licence(run: Run, licence: str) -> list[Located]:
    def matches(batch: pa.RecordBatch) -> NDArray[np.bool_]:
        column = batch.column(0)
        found = pc.equal(column, licence).fill_null(licence == UNKNOWN_LICENCE)
        flags: NDArray[np.bool_] = found.to_numpy(zero_copy_only=False)
        return flags

    return list(locate.every(run, ["licence"], matches)) or _nothing(
        f"no document has the licence {licence!r}; `tokenmill licences {run.root}` lists them"
    )


def _nothing(message: str) -> list[Located]:
    raise UserError(message)


def keys_of(run: Run, documents: Sequence[Located]) -> Iterator[tuple[Located, tuple[str, ...], int]]:
    """Of each document: hashes of its record id and URL, and the bytes of its text."""
    by_shard: dict[str, list[Located]] = {}
    for located in documents:
        by_shard.setdefault(located.shard, []).append(located)
    for shard, found in by_shard.items():
        path = run.local(layout.documents(shard))
        table = read_rows(path, DOCUMENTS, [located.row for located in found], ["doc_id", "id", "url", "text"])
        sizes = pc.binary_length(table["text"]).to_pylist()
        ids, urls = table["id"].to_pylist(), table["url"].to_pylist()
        for located, record_id, url, size in zip(found, ids, urls, sizes, strict=True):
            keys = [key_hash(kind, value) for kind, value in (("id", record_id), ("url", url)) if value]
            yield located, tuple(keys), size


def raw_inputs_of(run: Run, documents: Sequence[Located]) -> list[dict[str, Any]]:
    """The raw files that the documents were read from: they still hold the text, and a takedown leaves them alone."""
    by_shard: dict[str, list[int]] = {}
    for located in documents:
        by_shard.setdefault(located.shard, []).append(located.row)
    counts: Counter[tuple[str, str]] = Counter()
    for shard, rows in by_shard.items():
        table = read_rows(run.local(layout.documents(shard)), DOCUMENTS, rows, ["doc_id", "source", "path"])
        counts.update(zip(table["source"].to_pylist(), table["path"].to_pylist(), strict=True))
    return [{"source": source, "path": path, "documents": count} for (source, path), count in sorted(counts.items())]


def near_duplicates(run: Run, documents: Sequence[Located]) -> list[dict[str, Any]]:
    """Documents that the dedup stage found equal or near to those taken down, and that stay: for a person to decide.

    ``relation``: ``removed in its favour`` (its text is in documents/, not in the tokens) or ``kept in its place`` (it
    is trained on).
    """
    if not documents or not storage.exists(run.url(layout.EVIDENCE)):
        return []
    chosen = {located.doc_id for located in documents}
    wanted = pa.array(sorted(chosen), pa.binary(16))
    found: dict[tuple[bytes, bytes], dict[str, Any]] = {}
    path = run.local(layout.EVIDENCE)
    rows = {row for column in ("doc_id", "kept_id") for row in matching_rows(path, CLUSTERS, column, wanted)}
    for row in read_rows(path, CLUSTERS, sorted(rows)).to_pylist() if rows else ():
        removed, kept = row["doc_id"], row["kept_id"]
        if removed in chosen and kept in chosen:
            continue
        other, this = (removed, kept) if kept in chosen else (kept, removed)
        found[other, this] = {
            "doc_id": other.hex(),
            "near": this.hex(),
            "relation": "removed in its favour" if other == removed else "kept in its place",
            "rule": row["rule"],
            "similarity": row["similarity"],
        }
    return _with_places(run, [found[key] for key in sorted(found)])


def _with_places(run: Run, near: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with source, path and offset of those documents that stand in this run."""
    index = DocIndex(run)
    located = {row["doc_id"]: index.find(row["doc_id"]) for row in near if index.begins(row["doc_id"])}
    places = locate.places_of(run, located.values())
    return [row | (places[located[row["doc_id"]].doc_id] if row["doc_id"] in located else {}) for row in near]
