"""The step ``tokenize.survey``: what the kept documents of one document shard hold, read once by one job per shard.

Writes ``tokenizer/survey/NNNNN.json``, places and numbers without any text: bytes of training text; the rows with the
smallest keyed hashes; and for each code point above U+007F the first row that holds it, and where.  ``merge`` puts the
shards together, in their order, so that the result does not depend on who made them: bytes by source, and the proof
documents on which engines are compared.

1. Of each source those with the smallest keyed hashes of their doc_id.
2. The first documents of each source that hold code points which no proof document before them holds.  Of a long
   document the proof has its beginning, or, for code points, what stands around them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base.arrow import doc_id_array, text_buffers
from pipeline.filter.rules.cuts import cut_text
from pipeline.kernels.pretokens import CODE_POINTS, unknown_code_points
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.rows import read_rows
from pipeline.run.tables import DOCUMENTS
from pipeline.tokens.documents.assign import TRAIN
from pipeline.tokens.documents.kept_documents import kept_batches, read_cuts, shard_sources
from pipeline.tokens.documents.split import keyed_hash

CODE_POINT_DOCUMENTS = 200  # documents proven besides the sample, for code points that it lacks
PROOF_DOCUMENTS = 100  # of each source
PROOF_BYTES = 256 << 10  # a longer document is proven by parts of this size
LEAD_BYTES = 4 << 10  # of text before a code point for which a part is proven


@dataclass(frozen=True)
class Sample:
    """A document on which engines are compared, and which the tokenizer report describes."""

    source: str
    language: str
    text: str


@dataclass
class Survey:
    """What the kept documents hold."""

    sources: dict[str, str]  # shard -> source
    train_bytes: dict[str, int]  # source -> bytes of training text
    proof: list[Sample]


def survey_shard(job: Job, outputs: Outputs) -> None:
    """Job of one document shard; ``job.config`` holds ``seed``."""
    train_bytes = 0
    smallest: list[tuple[int, int]] = []
    seen = np.zeros(CODE_POINTS, bool)
    found: list[NDArray[np.int64]] = []
    for batch, sides, rows in kept_batches(outputs, job.shard, ["doc_id", "text"]):
        offsets, data = text_buffers(batch.column("text"))
        train_bytes += int(np.diff(offsets)[sides == TRAIN].sum())
        hashes = keyed_hash(doc_id_array(batch.column("doc_id")), f"proof {job.config['seed']}")
        order = np.argsort(hashes, kind="stable")[:PROOF_DOCUMENTS]
        smallest = sorted([*smallest, *zip(hashes[order].tolist(), rows[order].tolist(), strict=True)])
        smallest = smallest[:PROOF_DOCUMENTS]
        points, documents, places = new_code_points(offsets, data, seen)
        found.append(np.stack([points, rows[documents], places]))
    points, rows, places = np.concatenate([np.empty((3, 0), np.int64), *found], axis=1).tolist()
    survey = {
        "source": shard_sources(outputs, [job.shard])[job.shard],
        "train_bytes": train_bytes,
        "smallest": smallest,
        "code_points": points,
        "rows": rows,
        "places": places,
    }
    outputs.file(layout.survey(job.shard)).write_bytes(orjson.dumps(survey) + b"\n")
    outputs.count(train_bytes=train_bytes, code_points=len(points))


def new_code_points(
    offsets: NDArray[np.int64], data: NDArray[np.uint8], seen: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Code points above U+007F not in ``seen``, which is updated: each, its first document, and its byte in that.

    Args:
        offsets: int64 (N + 1,) into ``data``, from 0.
        data: Valid UTF-8.
        seen: One flag per code point.
    """
    points, places = (np.empty(min(len(data), CODE_POINTS), np.int64) for _ in range(2))
    count = unknown_code_points(data, seen.view(np.uint8), points, places)
    order = np.argsort(points[:count])
    order = order[points[order] > 0x7F]
    points, places = points[order], places[order]
    documents = np.searchsorted(offsets, places, side="right").astype(np.int64) - 1
    inside: NDArray[np.int64] = places - offsets[documents]
    return points, documents, inside


