"""Every table on disk: its columns, its order and its format version.

documents, dedup, join, filter, tokens: the tables of each part of a run.  limits: what they share.  alive: which
documents the verdicts leave.
``python -m pipeline.run.tables`` prints docs/formats.md.  The code that opens and writes them is in
pipeline/run/table_files.py.
"""

from pipeline.run.tables.dedup import CLUSTERS, INDEX_MATCHES, KEPT_CLUSTERS, REMOVED, SIGNATURES, SURVIVORS
from pipeline.run.tables.documents import DOCUMENTS, EXCLUDED, QUARANTINE
from pipeline.run.tables.filter import SIGNALS, VERDICTS
from pipeline.run.tables.join import CLUSTER_PIECES, COMPONENTS, GROUPS, KEYS, LINKS, SETS, SURVIVOR_PIECES
from pipeline.run.tables.limits import BATCH_ROWS, BATCH_TEXT_BYTES, DOC_ID, SHARD_TEXT_BYTES
from pipeline.run.tables.tokens import BATCH_ROWS_KEY, DOC_INDEX, KEY_INDEX, TOKENS, tokens_table

TABLES = (  # in the order of docs/formats.md
    DOCUMENTS,
    QUARANTINE,
    EXCLUDED,
    SIGNATURES,
    CLUSTERS,
    SURVIVORS,
    KEYS,
    GROUPS,
    LINKS,
    COMPONENTS,
    SETS,
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

__all__ = [
    "BATCH_ROWS",
    "BATCH_ROWS_KEY",
    "BATCH_TEXT_BYTES",
    "CLUSTERS",
    "CLUSTER_PIECES",
    "COMPONENTS",
    "DOCUMENTS",
    "DOC_ID",
    "DOC_INDEX",
    "EXCLUDED",
    "GROUPS",
    "INDEX_MATCHES",
    "KEPT_CLUSTERS",
    "KEYS",
    "KEY_INDEX",
    "LINKS",
    "QUARANTINE",
    "REMOVED",
    "SETS",
    "SHARD_TEXT_BYTES",
    "SIGNALS",
    "SIGNATURES",
    "SURVIVORS",
    "SURVIVOR_PIECES",
    "TABLES",
    "TOKENS",
    "VERDICTS",
    "tokens_table",
]
