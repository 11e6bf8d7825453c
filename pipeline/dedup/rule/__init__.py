"""The rule that the stage, the command and the index share.

- ``definition``    words, shingles and their hashes, in plain Python
- ``signing``       the same by the kernels: signatures, band keys, shingle sets
- ``shingle_sets``  shingle sets on disk
- ``join``          who is a candidate: equal texts and equal bands
- ``selection``     candidates verified, and the greedy rule
- ``policy``        who of two duplicates stays
- ``against``       the rule where earlier documents come first
- ``urls``          a URL without what does not name its page
- ``deduplicate``   the whole of it, with URLs and evidence
- ``cost``          what a banding catches and what a corpus costs
"""
