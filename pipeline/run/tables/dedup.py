"""Tables that dedup leaves: of a run, of ``tokenmill dedup run`` and of ``tokenmill dedup index``."""

import pyarrow as pa

from pipeline.run import layout
from pipeline.run.table_files import Column, Table
from pipeline.run.tables.limits import DOC_ID

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
        Column(
            "cluster_id",
            pa.string(),
            "id of the first record of the connected component of verified pairs; its path:row where two have one id",
        ),
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
        Column(
            "cluster_id",
            pa.string(),
            "id of the first record of its connected component; its path:row where two have one id",
        ),
        Column("cluster_size", pa.int64(), "number of records in the component, for upsampling by size"),
    ),
    "input order",
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
