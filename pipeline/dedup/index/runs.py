"""Run folders as earlier corpora: their kept documents, the index built of them, and what ``[dedup] against`` opens."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.dedup.index.state import RECORD, Corpus, is_index, load_state, run_index
from pipeline.recipe.minhash import MinHash
from pipeline.recipe.stage_names import SELECTION
from pipeline.run import layout
from pipeline.run import manifest as manifests
from pipeline.run.folder import Run
from pipeline.run.manifest import Manifest, canonical_json, digest_bytes
from pipeline.run.table_files import batches
from pipeline.run.tables import DOCUMENTS

if TYPE_CHECKING:
    from pipeline.dedup.index.reader import Index


def is_run(root: str) -> bool:
    """True where a run folder stands at ``root``."""
    return storage.exists(storage.join(root, layout.RECIPE))


def absolute(root: str) -> str:
    """The run folder's path as an index records it."""
    return os.path.abspath(storage.local_path(root)) if storage.is_local(root) else root.rstrip("/")


def run_corpus(root: str) -> Corpus:
    """A run as a corpus: named by its folder."""
    place = absolute(root)
    return Corpus(place.rsplit("/", 1)[-1], place, state=run_state(root))


def run_state(root: str) -> str:
    """Digest of what a run has kept: its documents and the verdicts of its curation stages.

    Raises:
        UserError: If there is no run, or one of its curation stages is not done.
    """
    clean, judged = _manifests(Run.open(root))
    documents = [made.digests(layout.DOCUMENTS) for made in clean.values()]
    verdicts = [made.digests(layout.VERDICTS) for found in judged.values() for made in found.values()]
    return digest_bytes(canonical_json([documents, verdicts]).encode())


def _manifests(run: Run) -> tuple[dict[str, Manifest], dict[str, dict[str, Manifest]]]:
    """Manifests of clean, and of each stage that judges documents."""
    clean = manifests.load_manifests(run.root, "clean")
    shards = {Path(path).stem for made in clean.values() for path in made.digests(layout.DOCUMENTS)}
    judged: dict[str, dict[str, Manifest]] = {
        stage: manifests.load_manifests(run.root, stage) for stage in run.recipe.stages if stage in SELECTION
    }
    for stage, found in {"clean": clean, **judged}.items():
        if not found or (stage != "clean" and set(found) != shards):
            raise UserError(f"{run.root}: its stage {stage} is not done, so what it keeps is not known; run it first")
    return clean, judged


def run_batches(root: str) -> Iterator[tuple[list[str], pa.Array]]:
    """doc_ids in hex and texts of the documents that every curation stage of a run keeps, in document order."""
    from pipeline.run.tables.alive import kept_by

    run = Run.open(root)
    clean, judged = _manifests(run)
    for path in sorted(path for made in clean.values() for path in made.digests(layout.DOCUMENTS)):
        alive = [kept_by(run.local(layout.verdicts_beside(path, stage))) for stage in judged]
        first = 0
        for batch in batches(run.local(path), DOCUMENTS, ["doc_id", "text"]):
            mask = np.ones(batch.num_rows, bool)
            for keep in alive:
                mask &= keep[first : first + batch.num_rows]
            first += batch.num_rows
            kept = batch.filter(pa.array(mask))
            yield [doc_id.hex() for doc_id in kept.column("doc_id").to_pylist()], kept.column("text")


def build_run_index(root: str) -> Path:
    """Builds ``RUN/index/dedup`` of a run whose curation stages are done, unless it stands there and is up to date.

    Later runs that name this one in ``[dedup] against`` then read the index instead of every document.  A takedown
    removes documents from it too.  It is then behind its run, whose files have changed, and later runs read the run's
    documents again until it is rebuilt.

    Raises:
        UserError: If the run is not that far, or lies in an object store.
        RunError: If the index cannot be written, or another process is working on the run.
    """
    from pipeline.dedup.index.writer import Batch, build_index

    run, folder = Run.open(root), storage.local_path(run_index(root))
    corpus, definition = run_corpus(root), run.recipe.dedup.minhash
    if _fresh_index(root, definition, str(corpus.state)) is not None:
        return folder
    with run.lock():
        (folder / RECORD).unlink(missing_ok=True)  # first: what is half removed is no index
        if folder.exists():
            shutil.rmtree(folder)
        build_index(folder, definition, [(corpus, (Batch(*batch) for batch in run_batches(root)))])
    return folder


def fresh_index(root: str, definition: MinHash) -> str | None:
    """The index of a run folder, where it has this definition and holds what the run keeps now."""
    return _fresh_index(root, definition, run_state(root)) if is_index(run_index(root)) else None


def _fresh_index(root: str, definition: MinHash, state: str) -> str | None:
    """The index of a run folder, where it has this definition and holds what the run keeps now."""
    folder = run_index(root)
    if not is_index(folder):
        return None
    try:
        found = load_state(storage.local_path(folder), definition)
    except UserError:  # another definition
        return None
    return folder if [corpus.state for corpus in found.corpora] == [state] else None


def against_digest(place: str, definition: MinHash, own_root: str | None = None) -> str:
    """Digest of what is deduplicated against: an index, without the run's own documents, or an earlier run.

    Raises:
        UserError: If ``place`` is neither, an index of another definition, a run that is not finished, or the run.
    """
    own = absolute(own_root) if own_root is not None else None
    if is_run(place):
        if own is not None and absolute(place) == own:
            raise UserError(f"against: {place} is this run itself")
        return run_state(place)
    if not is_index(place):
        raise UserError(f"against: {place} is neither a dedup index (index.json) nor a run folder ({layout.RECIPE})")
    state = load_state(storage.local_path(place), definition)
    others = sorted((c.name, c.documents, c.digest) for c in state.corpora if own is None or c.root != own)
    return digest_bytes(canonical_json(others).encode())


@contextmanager
def opened_against(places: Sequence[str], definition: MinHash, scratch: Path) -> Iterator[list["Index"]]:
    """The indexes of what a batch is deduplicated against.

    Args:
        places: Indexes and run folders.
        definition: What similarity means for the batch.
        scratch: Folder for the indexes of runs that have none.
    """
    with ExitStack() as held:
        yield [
            held.enter_context(_open_against(place, definition, scratch / f"against-{number}"))
            for number, place in enumerate(places)
        ]


def _open_against(place: str, definition: MinHash, scratch: Path) -> "Index":
    """Opens an entry of ``[dedup] against``; of a run without an up-to-date index one is built in ``scratch``."""
    from pipeline.dedup.index.reader import Index
    from pipeline.dedup.index.writer import Batch, build_index

    if not is_run(place):
        return Index(place, definition)
    corpus = run_corpus(place)
    folder = _fresh_index(place, definition, str(corpus.state))
    if folder is None:
        folder = str(scratch)
        build_index(folder, definition, [(corpus, (Batch(*batch) for batch in run_batches(place)))])
    return Index(folder, definition)
