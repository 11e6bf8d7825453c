"""Kept documents -> tokenizer -> token shards.

1. stage.py       the stage: its steps and their jobs
2. assign.py      every kept document to training or validation (split.py has the rules)
3. training.py    byte-level BPE on a weighted sample of the training documents, or a given tokenizer
4. engines.py     gigatoken or ``tokenizers``: the one that a run encodes with, proven once
5. encode.py      one document shard -> one training and one validation token shard
6. leakage.py     how near validation documents still are to training text
7. shards.py      writes and maps token shards: what the loader, the exports and the evaluation read
8. index.py       index/doc_id.arrow: doc_id -> shard, row
9. exchange.py    token shards to and from Megatron's and nanoGPT's files; cli.py has the commands
"""
