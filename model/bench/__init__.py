"""Benchmarks of the model: loader (batches from token shards) and train (beside a nanoGPT checkout)."""
