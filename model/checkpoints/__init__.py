"""Checkpoints on disk: ``checkpoint`` reads, writes and removes them."""
