"""Raw input to records: one module a family of formats.

What is damaged becomes one ``Damaged`` item, and reading goes on.

1. ``inputs``     a source's paths -> the files below its root
2. ``partition``  files -> partitions of balanced size, each the input of one document shard
3. ``streams``    a range of a file -> decompressed chunks, with gaps where it is damaged
4. ``dispatch``   a part of a partition -> the reader of its format -> ``Record | Damaged | Excluded``
"""
