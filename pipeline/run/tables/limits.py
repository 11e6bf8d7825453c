"""What all tables share: the type of a document's id, and where batches and shards close."""

import pyarrow as pa

DOC_ID = pa.binary(16)
BATCH_TEXT_BYTES = 8 << 20  # a record batch closes at 8 MiB of text ...
BATCH_ROWS = 65_536  # ... or at this many rows
SHARD_TEXT_BYTES = 256 << 20  # a shard closes at 256 MiB of text
