"""`tokenmill init`: looks at somebody's files, and proposes a recipe for them.

1. ``sources.py``   the files -> sources: formats, kinds that nobody reads, the columns that hold the text
   (``lists.py``: where it lies in lists).
2. ``sample.py``    which part of the files stands for all of them.
3. ``estimate.py``  that sample through the real clean, dedup and filter stages: documents, languages, reasons, what
   each preset keeps, tokens (``token_bytes.py``), minutes and disk.  `run --dry-run` asks it too.
4. ``sizes.py``     tokens -> vocabulary, model and steps.
5. ``write.py``     all that as a commented recipe.
"""
