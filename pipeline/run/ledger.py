"""``takedown.jsonl``: what was taken down from a run, and where it stood.

The file is only ever replaced by a longer one, in one step.  Its digest is part of every fingerprint, so a rebuilt
shard is made without what was taken down.  It holds no text, no URL and no record id, for those had to go.
Their 64-bit hashes stay, so that whoever asks for one of them again is told that it was taken down.

Kinds of lines, by their first key:

``request``   one per takedown: how the documents were chosen, and how many there are
``doc_id``    one per document: its shard and row, and hashes of its record id and URL
``tokens``    one per token shard: the rows that hold end-of-text in the place of a document, and the digest of the
              shard's layout (doc_ids and lengths).  A rebuilt shard that has this layout gets these rows again, so that
              every later token keeps its place; a shard of another recipe has another layout, and does not.
``evidence``  one per takedown: the rows of clusters/ of every cluster that holds one of its documents
``survivors``  one per takedown: kept documents that share a cluster with one of its documents, and the clusters' ids
``near_validation``  documents that stay out of training: they were near a validation document that was taken down
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pipeline.base import storage
from pipeline.base.errors import FormatError, parse_json
from pipeline.run import layout
from pipeline.run.manifest import digest_bytes


@dataclass(frozen=True)
class Removed:
    """One document that was taken down."""

    doc_id: str
    shard: str
    row: int
    keys: tuple[str, ...]
    request: str


@dataclass(frozen=True)
class TokenRows:
    """What stands in a token shard in the place of documents: (row, doc_id, tokens) of each, by row.

    ``layout`` is the digest of the whole shard's layout, ``batches`` the rows of each of its record batches; ``was`` is
    the digest of the file before anything of it was taken down.
    """

    path: str
    was: str
    layout: str
    batches: tuple[int, ...]
    rows: tuple[tuple[int, str, int], ...]


@dataclass(frozen=True)
class Ledger:
    """The loaded file; ``digest`` is empty while there is none."""

    digest: str = ""
    requests: tuple[dict[str, Any], ...] = ()
    documents: dict[str, Removed] = field(default_factory=dict)
    tokens: dict[str, TokenRows] = field(default_factory=dict)
    evidence: dict[str, tuple[Any, ...]] = field(default_factory=dict)  # doc_id -> its row of clusters/, ids as hex
    cluster_counts: dict[str, dict[str, int]] = field(default_factory=dict)  # by digest of the step's configuration
    near_validation: tuple[str, ...] = ()
    survivors: dict[str, str] = field(default_factory=dict)  # doc_id -> id of its cluster, that decides its side

    def by_key(self, kind: str, value: str) -> list[Removed]:
        """Documents taken down whose record id (``kind`` "id") or URL ("url") was ``value``."""
        wanted = key_hash(kind, value)
        return [found for found in self.documents.values() if wanted in found.keys]


def key_hash(kind: str, value: str) -> str:
    """64-bit hash of a record id or URL, hex.

    Example:
        >>> key_hash("url", "https://example.org/") == key_hash("id", "https://example.org/")
        False
    """
    return hashlib.blake2b(f"{kind}\0{value}".encode(), digest_size=8).hexdigest()


def digest(root: str) -> str:
    """Digest of a run's takedown.jsonl; empty when there is none."""
    url = storage.join(root, layout.TAKEDOWN)
    data = storage.read_if_there(url)
    return "" if data is None else digest_bytes(data)


def load(root: str) -> Ledger:
    """Loads a run's takedown.jsonl.

    Raises:
        FormatError: If it is damaged.
    """
    url = storage.join(root, layout.TAKEDOWN)
    data = storage.read_if_there(url)
    return Ledger() if data is None else parse(data, url)


@lru_cache(maxsize=4)
def parse(data: bytes, where: str) -> Ledger:
    """The ledger that a file's bytes hold; ``where`` names the file in errors."""
    requests: list[dict[str, Any]] = []
    documents: dict[str, Removed] = {}
    tokens: dict[str, TokenRows] = {}
    evidence: dict[str, tuple[Any, ...]] = {}
    cluster_counts: dict[str, dict[str, int]] = {}
    near_validation: set[str] = set()
    survivors: dict[str, str] = {}
    lines = data.decode("utf-8", "replace").removesuffix("\n").split("\n") if data else []
    for number, line in enumerate(lines, start=1):
        try:
            values = parse_json(line)
            if "doc_id" in values:
                values["keys"] = tuple(values["keys"])
                documents[values["doc_id"]] = Removed(**values)
            elif "tokens" in values:
                rows = tuple((int(row), str(doc_id), int(length)) for row, doc_id, length in values["rows"])
                batches = tuple(int(size) for size in values["batches"])
                tokens[values["tokens"]] = TokenRows(values["tokens"], values["was"], values["layout"], batches, rows)
            elif "evidence" in values:
                evidence |= {str(row[0]): tuple(row) for row in values["rows"]}
                cluster_counts[values["evidence"]] = dict(values["counts"])
            elif "survivors" in values:
                survivors |= {str(doc_id): str(cluster) for doc_id, cluster in values["survivors"]}
            elif "near_validation" in values:
                near_validation |= set(values["near_validation"])
            else:
                requests.append({"request": values["request"], **values})
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(
                f"{where}: line {number} is damaged ({error}); bring the file back from a copy: without it a rebuild "
                "would bring back what was taken down"
            ) from error
    near = tuple(sorted(near_validation))
    return Ledger(digest_bytes(data), tuple(requests), documents, tokens, evidence, cluster_counts, near, survivors)


def lines(
    request: dict[str, Any],
    documents: Iterable[Removed],
    tokens: Sequence[TokenRows],
    others: Iterable[dict[str, Any] | None] = (),
) -> bytes:
    """The lines of one takedown, to be appended; ``others``: those of evidence.py, as they stand."""
    values: list[dict[str, Any]] = [request]
    for found in sorted(documents, key=lambda removed: (removed.shard, removed.row)):
        values.append(
            {
                "doc_id": found.doc_id,
                "shard": found.shard,
                "row": found.row,
                "keys": list(found.keys),
                "request": found.request,
            }
        )
    for item in tokens:
        rows = [list(row) for row in item.rows]
        batches = list(item.batches)
        values.append({"tokens": item.path, "was": item.was, "layout": item.layout, "batches": batches, "rows": rows})
    values += [value for value in others if value is not None]
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode()


def read(root: str) -> bytes:
    """The file's bytes; empty when there is none."""
    return storage.read_if_there(storage.join(root, layout.TAKEDOWN)) or b""
