"""``tokenmill bench dedup_accuracy``: what is found and what is removed, against brute force over all pairs.

Documents: the revisions below ``$TOKENMILL_BENCH_CORPUS``/revisions where there are any, and texts of the corpus with
one or two copies of each, words of them changed at random.  Truth: the exact Jaccard similarity of every pair that
shares a shingle, by a sparse matrix product.
"""

import os
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.bench import dedup_peers as peers
from pipeline.bench.corpus import corpus, texts_of
from pipeline.dedup.rule.cost import catch_chance

SEEDS = 20
BASES = 8_000  # texts that get edited copies
THRESHOLD = 0.8
LEAST = 0.5  # pairs below it are not looked at
EDGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
MAX_CHARACTERS = 8_000  # of a text: brute force over all pairs has to end
ROWS_AT_ONCE = 256
Ints = NDArray[np.int64]


def run() -> list[dict[str, Any]]:
    """Rows: recall by similarity against theory, then components and removed sets of ours and of the peers."""
    texts = documents()
    left, right, similarity = all_pairs(texts)
    rows = recall_rows(texts, left, right, similarity)
    truth = left[similarity >= THRESHOLD], right[similarity >= THRESHOLD]
    removed = greedy(len(texts), *truth, similarity[similarity >= THRESHOLD])
    components = components_of(len(texts), *truth)
    for who, (found_removed, found_components) in outcomes(texts).items():
        rows.append(
            {
                "what": "removed",
                "who": who,
                "documents": len(texts),
                "removed": int(found_removed.sum()),
                "removed_by_brute_force": int(removed.sum()),
                "f1": round(f1(found_removed, removed), 4),
                "removed_without_similar_kept": unjustified(found_removed, *truth),
                "adjusted_rand_index": round(adjusted_rand_index(found_components, components), 4),
            }
        )
    return rows


def documents() -> list[str]:
    """The texts, in an order that mixes originals and copies."""
    generator = np.random.default_rng(7)
    folder = Path(os.environ.get("TOKENMILL_BENCH_CORPUS", ".")) / "revisions" / "documents"
    texts = [text[:MAX_CHARACTERS] for text in texts_of(sorted(folder.glob("*.jsonl.gz")))]
    bases = [text[:MAX_CHARACTERS] for text in texts_of(corpus("text", "*.jsonl.gz"))]
    for number in generator.permutation(len(bases))[:BASES].tolist():
        texts.append(bases[number])
        texts += [_edited(bases[number], generator) for _ in range(int(generator.integers(1, 3)))]
    return [texts[number] for number in generator.permutation(len(texts))]


def _edited(text: str, generator: np.random.Generator) -> str:
    """A copy with a share of its words replaced; a share of 0 to 8 % gives similarities of 1 to about 0.5."""
    words = text.split(" ")
    share = generator.uniform(0, 0.08)
    for place in np.flatnonzero(generator.random(len(words)) < share).tolist():
        words[place] = f"edit{generator.integers(1 << 30)}"
    return " ".join(words)


def all_pairs(texts: list[str]) -> tuple[Ints, Ints, NDArray[np.float64]]:
    """Every pair of similarity ``LEAST`` or more: first, second (larger), exact similarity."""
    from scipy.sparse import csr_matrix

    from pipeline.dedup.rule.signing import Signer

    sets = Signer(peers.NGRAM, 1).hash(texts)
    _, columns = np.unique(sets.hashes, return_inverse=True)
    shape = (len(texts), int(columns.max()) + 1)
    matrix = csr_matrix((np.ones(len(columns), np.int32), columns, sets.offsets), shape=shape)
    transposed, sizes = matrix.T.tocsr(), np.diff(sets.offsets)
    found: list[tuple[Ints, Ints, NDArray[np.float64]]] = []
    for start in range(0, len(texts), ROWS_AT_ONCE):
        product = (matrix[start : start + ROWS_AT_ONCE] @ transposed).tocoo()
        left, right, common = product.row + start, product.col, product.data
        similarity = common / (sizes[left] + sizes[right] - common)
        wanted = (left < right) & (similarity >= LEAST)
        found.append((left[wanted], right[wanted], similarity[wanted]))
    left, right, similarity = (np.concatenate(column) for column in zip(*found, strict=True))
    return left.astype(np.int64), right.astype(np.int64), similarity


