"""Checkpoints on disk: ``checkpoint`` reads, writes and removes them; ``steps`` says which there are and are kept."""
