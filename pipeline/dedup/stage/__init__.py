"""The dedup stage of a run.

- ``plan``                 the stage: its steps and their jobs; loads no kernels
- ``signatures``           step dedup.signatures
- ``clusters``             step dedup.clusters, in one process
- ``parts_plan``           the same in parts: steps dedup.links, dedup.parts, dedup.select; loads no kernels
- ``parts_join``           their work
- ``verdicts``             step dedup
- ``corpus``               a run's documents: the columns that selection needs
- ``cluster_tables``       the rows of clusters/
- ``remembered_evidence``  evidence of documents that were taken down
"""