def recall_rows(texts: list[str], left: Ints, right: Ints, similarity: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Share of true pairs that are candidates, over ``SEEDS`` seeds, by similarity."""
    from pipeline.dedup.rule.signing import Signer, band_keys

    array = pa.array(texts, pa.large_string())
    caught = np.zeros((SEEDS, len(left)), bool)
    for seed in range(SEEDS):
        keys_BN = band_keys(Signer(peers.NGRAM, peers.PERMUTATIONS, seed + 1).sign(array), peers.BANDS)
        for band in range(peers.BANDS):
            caught[seed] |= keys_BN[band, left] == keys_BN[band, right]
    chances = np.array([catch_chance(s, peers.BANDS, peers.ROWS) for s in similarity])
    rows = []
    for low, high in pairwise(EDGES):
        inside = (similarity >= low) & ((similarity < high) | (high == 1.0))
        recalls = caught[:, inside].mean(axis=1)
        error = recalls.std(ddof=1) / SEEDS**0.5
        expected = float(chances[inside].mean())
        rows.append(
            {
                "what": "recall",
                "similarity": f"{low:g} to {high:g}",
                "pairs": int(inside.sum()),
                "seeds": SEEDS,
                "recall": round(float(recalls.mean()), 5),
                "theory": round(expected, 5),
                "standard_errors": round(float((recalls.mean() - expected) / error), 2) if error else 0.0,
                "relative_difference": round(float(recalls.mean()) / expected - 1, 5),
            }
        )
    return rows


def outcomes(texts: list[str]) -> dict[str, tuple[NDArray[np.bool_], Ints]]:
    """Removed mask and component of each document, by who."""
    found = {
        "tokenmill": _ours(texts, verify=True),
        "tokenmill --no-verify": _ours(texts, verify=False),
        "datasketch MinHashLSH": _datasketch(texts),
        "rensa": _rensa(texts),
    }
    if peers.text_dedup_python():
        found["text-dedup minhash"] = _text_dedup(texts)
    return found


def _ours(texts: list[str], *, verify: bool) -> tuple[NDArray[np.bool_], Ints]:
    from pipeline.dedup.command.request import Request
    from pipeline.dedup.command.run import run as run_command
    from pipeline.recipe.options import Dedup
    from pipeline.run.table_files import read_table
    from pipeline.run.tables import KEPT_CLUSTERS, REMOVED

    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as name:
        path, output = Path(name) / "in.jsonl", Path(name) / "out"
        _write(path, texts)
        run_command(Request(inputs=(str(path),), output=output, options=Dedup(keep="first"), verify=verify))
        rows = read_table(output / "removed.arrow", REMOVED)
        kept = read_table(output / "clusters.arrow", KEPT_CLUSTERS)
        removed, components = np.zeros(len(texts), bool), np.arange(len(texts))
        removed[rows["row"].to_numpy()] = True
        for table in (rows, kept):
            components[table["row"].to_numpy()] = np.array(table["cluster_id"].to_pylist(), np.int64)
    return removed, components


def _write(path: Path, texts: Sequence[str]) -> None:
    path.write_bytes(b"".join(orjson.dumps({"id": str(n), "text": t}) + b"\n" for n, t in enumerate(texts)))


def _text_dedup(texts: list[str]) -> tuple[NDArray[np.bool_], Ints]:
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as name:
        path = Path(name) / "in.jsonl"
        _write(path, texts)
        components = np.array(peers.text_dedup_clusters(path, Path(name) / "out"), np.int64)
    return components != np.arange(len(texts)), components


def _datasketch(texts: list[str]) -> tuple[NDArray[np.bool_], Ints]:
    import datasketch

    lsh = datasketch.MinHashLSH(params=(peers.BANDS, peers.ROWS), num_perm=peers.PERMUTATIONS)
    pairs: list[tuple[int, int]] = []
    removed = np.zeros(len(texts), bool)
    for number, values in enumerate(peers.datasketch_signatures(texts)):
        sketch = datasketch.LeanMinHash(seed=peers.SEED, hashvalues=values, scheme="affine32")
        similar = lsh.query(sketch)
        pairs += [(int(other), number) for other in similar]
        removed[number] = any(not removed[int(other)] for other in similar)
        lsh.insert(number, sketch)
    left, right = np.array(pairs, np.int64).reshape(-1, 2).T
    return removed, components_of(len(texts), left, right)


def _rensa(texts: list[str]) -> tuple[NDArray[np.bool_], Ints]:
    import rensa

    sketches = rensa.RMinHash.from_token_sets(peers.token_sets(texts), peers.PERMUTATIONS, peers.SEED)
    found = rensa.RMinHashDeduplicator(
        threshold=THRESHOLD, num_perm=peers.PERMUTATIONS, use_lsh=True, num_bands=peers.BANDS, seed=peers.SEED
    )
    added = found.add_pairs([(str(number), sketch) for number, sketch in enumerate(sketches)])
    lsh = rensa.RMinHashLSH(threshold=THRESHOLD, num_perm=peers.PERMUTATIONS, num_bands=peers.BANDS)
    lsh.insert_many(sketches)
    pairs = [(number, other) for number, others in enumerate(lsh.query_all(sketches)) for other in others]
    left, right = np.array(pairs, np.int64).reshape(-1, 2).T
    return ~np.array(added, bool), components_of(len(texts), left, right)


# --- measures


def greedy(count: int, left: Ints, right: Ints, similarity: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The rule over all true pairs, first record first: removed where a kept one is similar."""
    earlier: list[list[int]] = [[] for _ in range(count)]
    for a, b in zip(left.tolist(), right.tolist(), strict=True):
        earlier[b].append(a)
    removed = np.zeros(count, bool)
    for number in range(count):
        removed[number] = any(not removed[other] for other in earlier[number])
    return removed


def components_of(count: int, left: Ints, right: Ints) -> Ints:
    """Connected component of each document."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    matrix = coo_matrix((np.ones(len(left), bool), (left, right)), shape=(count, count))
    return np.asarray(connected_components(matrix, directed=False)[1], np.int64)


def f1(found: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> float:
    """Harmonic mean of precision and recall of a set of documents."""
    return float(2 * (found & wanted).sum() / max(1, found.sum() + wanted.sum()))


def unjustified(removed: NDArray[np.bool_], left: Ints, right: Ints) -> int:
    """Removed documents to which no kept one is similar: text that is lost."""
    justified = np.zeros(len(removed), bool)
    justified[left[removed[left] & ~removed[right]]] = True
    justified[right[removed[right] & ~removed[left]]] = True
    return int((removed & ~justified).sum())


def adjusted_rand_index(one: Ints, two: Ints) -> float:
    """Agreement of two partitions, 1 where they are equal, about 0 by chance (Hubert and Arabie, 1985)."""

    def pairs_of(counts: Ints) -> float:
        return float((counts * (counts - 1) // 2).sum())

    _, both = np.unique(one * (int(two.max()) + 1) + two, return_counts=True)
    first = pairs_of(np.unique(one, return_counts=True)[1])
    second = pairs_of(np.unique(two, return_counts=True)[1])
    total = len(one) * (len(one) - 1) / 2
    expected = first * second / total
    return (pairs_of(both) - expected) / ((first + second) / 2 - expected)
