"""Tables of tokens, and the two indexes that find a document by its id, its own name or its URL."""

import pyarrow as pa

from pipeline.run import layout
from pipeline.run.table_files import Column, Table
from pipeline.run.tables.limits import DOC_ID


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
