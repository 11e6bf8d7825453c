"""The dedup index: earlier documents on disk, found by their text, their likeness or their id (docs/dedup-index.md).

- ``blocks``        files of arrays, every block checked before it is used
- ``state``         index.json: definition, corpora, files
- ``segments``      documents and the keys by which they are found
- ``reader``        an index, opened
- ``query``         which earlier documents some texts duplicate
- ``writer``        build, add everything, remove, merge
- ``add``           add what is new in a batch
- ``runs``          run folders as earlier documents
- ``inputs``        files and run folders as batches
"""
