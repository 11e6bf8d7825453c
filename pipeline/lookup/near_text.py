"""Finds the document that has a given text, or the one nearest to it, from the signatures of a run."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.base import storage
from pipeline.base.digests import digest
from pipeline.base.errors import UserError
from pipeline.lookup.locate import DocIndex, Located
from pipeline.run import layout, ledger
from pipeline.run.folder import Run
from pipeline.run.rows import matching_rows, read_rows, shard_names
from pipeline.run.table_files import batches
from pipeline.run.tables import SIGNATURES


def nearest_text(run: Run, text: str) -> tuple[Located, float]:
    """The document whose text is ``text``, as it stands or normalised as clean does it; else the nearest one.

    Near is what the run's dedup index finds (``tokenmill dedup index build``), with the exact similarity.  Without one,
    or where it finds nothing, every signature of the run is compared; near means then that a band is equal, and the
    similarity is estimated.

    Returns:
        Where it stands, and the similarity (1.0: equal).

    Raises:
        UserError: If nothing is equal or near, or the run has no signatures.
    """
    from pipeline.clean.normalise import normalise

    shards = [name for name in shard_names(run) if storage.exists(run.url(layout.signatures(name)))]
    if not shards:
        raise UserError(f"{run.root}: no signatures to compare with; `tokenmill run --stages clean,dedup` makes them")
    normal = normalise([text], fix_mojibake=run.recipe.clean.fix_mojibake)[0][0]
    hashes = pa.array([digest(text), digest(normal)], pa.binary(16))
    for shard in shards:
        path = run.local(layout.signatures(shard))
        for row in matching_rows(path, SIGNATURES, "text_hash", hashes):
            return Located(read_rows(path, SIGNATURES, [row], ["doc_id"])["doc_id"][0].as_py(), shard, row), 1.0
    found = _in_index(run, normal) or _nearest(run, shards, normal)
    if found is None:
        raise UserError("no document of the run has this text, or one near to it")
    return found


def _in_index(run: Run, text: str) -> tuple[Located, float] | None:
    """The most similar document of this run that its dedup index knows; None without one."""
    from pipeline.dedup.index.query import query
    from pipeline.dedup.index.reader import open_index
    from pipeline.dedup.index.state import is_index, run_index

    place = run_index(run.root)
    if not is_index(place):
        return None
    gone = ledger.load(run.root).documents
    with open_index(place) as index:
        (matches,) = query(index, [text], run.recipe.dedup.threshold)
    match = next((match for match in matches if match.id not in gone), None)
    return None if match is None else (DocIndex(run).find(match.id), match.similarity)


def _nearest(run: Run, shards: list[str], text: str) -> tuple[Located, float] | None:
    from pipeline.dedup import signatures

    options = run.recipe.dedup
    wanted = signatures([text], options.ngram, options.bands * options.rows, options.seed)[0]
    best: tuple[Located, float] | None = None
    for shard in shards:
        first = 0
        for batch in batches(run.local(layout.signatures(shard)), SIGNATURES, ["doc_id", "num_shingles", "signature"]):
            flat = batch.column("signature").flatten().to_numpy()
            equal = flat.reshape(batch.num_rows, -1) == wanted
            bands = equal.reshape(batch.num_rows, options.bands, options.rows).all(axis=2).any(axis=1)
            bands &= batch.column("num_shingles").to_numpy() > 0
            shares = np.where(bands, equal.mean(axis=1), 0.0)
            row = int(shares.argmax()) if batch.num_rows else 0
            if batch.num_rows and shares[row] > (best[1] if best else 0.0):
                best = Located(batch.column("doc_id")[row].as_py(), shard, first + row), float(shares[row])
            first += batch.num_rows
    return best


def by_text(run: Run, path: Path) -> tuple[Located, float]:
    """The document whose text is that of a file, or else the one nearest to it.

    Returns:
        Where it stands, and the similarity, as ``nearest_text`` gives them.

    Raises:
        UserError: If the file cannot be read as UTF-8, or nothing is equal or near.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; name a file of text") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text: {error}") from error
    return nearest_text(run, text)
