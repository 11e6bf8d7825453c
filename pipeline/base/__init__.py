"""The ground floor: what knows nothing of runs, stages or models, and may be used by every room.

``errors``       what a run ends with, and its exit code
``words``        counts, hints and strangers' text, fit to be shown
``console``      standard output and standard error of a command
``progress``     the events of a run, for whoever shows them
``side_by_side`` two texts and where they differ
``sizes``        a size in words to bytes
``digests``      BLAKE2b-128, by which files, documents and texts are known
``arrow``        strings and ids between Arrow, NumPy and digests
``class_path``   a dotted name to an object of that class
``closable``     what a ``with`` closes
``stores``       what an object store answers: absent, refused and unreachable
``storage``      files here or in an object store, published whole
``locks``        locks that end with their process
``hash_sort``    sorting by hash in bounded memory
``processes``    starting our own, ending them, and keeping interrupts
``pool``         a pool of workers that outlives a killed one
"""
