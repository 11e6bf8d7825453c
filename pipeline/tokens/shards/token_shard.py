"""Token shards: how one is written, and how it is mapped without a copy.

A shard is a ``tokens`` table of one source.  Its schema metadata names the source, the tokenizer's digest, the size of
its vocabulary and the tokens that end, and may begin, a document; shards of two tokenizers, or of two vocabularies, are
never read together.

Because the values are not compressed, a record batch of a mapped file *is* three numpy arrays: the flat tokens, the
offsets of the documents in them, and the doc_ids.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base import storage
from pipeline.base.arrow import doc_id_column
from pipeline.base.errors import FormatError, UserError
from pipeline.run.table_files import TableWriter, as_damage, open_table
from pipeline.run.tables import TOKENS, tokens_table
from pipeline.tokens.shards.arrow_file import ArrowFile

SOURCE_KEY = "tokenmill.source"
TOKENIZER_KEY = "tokenmill.tokenizer"
VOCABULARY_KEY = "tokenmill.vocabulary_size"
END_OF_TEXT_KEY = "tokenmill.end_of_text"
BEGIN_OF_TEXT_KEY = "tokenmill.begin_of_text"  # only where documents begin with such a token
WITHDRAWN_KEY = "tokenmill.withdrawn"  # rows whose document was taken down: end-of-text in its place, never scored
WAS_KEY = "tokenmill.before_takedown"  # digest of that shard's file before anything of it was taken down
TOKEN_BUFFERS = 6  # of a record batch: validity and values of doc_id; validity, offsets, validity, values of tokens
BATCH_TOKENS = 4 << 20  # a record batch closes at this many tokens, or at 65,536 documents: a format constant
REBUILD = "`tokenmill verify RUN --delete` removes what is damaged and `tokenmill run` makes it again"


@dataclass(frozen=True)
class TokenFormat:
    """What every shard of a data set shares: the tokenizer that gave its ids."""

    tokenizer: str  # digest of tokenizer.json
    vocabulary_size: int
    end_of_text: int
    begin_of_text: int | None = None  # None: documents begin with their text

    def metadata(self, source: str) -> dict[str, str]:
        """The schema metadata of a shard of ``source``."""
        found = {
            SOURCE_KEY: source,
            TOKENIZER_KEY: self.tokenizer,
            VOCABULARY_KEY: str(self.vocabulary_size),
            END_OF_TEXT_KEY: str(self.end_of_text),
        }
        return found if self.begin_of_text is None else {**found, BEGIN_OF_TEXT_KEY: str(self.begin_of_text)}

    @property
    def dtype(self) -> np.dtype[Any]:
        """The integer type of the ids: uint16 for at most 65,536 entries, else uint32."""
        return np.dtype(np.uint16 if self.vocabulary_size <= 65_536 else np.uint32)


@dataclass(frozen=True)
class MappedBatch:
    """One record batch as numpy arrays over the mapped file; read-only, no copy.

    Document d holds ``tokens[offsets[d]:offsets[d + 1]]``.
    """

    tokens: NDArray[Any]  # uint16 or uint32, (num_tokens,)
    offsets: NDArray[np.int64]  # (num_documents + 1,), from 0
    doc_ids: NDArray[np.uint8]  # (num_documents, 16)


@dataclass(frozen=True)
class TokenShard:
    """What is known of a shard without reading its tokens."""

    path: Path
    source: str
    format: TokenFormat
    batch_tokens: tuple[int, ...]
    batch_documents: tuple[int, ...]
    withdrawn: tuple[int, ...] = ()  # rows of documents that were taken down, sorted

    @property
    def tokens(self) -> int:
        """Tokens of the shard."""
        return sum(self.batch_tokens)

    @property
    def documents(self) -> int:
        """Documents of the shard."""
        return sum(self.batch_documents)


def write_documents(
    writer: TableWriter,
    tokens_of: Callable[[int, int], NDArray[Any]],
    offsets: NDArray[np.int64],
    doc_ids: NDArray[np.uint8],
) -> list[tuple[int, int]]:
    """Writes documents to a token shard, in batches that close by the format's rule.

    Args:
        writer: Writer of a ``tokens_table``.
        tokens_of: From first and end: flat ids of these documents, of the table's integer type.
        offsets: Where each document starts in all their tokens, and the end of the last; int64 (N + 1,).
        doc_ids: uint8 (N, 16).

    Returns:
        Documents and tokens of each record batch.
    """
    first, written = 0, []
    while first < len(doc_ids):
        by_tokens = int(np.searchsorted(offsets, offsets[first] + BATCH_TOKENS, side="left"))
        end = min(max(by_tokens, first + 1), first + 65_536, len(doc_ids))
        values = pa.array(tokens_of(first, end))
        starts = pa.array(offsets[first : end + 1] - offsets[first])
        # cast to the field's type: from_arrays names its child "item" and allows null, as the schema does
        tokens = pa.LargeListArray.from_arrays(starts, values)
        writer.write(pa.record_batch([doc_id_column(doc_ids[first:end]), tokens], schema=writer.schema))
        written.append((end - first, len(values)))
        first = end
    return written


def write_token_shard(
    path: Path, token_format: TokenFormat, source: str, documents: Iterable[tuple[bytes, Any]]
) -> None:
    """Writes a whole small shard from (doc_id, token ids) pairs: imports and tests; the stage writes arrays."""
    pairs = list(documents)
    lengths = [len(ids) for _, ids in pairs]
    flat = np.concatenate(
        [np.empty(0, token_format.dtype), *(np.asarray(i, dtype=token_format.dtype) for _, i in pairs)]
    )
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    doc_ids = np.frombuffer(b"".join(doc_id for doc_id, _ in pairs), np.uint8).reshape(-1, 16)
    table = tokens_table(token_format.vocabulary_size)
    with TableWriter(path, table, token_format.metadata(source)) as writer:
        write_documents(writer, lambda first, end: flat[offsets[first] : offsets[end]], offsets, doc_ids)


def map_batches(path: Path) -> list[MappedBatch]:
    """All record batches of a shard as arrays over the mapped file.

    Raises:
        FormatError: If the file is damaged or is no token shard; the message names it and the command that rebuilds it.
    """
    return list(ShardBatches(path))


class ShardBatches(Sequence[MappedBatch]):
    """The record batches of a shard, each looked at when it is first asked for.

    Args:
        path: The shard.
        sparse: Little of it will be read: nothing is read ahead.

    Raises:
        FormatError: As ``map_batches``; of a single batch when that one is asked for.
    """

    def __init__(self, path: Path, *, sparse: bool = False) -> None:
        self._path = path
        with as_damage(path, "a token shard"):
            self._width = 2 if open_table(path, TOKENS).schema.field("tokens").type.value_type == pa.uint16() else 4
            self._file = ArrowFile(path, sparse=sparse)
        self._made: dict[int, MappedBatch] = {}

    def __len__(self) -> int:
        return len(self._file)

    @overload
    def __getitem__(self, number: int) -> MappedBatch: ...

    @overload
    def __getitem__(self, number: slice) -> list[MappedBatch]: ...

    def __getitem__(self, number: int | slice) -> MappedBatch | list[MappedBatch]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(number)
        if number not in self._made:
            self._made[number] = self._map(number)
        return self._made[number]

    def _map(self, number: int) -> MappedBatch:
        place, data = self._file.batch(number), self._file.data
        if len(place.buffers) != TOKEN_BUFFERS:
            raise FormatError(f"{self._path}: damaged token shard: {len(place.buffers)} buffers; {REBUILD}")
        _, ids, _, offsets, _, values = place.buffers
        if ids[1] < place.rows * 16 or offsets[1] < (place.rows + 1) * 8:
            raise _unfit(self._path)
        ends = np.frombuffer(data, np.int64, place.rows + 1, offsets[0])
        end = int(ends[-1])
        if ends[0] != 0 or end < 0 or end * self._width > values[1]:
            raise _unfit(self._path)
        flat = np.frombuffer(data, f"<u{self._width}", end, values[0])
        return MappedBatch(flat, ends, np.frombuffer(data, np.uint8, place.rows * 16, ids[0]).reshape(-1, 16))


def _unfit(path: Path) -> FormatError:
    return FormatError(f"{path}: damaged token shard: its offsets do not fit its tokens; {REBUILD}")


def open_shard(path: Path) -> TokenShard:
    """What a shard says of itself, without reading its tokens.

    Raises:
        FormatError: If the file is damaged, truncated, or no token shard.
    """
    schema = open_table(path, TOKENS).schema
    metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    try:
        begin = metadata.get(BEGIN_OF_TEXT_KEY)
        token_format = TokenFormat(
            metadata[TOKENIZER_KEY],
            int(metadata[VOCABULARY_KEY]),
            int(metadata[END_OF_TEXT_KEY]),
            None if begin is None else int(begin),
        )
        source = metadata[SOURCE_KEY]
    except KeyError as error:
        raise FormatError(f"{path}: a token shard without {error} in its schema metadata; {REBUILD}") from error
    expected = tokens_table(token_format.vocabulary_size).schema.field("tokens").type
    if schema.field("tokens").type != expected:
        raise FormatError(
            f"{path}: tokens are {schema.field('tokens').type}, its vocabulary asks for {expected}; {REBUILD}"
        )
    mapped = ShardBatches(path, sparse=True)  # the ends of the offsets alone: not a page of tokens
    tokens, documents = tuple(len(b.tokens) for b in mapped), tuple(len(b.doc_ids) for b in mapped)
    return TokenShard(path, source, token_format, tokens, documents, withdrawn_rows(metadata))


def withdrawn_rows(metadata: Mapping[str, str]) -> tuple[int, ...]:
    """Rows of a shard, by its schema metadata, whose document was taken down (pipeline/takedown)."""
    text = metadata.get(WITHDRAWN_KEY, "")
    return tuple(int(row) for row in text.split(",")) if text else ()


def original_digest(path: Path) -> str | None:
    """Digest that a shard's file had before documents were taken down from it; None where none were."""
    value = (open_table(path, TOKENS).schema.metadata or {}).get(WAS_KEY.encode())
    return value.decode() if value else None


