"""``index.json``: what a dedup index is made of, and by which definition of similarity.

It is the only file of an index that changes, and it is replaced in one step: an index is as it was, or as it is now.
Every other file has a name of its own and stays as it was written; what ``index.json`` does not name does not belong
to the index, and the next writer removes it.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.base import storage
from pipeline.base.errors import FormatError, RunError, UserError, in_a_sentence, parse_json
from pipeline.base.locks import file_lock
from pipeline.base.storage import fsync_path
from pipeline.dedup.index.blocks import FileEntry
from pipeline.dedup.rule.definition import shingle_hash64, shingles
from pipeline.recipe.minhash import SCHEME, MinHash
from pipeline.run import layout
from pipeline.run.manifest import canonical_json, digest_bytes

RECORD = "index.json"
KIND, FORMAT = "tokenmill dedup index", 1
BAND_KEYS = "band-keys-1"  # pipeline/kernels/verify.py:band_keys
PROBE = "Don't PANIC: Straße 42, naïve cafés; 東京タワー ภาษาไทย और हिन्दी, Ünïcödé words on end"


def described(minhash: MinHash) -> dict[str, Any]:
    """A definition as it stands in ``index.json``: its numbers, and what this version of tokenmill makes of them."""
    from pipeline.kernels.unicode_tables import unicode_tables

    hashes = b"".join(shingle_hash64(piece.encode()).to_bytes(8, "little") for piece in shingles(PROBE, minhash.ngram))
    return {
        "scheme": SCHEME,
        "seed": minhash.seed,
        "permutations": minhash.permutations,
        "bands": minhash.bands,
        "rows": minhash.rows,
        "ngram": minhash.ngram,
        "unicode": unicode_tables().unicode_version,
        "shingles": digest_bytes(hashes),
        "band_keys": BAND_KEYS,
    }


@dataclass(frozen=True)
class Corpus:
    """Where documents of an index came from.

    Attributes:
        name: Its name in matches and evidence.
        root: The run folder, where it is a run; its documents' ids are then doc_ids in hex.
        documents: Documents in the index.
        digest: Sum over its documents of a hash of id and text: the same content gives the same digest, in any order.
        state: Digest of what a run kept when it was entered (``run_state``).
    """

    name: str
    root: str | None = None
    documents: int = 0
    digest: str = "0" * 32
    state: str | None = None


@dataclass(frozen=True)
class SegmentEntry:
    """A segment: its file, its documents, and the files of their shingle sets by number."""

    file: FileEntry
    documents: int
    sets: dict[int, FileEntry] = field(default_factory=dict)

    def files(self) -> Iterator[FileEntry]:
        """Every file of the segment."""
        yield self.file
        yield from self.sets.values()


@dataclass(frozen=True)
class State:
    """The loaded ``index.json``; ``number`` is the next free number of a file."""

    definition: MinHash
    number: int = 1
    corpora: tuple[Corpus, ...] = ()
    segments: tuple[SegmentEntry, ...] = ()

    @property
    def documents(self) -> int:
        """Documents in the index."""
        return sum(segment.documents for segment in self.segments)

    def to_bytes(self) -> bytes:
        """The file."""
        segments = [
            {
                "file": asdict(segment.file),
                "documents": segment.documents,
                "sets": {str(number): asdict(entry) for number, entry in segment.sets.items()},
            }
            for segment in self.segments
        ]
        return canonical_json(
            {
                "kind": KIND,
                "format": FORMAT,
                "definition": described(self.definition),
                "number": self.number,
                "corpora": [asdict(corpus) for corpus in self.corpora],
                "segments": segments,
            }
        ).encode()


def index_folder(root: str | Path) -> Path:
    """The path of an index folder.

    Raises:
        UserError: If it is a URL of an object store: an index is mapped, so it lies on a disk.
    """
    if not storage.is_local(str(root)):
        raise UserError(f"{root}: a dedup index is memory-mapped and lies in a local folder")
    return storage.local_path(str(root))


def is_index(root: str | Path) -> bool:
    """True where a dedup index stands at ``root``."""
    return storage.is_local(str(root)) and storage.exists(storage.join(str(root), RECORD))


def run_index(run_root: str) -> str:
    """Where the dedup index of a run folder stands, if one was built: ``RUN/index/dedup``."""
    return storage.join(run_root, layout.DEDUP_INDEX)


def load_state(root: Path, wanted: MinHash | None = None) -> State:
    """Reads ``index.json``.

    Args:
        root: The index folder.
        wanted: The definition that the index must have; None takes what it has.

    Raises:
        UserError: If there is no index, or it has another definition: both are named.
        FormatError: If the file is damaged or of another format.
    """
    path = root / RECORD
    try:
        values = parse_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            f"{root}: not a dedup index (no {RECORD}); `tokenmill dedup index build {root} INPUT` makes one"
        ) from error
    except ValueError as error:
        raise FormatError(f"{path}: damaged ({error}); bring it back from a copy, or build the index again") from error
    if not isinstance(values, dict) or values.get("kind") != KIND:
        raise FormatError(f"{path}: not the record of a dedup index")
    if values.get("format") != FORMAT:
        raise FormatError(
            f"{path}: format {values.get('format')}; this tokenmill reads format {FORMAT}: use the tokenmill that "
            "wrote it, or build the index again"
        )
    try:
        state = _state(values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"{path}: damaged ({error!r}); bring it back from a copy") from error
    _check_definition(root, values["definition"], wanted or state.definition)
    return state


def _state(values: Mapping[str, Any]) -> State:
    segments = [
        SegmentEntry(
            FileEntry(**segment["file"]),
            int(segment["documents"]),
            {int(number): FileEntry(**entry) for number, entry in segment["sets"].items()},
        )
        for segment in values["segments"]
    ]
    options = {name: int(values["definition"][name]) for name in ("ngram", "bands", "rows", "seed")}
    corpora = tuple(Corpus(**corpus) for corpus in values["corpora"])
    return State(MinHash(**options), int(values["number"]), corpora, tuple(segments))


def _check_definition(root: Path, found: Mapping[str, Any], wanted: MinHash) -> None:
    ours = described(wanted)
    names = [name for name in ours if found.get(name) != ours[name]]
    if names:
        listed = "; ".join(f"{name}: the index has {found.get(name)!r}, asked for is {ours[name]!r}" for name in names)
        raise UserError(
            f"{root}: the index has another definition of similarity, so nothing in it can be compared ({listed}); "
            "give the values of the index, or build another one"
        )


def publish_state(root: Path, state: State) -> None:
    """Replaces ``index.json`` in one step, after every file that it names is on the disk."""
    for folder in ("segments", "sets"):
        if (root / folder).is_dir():
            fsync_path(root / folder)
    partial = root / f".{RECORD}"
    partial.write_bytes(state.to_bytes())
    storage.publish(partial, str(root / RECORD))


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Holds the index for this process; afterwards no file is left that ``index.json`` does not name.

    Raises:
        RunError: If another process holds it, naming that process; or the disk is full or cannot be written.
    """
    record, before = str(root / RECORD), b""
    try:
        with file_lock(root / ".lock"):
            before = storage.read_if_there(record) or b""
            clear_leftovers(root)
            try:
                yield
            finally:
                clear_leftovers(root)
    except BlockingIOError as error:
        raise RunError(f"{root}: another process is writing to this index: {error}; wait for it or end it") from error
    except OSError as error:
        same = (storage.read_if_there(record) or b"") == before
        state = "it is as it was before" if same else "it is as was asked for; `tokenmill dedup index verify` reads it"
        raise RunError(f"{root}: cannot write to the index: {in_a_sentence(error, str(root))}; {state}") from error


def clear_leftovers(root: Path) -> None:
    """Removes files that a killed or failed writer left.  Call it only while holding the index."""
    known: set[str] = set()
    if storage.exists(str(root / RECORD)):
        known = {entry.name for segment in load_state(root).segments for entry in segment.files()}
    for folder in ("segments", "sets"):
        for path in (root / folder).iterdir() if (root / folder).is_dir() else ():
            if f"{folder}/{path.name}" not in known:
                path.unlink()
    (root / f".{RECORD}").unlink(missing_ok=True)
    storage.clear_scratch(str(root))


def add_up(corpora: Iterable[Corpus], number: int, documents: int, digest: tuple[int, int]) -> tuple[Corpus, ...]:
    """``corpora`` with documents, and the sums of their hashes, added to one of them; negative: taken off."""
    changed = list(corpora)
    old = changed[number]
    high, low = (int(old.digest[half], 16) for half in (slice(16), slice(16, 32)))
    high, low = (high + digest[0]) % (1 << 64), (low + digest[1]) % (1 << 64)
    changed[number] = replace(old, documents=old.documents + documents, digest=f"{high:016x}{low:016x}")
    return tuple(changed)
