"""Raw input to records: one module per family of formats.

What is damaged becomes one ``Damaged`` item, and reading goes on.

1. ``streams``     a range of a file -> decompressed chunks, with gaps where it is damaged
2. ``encodings``   chunks of UTF-16, UTF-32 or a declared encoding -> chunks of UTF-8
3. a reader        chunks, or a file -> items

``records`` says what a reader yields, ``nested`` what is text in a list.  The readers are ``jsonl`` (above ``lines``),
``columnar_rows`` (above ``columnar`` and the room ``columns``), ``text``, ``warc``, ``papers`` (above the room
``works``), and ``datatrove`` (a class of that package); the room ``delimited`` reads CSV and TSV.  The room ``parts``
stands above them: it finds the files, tells their formats and calls the readers.

To add a format, touch

- a module here: a generator of items, which turns each ``Gap`` it is given into a ``Damaged`` item
- ``parts/formats.py``: its suffixes, its first bytes, and whether it is read from front to back
- ``parts/part_reader.py``: the call of its reader
- ``pipeline/recipe/options.py``: ``FORMATS``, what a recipe may name
- ``docs/inputs.md``: its row in the table of formats; ``docs/clean.md``: its reasons for quarantine
- ``tests/pipeline/clean/test_formats.py``: its records, and what damage to it costs
"""
