"""Token shards to and from other trainers' files.

Megatron: ``PREFIX.bin`` holds the ids one after the other; ``PREFIX.idx`` the magic ``MMIDIDX``, a version, the integer
type, and for each sequence its length and byte offset, then where documents begin.  Here a document is one sequence.
nanoGPT: one file of uint16 ids; documents are told apart only by the end-of-text token.

Layout of ``.idx``: Megatron-LM, ``megatron/core/datasets/indexed_dataset.py`` (Apache-2.0), read, not copied.
"""

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.base import storage
from pipeline.base.digests import digest
from pipeline.base.errors import FormatError, UserError
from pipeline.base.progress import each
from pipeline.run.table_files import TableWriter
from pipeline.run.tables import tokens_table
from pipeline.tokens.shards.token_shard import (
    MappedBatch,
    TokenFormat,
    common_format,
    map_batches,
    open_folder,
    write_documents,
)

MAGIC, VERSION = b"MMIDIDX\x00\x00", 1
_TYPES: dict[int, str] = {1: "<u1", 2: "<i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}
SHARD_TOKENS = 64 << 20  # an imported file is cut into shards of about this many tokens


def megatron_files(prefix: Path) -> tuple[Path, Path]:
    """The two files of ``PREFIX``: ids and index."""
    return _with_suffix(prefix, ".bin"), _with_suffix(prefix, ".idx")


def _batches(folder: Path) -> Iterator[MappedBatch]:
    for shard in each(open_folder(folder), "export", "shard"):
        yield from map_batches(shard.path)


def export_megatron(folder: Path, prefix: Path) -> dict[str, int]:
    """Writes ``PREFIX.bin`` and ``PREFIX.idx`` from a folder of token shards, in shard order.

    Returns:
        Documents and tokens written.
    """
    token_format = common_format(open_folder(folder))
    code = 8 if token_format.dtype == np.uint16 else 4  # Megatron has no uint32; every id fits int32
    lengths: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    binary, index = megatron_files(prefix)
    with _whole(binary, index) as (binary_begun, index_begun):
        with open(binary_begun, "wb") as file:
            for batch in _batches(folder):
                file.write(batch.tokens.astype(_TYPES[code], copy=False).tobytes())
                lengths.append(np.diff(batch.offsets))
        lengths_N = np.concatenate(lengths)
        _write_index(index_begun, code, lengths_N)
    return {"documents": len(lengths_N), "tokens": int(lengths_N.sum())}


@contextlib.contextmanager
def _whole(*paths: Path) -> Iterator[list[Path]]:
    """Files of one folder to write, which take the places of ``paths`` once all are written; else nothing is left."""
    for path in paths:
        if path.exists() and not path.is_file():  # such as /dev/null, whose place no file may take
            raise UserError(f"{path}: expected a file, or a name that is free; name another")
    with storage.made_for_something(paths[0].parent), contextlib.ExitStack() as files:
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        yield [files.enter_context(storage.whole_file(path)) for path in paths]


def _write_index(path: Path, code: int, lengths_N: NDArray[np.int64]) -> None:
    if len(lengths_N) and lengths_N.max() >= 2**31:
        raise UserError("a document of 2**31 tokens or more: Megatron's index holds lengths in 32 bits")
    ends = np.cumsum(lengths_N)
    with open(path, "wb") as file:
        file.write(MAGIC + struct.pack("<QBQQ", VERSION, code, len(lengths_N), len(lengths_N) + 1))
        file.write(lengths_N.astype("<i4").tobytes())
        file.write(((ends - lengths_N) * np.dtype(_TYPES[code]).itemsize).astype("<i8").tobytes())
        file.write(np.arange(len(lengths_N) + 1, dtype="<i8").tobytes())


def export_nanogpt(folder: Path, path: Path) -> dict[str, int]:
    """Writes one ``uint16`` file from a folder of token shards, in shard order.

    Raises:
        UserError: If the vocabulary does not fit 16 bits.
    """
    token_format = common_format(open_folder(folder))
    if token_format.dtype != np.uint16:
        raise UserError(
            f"{folder}: a vocabulary of {token_format.vocabulary_size:,} does not fit uint16; export to megatron"
        )
    documents = tokens = 0
    with _whole(path) as (begun,), open(begun, "wb") as file:
        for batch in _batches(folder):
            file.write(batch.tokens.tobytes())
            documents, tokens = documents + len(batch.doc_ids), tokens + len(batch.tokens)
    return {"documents": documents, "tokens": tokens}


def import_megatron(prefix: Path, folder: Path, token_format: TokenFormat, source: str) -> dict[str, int]:
    """Makes token shards in ``folder`` from ``PREFIX.bin`` and ``PREFIX.idx``.

    A document that does not end with the end-of-text token is given one.

    Raises:
        UserError: If one of them is missing.
        FormatError: If the two files are damaged or do not fit each other, or an id is beyond the vocabulary.
    """
    path, binary = (_existing(_with_suffix(prefix, suffix)) for suffix in (".idx", ".bin"))
    with open(path, "rb") as file:
        kind, lengths_N, documents = _read_index(file, path)
    if binary.stat().st_size % kind.itemsize:
        raise FormatError(f"{binary}: {binary.stat().st_size:,} bytes: not a sequence of {kind}, as its index says")
    tokens = np.memmap(binary, kind, "r") if binary.stat().st_size else np.empty(0, kind)
    if lengths_N.sum() != len(tokens):
        raise FormatError(f"{binary}: {len(tokens):,} tokens, its index says {int(lengths_N.sum()):,}")
    ends = np.concatenate([[0], np.cumsum(lengths_N)])
    return _import(tokens, ends[documents], folder, token_format, f"{source}/{prefix.name}", source)


def _read_index(file: BinaryIO, path: Path) -> tuple[np.dtype[Any], NDArray[np.int64], NDArray[np.int64]]:
    head = file.read(len(MAGIC) + 25)
    if len(head) < len(MAGIC) + 25 or not head.startswith(MAGIC):
        raise FormatError(f"{path}: not a Megatron index (it begins with {head[:9]!r}, not {MAGIC!r})")
    version, code, sequences, documents = struct.unpack("<QBQQ", head[len(MAGIC) :])
    if version != VERSION or code not in _TYPES:
        raise FormatError(f"{path}: Megatron index of version {version} with integer type {code}: not known")
    rest = file.read()
    if len(rest) < sequences * 12 + documents * 8:
        raise FormatError(f"{path}: truncated: {sequences:,} sequences and {documents:,} documents do not fit it")
    lengths = np.frombuffer(rest, "<i4", sequences).astype(np.int64)
    starts = np.frombuffer(rest, "<i8", documents, sequences * 12)
    if not (len(starts) and starts[0] == 0 and starts[-1] == sequences and (np.diff(starts) >= 0).all()):
        raise FormatError(f"{path}: damaged: its documents do not go from sequence 0 to {sequences:,} in order")
    return np.dtype(_TYPES[code]), lengths, starts


def import_nanogpt(path: Path, folder: Path, token_format: TokenFormat, source: str) -> dict[str, int]:
    """Makes token shards in ``folder`` from a ``uint16`` file; a document ends at each end-of-text token.

    Raises:
        UserError: If there is no such file.
        FormatError: If an id is beyond the vocabulary, or the file is no sequence of uint16.
    """
    if _existing(path).stat().st_size % 2:
        raise FormatError(f"{path}: {path.stat().st_size:,} bytes: not a sequence of uint16")
    tokens = np.memmap(path, "<u2", "r") if path.stat().st_size else np.empty(0, np.uint16)
    ends = np.flatnonzero(tokens == token_format.end_of_text) + 1
    starts = np.unique(np.concatenate([[0], ends, [len(tokens)]]))
    return _import(tokens, starts, folder, token_format, f"{source}/{path.name}", source)


def _import(
    tokens: NDArray[Any],
    starts: NDArray[np.int64],
    folder: Path,
    token_format: TokenFormat,
    identity: str,
    source: str,
) -> dict[str, int]:
    """Writes shards of whole documents; ``starts`` are their first tokens and the end of the last."""
    folder.mkdir(parents=True, exist_ok=True)
    if storage.list_files(str(folder), ".arrow"):
        raise UserError(f"{folder}: holds token shards already; give an empty folder")
    first, number, written = 0, 0, 0
    while first < len(starts) - 1 or number == 0:
        end = int(np.searchsorted(starts, starts[first] + SHARD_TOKENS, side="right")) - 1
        end = min(max(end, first + 1), len(starts) - 1)
        part = np.asarray(tokens[starts[first] : starts[end]])
        if len(part) and (int(part.max()) >= token_format.vocabulary_size or int(part.min()) < 0):
            raise FormatError(
                f"{identity}: ids from {int(part.min())} to {int(part.max())}, the tokenizer has "
                f"{token_format.vocabulary_size:,} entries: another tokenizer made this file"
            )
        flat, offsets = _ended(part, starts[first : end + 1] - starts[first], token_format)

        def tokens_of(first: int, end: int, flat: NDArray[Any] = flat, at: NDArray[np.int64] = offsets) -> NDArray[Any]:
            return flat[at[first] : at[end]]

        ids = b"".join(digest(f"{identity}\0{row}") for row in range(first, end))
        table = tokens_table(token_format.vocabulary_size)
        with TableWriter(folder / f"{number:05}.arrow", table, token_format.metadata(source)) as writer:
            write_documents(writer, tokens_of, offsets, np.frombuffer(ids, np.uint8).reshape(-1, 16))
        first, number, written = end, number + 1, written + len(flat)
    return {"documents": len(starts) - 1, "tokens": written, "shards": number}


def _ended(
    part: NDArray[Any], offsets: NDArray[np.int64], token_format: TokenFormat
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The documents with an end-of-text token after each that lacks one, in the shards' integer type."""
    lengths = np.diff(offsets)
    lasts = np.where(lengths > 0, offsets[1:] - 1, 0)
    ended = (lengths > 0) & (part[lasts] == token_format.end_of_text) if len(part) else np.zeros(len(lengths), bool)
    flat = np.insert(part.astype(token_format.dtype), offsets[1:][~ended], token_format.end_of_text)
    return flat, np.concatenate([[0], np.cumsum(lengths + ~ended)]).astype(np.int64)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{path}: no such file; --layout megatron reads PATH.idx and PATH.bin, nanogpt the file PATH")
    return path


def _with_suffix(prefix: Path, suffix: str) -> Path:
    """``PREFIX`` + suffix; the prefix may hold dots."""
    return prefix.with_name(prefix.name.removesuffix(".bin").removesuffix(".idx") + suffix)
