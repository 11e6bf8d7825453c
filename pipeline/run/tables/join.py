"""Tables of the join while it is at work: what its tasks hand to each other, in ranges that each reads alone."""

import pyarrow as pa

from pipeline.run import layout
from pipeline.run.table_files import Column, Table
from pipeline.run.tables.dedup import CLUSTERS, SURVIVORS
from pipeline.run.tables.limits import DOC_ID

_NUMBER = Column("document", pa.int64(), "number of the document in the document order of the whole run, from 0")

_AT_WORK = "while the join is at work"

KEYS = Table(
    "keys",
    f"{layout.KEYS}, {_AT_WORK}",
    (1, 0),
    (
        Column("key", pa.uint64(), "what documents share: hash of the text or URL, key of a band; each kind its own"),
        Column("row", pa.uint32(), "a document of the shard that has it: the first one of its group"),
    ),
    "one range (record batch) for each partition of the keys, sorted by key",
    None,
)

GROUPS = Table(
    "groups",
    f"{layout.GROUPS}, {_AT_WORK}",
    (1, 0),
    (
        Column("row", pa.uint32(), "a document of the shard that shares a key with another one, or an earlier one"),
        Column("first", pa.uint32(), "the first document of the shard that it is connected with"),
    ),
    "document order",
    None,
)

LINKS = Table(
    "links",
    f"{layout.LINKS}, {_AT_WORK}",
    (1, 0),
    (_NUMBER, Column("linked", pa.int64(), "number of an earlier document of the run that it is connected with")),
    "one range (record batch) for each partition of the documents; document order",
    None,
)

COMPONENTS = Table(
    "components",
    f"{layout.COMPONENTS}, {_AT_WORK}",
    (1, 0),
    (
        Column("row", pa.uint32(), "a document of the shard that shares a key with one of another shard"),
        Column("component", pa.int64(), "number of the first document that it is connected with"),
    ),
    "one range (record batch) for each document shard; document order",
    None,
)

SETS = Table(
    "sets",
    f"{layout.SETS}, {_AT_WORK}",
    (1, 0),
    (
        _NUMBER,
        Column("doc_id", DOC_ID, "the document"),
        Column("text_hash", pa.binary(16), "hash of its text"),
        Column("num_shingles", pa.int32(), "distinct shingles"),
        Column("text_length", pa.int64(), "Unicode code points of the text"),
        Column("band_keys", pa.list_(pa.uint64()), "the key of each band of its signature"),
        Column(
            "shingles",
            pa.list_(pa.uint64()),
            "hashes of its shingles; null: those of an earlier document of the shard with the same text",
            nullable=True,
        ),
        Column("url_hash", pa.binary(16), "hash of its URL; null: none, or URLs do not count", nullable=True),
        Column("source", pa.string(), "its source, where the recipe prefers some", nullable=True),
        Column("licence", pa.string(), "its licence, where the recipe prefers some", nullable=True),
    ),
    "one range (record batch) for each part of the linked documents; document order; `keep`, the column that the "
    "recipe's `dedup.keep` names, may be one more",
    None,
)

CLUSTER_PIECES = Table(
    "cluster_pieces",
    f"{layout.PIECES}, {_AT_WORK}",
    CLUSTERS.version,
    (_NUMBER, *CLUSTERS.columns),
    f"one range (record batch) for each document shard; {CLUSTERS.order}",
    None,
)

SURVIVOR_PIECES = Table(
    "survivor_pieces",
    f"{layout.SURVIVOR_PIECES}*.arrow, {_AT_WORK}",
    SURVIVORS.version,
    (_NUMBER, *SURVIVORS.columns),
    f"one range (record batch) for each document shard; {SURVIVORS.order}",
    None,
)