def open_folder(folder: Path, known: Mapping[str, TokenShard] | None = None) -> list[TokenShard]:
    """Every shard of ``tokens/train`` or ``tokens/validation``, by name.

    Args:
        folder: The folder.
        known: Shards that need not be opened, by file name: what their manifests say of them (``shard_facts.py``).

    Raises:
        UserError: If there is none.
        FormatError: If one is damaged.
    """
    paths = [folder / name for name in storage.list_files(str(folder), ".arrow") if "/" not in name]
    if not paths:
        raise UserError(f"{folder}: no token shards; `tokenmill run RECIPE --stages tokenize` makes them")
    known = known or {}
    return [known.get(path.name) or open_shard(path) for path in paths]


def common_format(shards: Sequence[TokenShard]) -> TokenFormat:
    """The one format of all shards.

    Raises:
        FormatError: If two shards come from two tokenizers; both files and digests are named.
    """
    first = shards[0]
    for shard in shards[1:]:
        if shard.format != first.format:
            raise FormatError(
                f"token shards of two tokenizers: {first.path} was encoded with tokenizer {_named(first.format)}, "
                f"{shard.path} with {_named(shard.format)}; give all runs the same [tokenize] tokenizer file, "
                "or rebuild one of them"
            )
    return first.format


def check_tokenizer(token_format: TokenFormat, digest: str, where: str) -> None:
    """Refuses shards that were not encoded with the tokenizer at hand.

    Raises:
        FormatError: With both digests.
    """
    if token_format.tokenizer != digest:
        raise FormatError(
            f"{where}: its shards were made by another tokenizer ({token_format.tokenizer}) than the one of this run "
            f"({digest}); make them again: `tokenmill run RECIPE --root RUN --stages tokenize`"
        )


def _named(token_format: TokenFormat) -> str:
    begin = "" if token_format.begin_of_text is None else f", begin of text {token_format.begin_of_text}"
    size, end = token_format.vocabulary_size, token_format.end_of_text
    return f"{token_format.tokenizer} ({size:,} entries, end of text {end}{begin})"
