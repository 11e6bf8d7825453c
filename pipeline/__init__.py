"""Raw text to token shards: clean, dedup, filter, tokenize.  No torch, no Prefect (see docs/architecture.md)."""

__version__ = "0.1.0"
