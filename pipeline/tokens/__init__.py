"""Kept documents -> tokenizer -> token shards.

1. stage.py       the stage: its two steps and their jobs
2. training.py    byte-level BPE on a weighted sample of the training documents, or a given tokenizer
3. engines.py     gigatoken or ``tokenizers``: the one that a run encodes with, proven once
4. encode.py      one document shard -> one training and one validation token shard
5. shards.py      writes and maps token shards: what the loader, the exports and the evaluation read
6. index.py       index/doc_id.arrow: doc_id -> shard, row
"""
