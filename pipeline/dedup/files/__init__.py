"""The user's own files: JSON Lines, Parquet and Arrow.

- ``input_files``  which files there are, that they stay as they are, and how they are split
- ``records``      a part of a file as batches of texts
"""
