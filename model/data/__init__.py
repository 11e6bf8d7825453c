"""Token shards as a training sees them: the corpus of a run, and batches of tensors."""
