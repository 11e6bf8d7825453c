"""Every table on disk: its columns, its order and its format version; and the only code that opens or writes one.

All tables are Arrow IPC files.  The schema metadata names the table and its format version, so that a file says what it
is.  A reader accepts its own major version only.  ``python -m pipeline.run.tables`` prints docs/formats.md.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.base.closable import Closable
from pipeline.base.errors import FormatError
from pipeline.run import layout

DOC_ID = pa.binary(16)
BATCH_TEXT_BYTES = 8 << 20  # a record batch closes at 8 MiB of text ...
BATCH_ROWS = 65_536  # ... or at this many rows
SHARD_TEXT_BYTES = 256 << 20  # a shard closes at 256 MiB of text
TABLE_KEY, FORMAT_KEY = b"tokenmill.table", b"tokenmill.format"


@dataclass(frozen=True)
class Column:
    """One column: what it holds, in which unit, and whether it may be null."""

    name: str
    type: pa.DataType
    description: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """One kind of table on disk.

    ``version`` is (major, minor): a new column raises the minor version, any other change the major one.
    """

    name: str
    folder: str
    version: tuple[int, int]
    columns: tuple[Column, ...]
    order: str
    compression: str | None = "zstd"

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema, with the table's name and version in its metadata."""
        fields = [pa.field(column.name, column.type, nullable=column.nullable) for column in self.columns]
        version = f"{self.version[0]}.{self.version[1]}"
        return pa.schema(fields, metadata={TABLE_KEY: self.name.encode(), FORMAT_KEY: version.encode()})


DOCUMENTS = Table(
    "documents",
    layout.DOCUMENTS,
    (1, 0),
    (
        Column(
            "doc_id", DOC_ID, "BLAKE2b-128 of the source's name, the path below its root, and the byte offset or row"
        ),
        Column("id", pa.string(), "the record's own id", nullable=True),
        Column("text", pa.large_string(), "the cleaned text, NFC"),
        Column("source", pa.string(), "name of the source in the recipe; one value in each shard"),
        Column("url", pa.string(), "where the text came from", nullable=True),
        Column("date", pa.string(), "the record's own date, ISO 8601 where it could be read", nullable=True),
        Column("licence", pa.string(), "SPDX id or the record's own words; null = unknown", nullable=True),
        Column("language", pa.string(), "label of lid.176; null where the text has no letters", nullable=True),
        Column("language_score", pa.float32(), "probability of that label, 0 to 1", nullable=True),
        Column("path", pa.string(), "input file, relative to the source's root"),
        Column("offset", pa.int64(), "byte offset of the record in its file (for JSONL, decompressed), or its row"),
        Column("metadata", pa.string(), "JSON object of everything else in the record", nullable=True),
        Column("title", pa.string(), "the page's title", nullable=True),
        Column("canonical_url", pa.string(), "the URL that the page names as its own", nullable=True),
        Column("declared_language", pa.string(), "language tag that the page or its server declares", nullable=True),
        Column("licence_evidence", pa.string(), "record | json-ld | rel | meta | link | recipe", nullable=True),
        Column(
            "robots",
            pa.string(),
            "robots directives of the page and its server, sorted, comma-separated",
            nullable=True,
        ),
        Column(
            "opt_out", pa.string(), "those found of noai, noimageai and tdm-reservation, comma-separated", nullable=True
        ),
        Column("pii_email", pa.int32(), "e-mail addresses found"),
        Column("pii_ip", pa.int32(), "public IP addresses found"),
        Column("pii_phone", pa.int32(), "telephone numbers found"),
        Column("pii_iban", pa.int32(), "IBANs found whose checksum is right"),
        Column("pii_card", pa.int32(), "payment card numbers found whose checksum is right"),
        Column("pii_secret", pa.int32(), "API keys and private keys found"),
    ),
    "input order",
)

QUARANTINE = Table(
    "quarantine",
    layout.QUARANTINE,
    (1, 0),
    (
        Column("source", pa.string(), "name of the source in the recipe"),
        Column("path", pa.string(), "input file, relative to the source's root"),
        Column("offset", pa.int64(), "byte offset (or row) where the damage starts"),
        Column("length", pa.int64(), "number of damaged bytes; null = unknown", nullable=True),
        Column("reason", pa.string(), "what is wrong: one of the codes in docs/clean.md"),
        Column("detail", pa.string(), "what was found, in words", nullable=True),
        Column("head", pa.binary(), "the first 256 bytes of the damaged record"),
    ),
    "input order",
)

