"""How model.npz is made: ``python -m pipeline.extractor_training --help``.

- ``gold``     pages and what is their text, from clones of the gold sets that the user has
- ``labels``   how much of each block stands in that text
- ``tables``   features and labels of all blocks, page by page; which pages are trained on, and which are held out
- ``fit``      the trees, fitted with lightgbm, and written as the kernels read them
- ``metrics``  each set's own measure
- ``peers``    the same pages through other extractors
- ``results``  our scores beside theirs, on pages that no tree has seen
"""
