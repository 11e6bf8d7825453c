"""Kept documents -> tokenizer -> token shards.

1. ``stage.py``       the stage: its steps and their jobs
2. ``documents/``     which side of the split each document is on; kept documents batch by batch
3. ``tokenizer/``     trains a tokenizer or takes a given one, and chooses the engine that encodes
4. ``encode.py``      one document shard -> one training and one validation token shard
5. ``leakage.py``     how near validation documents still are to training text
6. ``restored.py``    documents that came back after a takedown; ``encode_restored.py`` makes their token shards
7. ``shards/``        token shards: written, mapped, exchanged with other trainers
"""