EXCLUDED = Table(
    "excluded",
    layout.EXCLUDED,
    (1, 0),
    (
        Column("source", pa.string(), "name of the source in the recipe"),
        Column("path", pa.string(), "input file, relative to the source's root"),
        Column("offset", pa.int64(), "byte offset of the record, or its row"),
        Column(
            "reason",
            pa.string(),
            "why the record was not wanted, before its text was looked at: one of the codes in docs/clean.md",
        ),
        Column("detail", pa.string(), "the value that decided, such as the HTTP status", nullable=True),
        Column("url", pa.string(), "the record's URL", nullable=True),
    ),
    "input order",
)

SIGNATURES = Table(
    "signatures",
    layout.SIGNATURES,
    (1, 0),
    (
        Column("doc_id", DOC_ID, "the document"),
        Column("text_hash", pa.binary(16), "BLAKE2b-128 of the text: equal texts are exact duplicates"),
        Column("num_shingles", pa.int32(), "distinct shingles of the document"),
        Column("text_length", pa.int64(), "characters of the text; what `keep = longest` compares"),
        Column("signature", pa.list_(pa.uint32()), "bands * rows MinHash values (datasketch affine32)"),
    ),
    "row-aligned with documents/",
    compression=None,  # MinHash values do not compress, and are read as they are in the file
)

CLUSTERS = Table(
    "clusters",
    layout.CLUSTERS,
    (1, 1),
    (
        Column("doc_id", DOC_ID, "the removed document"),
        Column(
            "kept_id",
            DOC_ID,
            "the document kept in its place; in a corpus that is not a run, BLAKE2b-128 of its id there",
        ),
        Column("similarity", pa.float64(), "exact Jaccard similarity of the two shingle sets"),
        Column("intersection", pa.int32(), "shingles in both"),
        Column("union", pa.int32(), "shingles in either"),
        Column("rule", pa.string(), "exact | near | url"),
        Column("cluster_id", DOC_ID, "first document of the connected component of verified pairs"),
        Column(
            "kept_corpus",
            pa.string(),
            "earlier run or corpus that holds the kept document; null: this run",
            nullable=True,
        ),
        Column("kept_name", pa.string(), "the kept document's id in that corpus", nullable=True),
        Column("cluster_size", pa.int64(), "number of documents in that component; null: not known", nullable=True),
        Column(
            "chosen_by", pa.string(), "what put the kept document first: source, licence, longest, …", nullable=True
        ),
    ),
    "document order of the removed document",
)

SURVIVORS = Table(
    "survivors",
    layout.SURVIVORS,
    (1, 0),
    (
        Column("doc_id", DOC_ID, "a kept document whose cluster keeps others as well"),
        Column("cluster_id", DOC_ID, "first document of the connected component of verified pairs"),
    ),
    "document order",
)

_NUMBER = Column("document", pa.int64(), "number of the document in the document order of the whole run, from 0")

LINKS = Table(
    "links",
    f"{layout.LINKS}, where `[dedup] partitions` is above 1",
    (1, 0),
    (_NUMBER, Column("group", pa.int64(), "number of its group; documents of a group share a key")),
    "one record batch for each kind of key (text, URL, each band), sorted by group, then document",
)

PARTS = Table(
    "parts",
    f"{layout.PARTS}, where `[dedup] partitions` is above 1",
    (1, 0),
    (_NUMBER,),
    "document order",
)

CLUSTER_PIECES = Table(
    "cluster_pieces",
    f"{layout.PIECES}, where `[dedup] partitions` is above 1",
    CLUSTERS.version,
    (_NUMBER, *CLUSTERS.columns),
    CLUSTERS.order,
)

SURVIVOR_PIECES = Table(
    "survivor_pieces",
    f"{layout.SURVIVOR_PIECES}*.arrow, where `[dedup] partitions` is above 1",
    SURVIVORS.version,
    (_NUMBER, *SURVIVORS.columns),
    SURVIVORS.order,
)

