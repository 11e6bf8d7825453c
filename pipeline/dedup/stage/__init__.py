"""The dedup stage of a run.

- ``plan``                 the stage: its steps and their jobs; loads no kernels
- ``signatures``           step dedup.signatures
- ``shuffle``              the join: its steps and their jobs; loads no kernels
- ``earlier``              step dedup.earlier: indexes of earlier runs (``against``)
- ``keys``                 step dedup.keys: a shard's keys, dealt to partitions
- ``links``                step dedup.links: which documents share a key of one partition
- ``components``           step dedup.components: what is connected over all partitions
- ``linked_sets``          step dedup.sets: a shard's linked documents, dealt to parts
- ``select``               step dedup.select: which documents of one part are duplicates
- ``part``                 the documents of one part
- ``merge``                step dedup.clusters: the pieces of all parts in document order
- ``verdicts``             step dedup
- ``corpus``               what tasks read of a shard
- ``columns``              columns of a shard that the survivor policy may name
- ``cluster_tables``       the rows of clusters/
- ``remembered_evidence``  evidence of documents that were taken down
"""