# --- all shards together


def merge(outputs: Outputs, shards: Sequence[str]) -> Survey:
    """The survey of the corpus, from those of its shards."""
    sources: dict[str, str] = {}
    train_bytes: dict[str, int] = {}
    smallest: dict[str, list[tuple[int, str, int]]] = {}
    for name, part in _parts(outputs, shards):
        source = sources[name] = part["source"]
        train_bytes[source] = train_bytes.get(source, 0) + part["train_bytes"]
        rows = [(number, name, row) for number, row in part["smallest"]]
        smallest[source] = sorted(smallest.get(source, []) + rows)[:PROOF_DOCUMENTS]
    proof: list[Sample] = []
    for name, wanted in _by_shard(smallest):
        proof += [
            Sample(sources[name], language, shortened(text, PROOF_BYTES))
            for text, language in _texts(outputs, name, wanted)
        ]
    return Survey(sources, train_bytes, [*proof, *_further(outputs, sources, proof)])


def _parts(outputs: Outputs, shards: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in shards:
        yield name, orjson.loads(outputs.run_path(layout.survey(name)).read_bytes())


def _by_shard(smallest: Mapping[str, list[tuple[int, str, int]]]) -> Iterator[tuple[str, list[int]]]:
    chosen: dict[str, list[int]] = {}
    for places in smallest.values():
        for _, name, row in places:
            chosen.setdefault(name, []).append(row)
    for name in sorted(chosen):
        yield name, sorted(chosen[name])


def _further(outputs: Outputs, sources: Mapping[str, str], proof: Sequence[Sample]) -> Iterator[Sample]:
    """What is proven for code points that the proof documents lack."""
    seen = np.zeros(CODE_POINTS, bool)
    offsets, data = text_buffers(pa.array([sample.text for sample in proof], pa.large_string()))
    new_code_points(offsets, data, seen)
    left = dict.fromkeys(sources.values(), CODE_POINT_DOCUMENTS // max(1, len(set(sources.values()))))
    for name, part in _parts(outputs, list(sources)):
        source = sources[name]
        points = np.array(part["code_points"], np.int64)
        fresh = ~seen[points]
        seen[points] = True
        rows, places = (np.array(part[column], np.int64)[fresh] for column in ("rows", "places"))
        chosen = np.unique(rows)[: left[source]].tolist()
        left[source] -= len(chosen)
        for row, (text, language) in zip(chosen, _texts(outputs, name, chosen), strict=True):
            for excerpt in excerpts(text, sorted(places[rows == row].tolist())):
                yield Sample(source, language, excerpt)


def excerpts(text: str, places: Sequence[int]) -> list[str]:
    """Parts of a text, at most ``PROOF_BYTES`` each, that hold the code points at these bytes; a short text whole."""
    raw = text.encode()
    if len(raw) <= PROOF_BYTES:
        return [text]
    found, end = [], 0
    for place in places:
        if place + 4 > end:
            start = max(0, place - LEAD_BYTES)
            end = start + PROOF_BYTES
            found.append(raw[start:end].decode(errors="ignore"))
    return found


def shortened(text: str, size: int) -> str:
    """The beginning of a text, at most ``size`` bytes of UTF-8."""
    if len(text) * 4 <= size or len(text.encode()) <= size:
        return text
    return text.encode()[:size].decode(errors="ignore")


def _texts(outputs: Outputs, name: str, rows: Sequence[int]) -> list[tuple[str, str]]:
    """Text, without what is cut out of it, and language of some rows of a shard, in order."""
    if not rows:
        return []
    table = read_rows(outputs.run_path(layout.documents(name)), DOCUMENTS, rows, ["text", "language"])
    cuts = read_cuts(outputs, name)
    spans = [None] * len(rows) if cuts is None else cuts.take(pa.array(rows)).to_pylist()
    texts = zip(table["text"].to_pylist(), spans, table["language"].to_pylist(), strict=True)
    return [(cut_text(text, cut) if cut else text, language or "unknown") for text, cut, language in texts]