REMOVED = Table(
    "removed",
    "removed.arrow of `tokenmill dedup run`",
    (1, 1),
    (
        Column("id", pa.string(), "the removed record's id; path:row where it has none"),
        Column("kept_id", pa.string(), "id of the record kept in its place"),
        Column(
            "similarity", pa.float64(), "exact Jaccard similarity of the two shingle sets; estimated with --no-verify"
        ),
        Column("intersection", pa.int32(), "shingles in both; with --no-verify, equal signature values"),
        Column("union", pa.int32(), "shingles in either; with --no-verify, signature values"),
        Column("rule", pa.string(), "exact | near | url"),
        Column("cluster_id", pa.string(), "id of the first record of the connected component of verified pairs"),
        Column("path", pa.string(), "path of the input file below the folder that all inputs share"),
        Column("row", pa.int64(), "line (JSON Lines) or row in that file, from 0"),
        Column(
            "kept_path", pa.string(), "path of the kept record's input file; null for an earlier record", nullable=True
        ),
        Column("kept_row", pa.int64(), "its line or row in that file, from 0", nullable=True),
        Column("cluster_size", pa.int64(), "number of records in the component"),
        Column(
            "chosen_by",
            pa.string(),
            "what put the kept record first: source, licence, longest, a field, first, earlier",
        ),
        Column(
            "kept_corpus",
            pa.string(),
            "earlier run or corpus that holds the kept record; null: these files",
            nullable=True,
        ),
    ),
    "input order of the removed record",
)

KEPT_CLUSTERS = Table(
    "kept_clusters",
    "clusters.arrow of `tokenmill dedup run`",
    (1, 0),
    (
        Column("id", pa.string(), "a kept record that has duplicates; path:row where it has no id"),
        Column("path", pa.string(), "path of the input file below the folder that all inputs share"),
        Column("row", pa.int64(), "line (JSON Lines) or row in that file, from 0"),
        Column("cluster_id", pa.string(), "id of the first record of its connected component"),
        Column("cluster_size", pa.int64(), "number of records in the component, for upsampling by size"),
    ),
    "input order",
)

SIGNALS = Table(
    "signals",
    layout.SIGNALS,
    (1, 0),
    (
        Column("doc_id", DOC_ID, "the document"),
        Column("token_count", pa.int32(), "tokens by spaCy's English rules; punctuation marks are tokens too"),
        Column("word_count", pa.int32(), "tokens that are not all punctuation"),
        Column("character_count", pa.int32(), "Unicode code points of the text"),
        Column("byte_count", pa.int32(), "UTF-8 bytes of the text"),
        Column("mean_word_length", pa.float32(), "mean characters per word; 0 without words"),
        Column("longest_word", pa.int32(), "characters of the longest run without white space"),
        Column("symbol_word_ratio", pa.float32(), "the larger of the next two"),
        Column("hash_word_ratio", pa.float32(), "# characters per token"),
        Column("ellipsis_word_ratio", pa.float32(), "ellipses (... or U+2026) per token"),
        Column("alpha_word_ratio", pa.float32(), "tokens with a letter / tokens"),
        Column(
            "stop_word_count", pa.int32(), "distinct stop words; null: there is no list for the language", nullable=True
        ),
        Column("bullet_line_ratio", pa.float32(), "lines that start with a bullet or hyphen / lines"),
        Column("ellipsis_line_ratio", pa.float32(), "lines that end with an ellipsis / lines"),
        Column("duplicate_line_ratio", pa.float32(), "repeated lines / lines"),
        Column("duplicate_paragraph_ratio", pa.float32(), "repeated paragraphs / paragraphs"),
        Column("duplicate_line_char_ratio", pa.float32(), "characters of repeated lines / characters"),
        Column("duplicate_paragraph_char_ratio", pa.float32(), "characters of repeated paragraphs / characters"),
        *(
            Column(f"top_{n}gram_char_ratio", pa.float32(), f"characters of the most frequent {n}-gram / characters")
            for n in (2, 3, 4)
        ),
        *(
            Column(f"duplicate_{n}gram_char_ratio", pa.float32(), f"characters of repeated {n}-grams / characters")
            for n in range(5, 11)
        ),
        Column("terminal_punctuation_line_ratio", pa.float32(), "lines that end a sentence / lines with text"),
        Column("short_line_ratio", pa.float32(), "lines of at most 30 characters / lines with text"),
        Column("fineweb_duplicate_char_ratio", pa.float32(), "characters of repeated lines / characters in lines"),
        Column("newline_word_ratio", pa.float32(), "line feeds per token"),
        Column("sentence_count", pa.int32(), "sentences of the text"),
        Column("c4_sentence_count", pa.int32(), "sentences in the lines that C4 keeps"),
        Column("c4_has_curly_bracket", pa.bool_(), "true where a line that C4 looks at has {"),
        Column("c4_has_lorem_ipsum", pa.bool_(), "true where a line that C4 looks at has lorem ipsum"),
    ),
    "row-aligned with documents/",
)

