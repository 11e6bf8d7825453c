"""The clean stage: raw records to documents (docs/clean.md)."""
