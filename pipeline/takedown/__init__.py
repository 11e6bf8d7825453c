"""Takes documents out of a run, and keeps them out of what is made again (docs/lineage.md).

1. ``choose``        which documents: by id, URL, domain, licence, path or phrase (``searches``), and what is near them
2. ``takedown``      records them in takedown.jsonl, and goes through every shard and manifest
3. ``blank``         one table file without them: the same bytes in place and when rebuilt; ``blank_tokens`` for tokens
4. ``evidence``      what is remembered of clusters and split, so that tables made again have the same rows
5. ``restore``       brings back a twin of what was taken down, in a token shard of its own
"""

BLANK = "pipeline.takedown.blank:blank_outputs"  # what a ``Context`` calls before it publishes