VERDICTS = Table(
    "verdicts",
    layout.verdicts_folder("<stage>"),
    (1, 0),
    (
        Column("doc_id", DOC_ID, "the document"),
        Column(
            "keep", pa.bool_(), "false = this stage drops it; null = an earlier stage has dropped it", nullable=True
        ),
        Column("reasons", pa.list_(pa.string()), "every rule that the document failed in this stage"),
    ),
    "row-aligned with documents/",
)


def tokens_table(vocabulary_size: int) -> Table:
    """The token table for a vocabulary: uint16 ids up to 65,536 entries, uint32 above."""
    token_type = pa.uint16() if vocabulary_size <= 65_536 else pa.uint32()
    return Table(
        "tokens",
        f"{layout.TRAIN_TOKENS}, {layout.VALIDATION_TOKENS}",
        (1, 0),
        (
            Column("doc_id", DOC_ID, "the document"),
            Column("tokens", pa.large_list(token_type), "its token ids; the last is the end-of-text token"),
        ),
        "by a keyed hash of doc_id",
        compression=None,
    )


TOKENS = tokens_table(65_536)

BATCH_ROWS_KEY = "tokenmill.batch_rows"  # of DOC_INDEX: rows of each record batch of each document shard
DOC_INDEX = Table(
    "doc_index",
    layout.DOC_INDEX,
    (1, 0),
    (
        Column("doc_id", DOC_ID, "the document"),
        Column("shard", pa.int32(), "position of its shard in the sorted list of document shards"),
        Column("row", pa.int32(), "its row in that shard"),
    ),
    "doc_id",
    compression=None,
)

KEY_INDEX = Table(
    "key_index",
    layout.KEY_INDEX,
    (1, 0),
    (
        Column("key", pa.uint64(), "BLAKE2b-64 of `id` or `url`, a NUL byte, and the value"),
        Column("shard", pa.int32(), "position of the document's shard in the sorted list of document shards"),
        Column("row", pa.int32(), "its row in that shard"),
    ),
    "key",
    compression=None,
)

INDEX_MATCHES = Table(
    "index_matches",
    "the file that --output or --removed of `tokenmill dedup index` names",
    (1, 0),
    (
        Column("id", pa.string(), "the new document"),
        Column("kept_id", pa.string(), "the earlier document that it duplicates; for add, also another new one"),
        Column("kept_corpus", pa.string(), "the corpus of that document"),
        Column("similarity", pa.float64(), "exact Jaccard similarity of the two shingle sets"),
        Column("intersection", pa.int32(), "shingles in both"),
        Column("union", pa.int32(), "shingles in either"),
        Column("rule", pa.string(), "exact | near"),
    ),
    "input order of the new documents; for each, the most similar match first",
)

TABLES = (  # in the order of docs/formats.md
    DOCUMENTS,
    QUARANTINE,
    EXCLUDED,
    SIGNATURES,
    CLUSTERS,
    SURVIVORS,
    LINKS,
    PARTS,
    CLUSTER_PIECES,
    SURVIVOR_PIECES,
    SIGNALS,
    VERDICTS,
    TOKENS,
    DOC_INDEX,
    KEY_INDEX,
    INDEX_MATCHES,
    REMOVED,
    KEPT_CLUSTERS,
)


