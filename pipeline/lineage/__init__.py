"""From a document to the training steps that saw it, and back; and the way to take a document out again.

1. ledger.py    takedown.jsonl: what was taken down, and where it stood; part of every fingerprint
2. rows.py      single rows of tables, without decompressing more than the record batch they lie in
3. lookup.py    doc_id, url, record id or text -> shard and row, from the indexes in ``index/``
4. training.py  the training order as arithmetic: document -> steps, step -> documents
5. explain.py   everything about one document
6. trace.py     everything in one global batch
7. licences.py  tokens by licence in what was trained on
8. blank.py     one table file without what was taken down: the same bytes in place and when rebuilt
9. takedown.py  chooses documents, records them, and goes through every shard and manifest
10. evidence.py what is remembered of clusters and split, so that tables made again have the same rows
11. restore.py  brings back a twin of what was taken down, in a token shard of its own

Everything here works on the run folder alone, and loads neither torch nor Prefect.
"""