class TableWriter(Closable):
    """Writes one table file, batch by batch.

    Args:
        path: Local file to write: the engine's scratch file, not the final name.
        table: What is written.
        metadata: Further schema metadata, such as the tokenizer's digest.
        schema: Overrides ``table.schema`` where a stage adds columns (signals of a recipe's classifiers).
    """

    def __init__(
        self,
        path: Path,
        table: Table,
        metadata: Mapping[str, str] | None = None,
        schema: pa.Schema | None = None,
    ) -> None:
        schema = schema or table.schema
        extra = {key.encode(): value.encode() for key, value in sorted((metadata or {}).items())}
        self.schema = schema.with_metadata({**table.schema.metadata, **extra})
        self.rows = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        codec = pa.Codec(table.compression) if table.compression else None
        options = pa.ipc.IpcWriteOptions(compression=codec, use_threads=False)
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._sink, self.schema, options=options)

    def write(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Appends rows; the columns must be those of the schema, in its order."""
        batch = batch.cast(self.schema) if batch.schema != self.schema else batch
        if isinstance(batch, pa.Table):
            self._writer.write_table(batch)
        else:
            self._writer.write_batch(batch)
        self.rows += batch.num_rows

    def close(self) -> None:
        """Writes the footer."""
        self._writer.close()
        self._sink.close()


def open_table(path: Path, table: Table, columns: Collection[str] | None = None) -> pa.RecordBatchFileReader:
    """Opens a table file, memory mapped; with ``columns``, only these are decompressed (in the file's order).

    Raises:
        FormatError: If the file is damaged, holds another table, or another major version of it.
    """
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path), "r"))
    except pa.ArrowInvalid as error:
        raise FormatError(
            f"{path}: expected a {table.name} table (Arrow IPC file), found damage: {error}; "
            "`tokenmill verify RUN` names what to rebuild"
        ) from error
    metadata = reader.schema.metadata or {}
    name, version = metadata.get(TABLE_KEY, b"").decode(), metadata.get(FORMAT_KEY, b"0.0").decode()
    if name != table.name:
        raise FormatError(
            f"{path}: expected a {table.name} table, found {name or 'no table name in the schema metadata'}"
        )
    if int(version.split(".")[0]) != table.version[0]:
        raise FormatError(
            f"{path}: format {version} of table {name}; this tokenmill reads {table.version[0]}.x: "
            f"use the tokenmill that wrote it, or rebuild the stage"
        )
    if columns is None:
        return reader
    wanted = [number for number, field in enumerate(reader.schema.names) if field in columns]
    options = pa.ipc.IpcReadOptions(included_fields=wanted)
    return pa.ipc.open_file(pa.memory_map(str(path), "r"), options=options)


def batches(path: Path, table: Table, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The record batches of a table file: of ``columns`` those that it has, in the order asked for; all if None."""
    reader = open_table(path, table, columns)
    for number in range(reader.num_record_batches):
        yield _selected(reader.get_batch(number), columns)


def read_table(path: Path, table: Table, columns: Sequence[str] | None = None) -> pa.Table:
    """Reads a whole table file; ``columns`` as in ``batches``."""
    return _selected(open_table(path, table, columns).read_all(), columns)


def _selected(rows: Any, columns: Sequence[str] | None) -> Any:
    return rows if columns is None else rows.select([name for name in columns if name in rows.schema.names])


def formats_page() -> str:
    """The text of docs/formats.md."""
    lines = [
        "# Formats",
        "",
        "Generated from `pipeline/run/tables.py` by `python -m pipeline.run.tables`; a test keeps it so.",
        "",
        "Every table is an Arrow IPC file. Its schema metadata carries `tokenmill.table` (the name) and",
        "`tokenmill.format` (`major.minor`); a reader accepts its own major version only. Record batches close at",
        f"{BATCH_TEXT_BYTES >> 20} MiB of text or {BATCH_ROWS:,} rows, shards at {SHARD_TEXT_BYTES >> 20} MiB of text.",
    ]
    for table in TABLES:
        version = f"{table.version[0]}.{table.version[1]}"
        lines += ["", f"## {table.name} (format {version})", ""]
        lines += [f"Where: `{table.folder}`. Order: {table.order}. Compression: {table.compression or 'none'}.", ""]
        lines += ["| column | type | null | what it holds |", "|---|---|---|---|"]
        for column in table.columns:
            kind = str(column.type).replace("|", "\\|")
            description = column.description.replace("|", "\\|")
            lines.append(f"| `{column.name}` | {kind} | {'yes' if column.nullable else 'no'} | {description} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(formats_page())
