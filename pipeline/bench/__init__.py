"""Benchmarks beside installed peers; ``flows/cli/compare.py`` lists them by name.

clean, dedup, filter, index, lineage, tokens: one part of the pipeline each, ours beside what others use.
dedup_accuracy, dedup_buckets, dedup_join, dedup_scale: what is found, crowded buckets, the join of a run by steps,
memory by size; dedup_peers: the peers.  growth: each stage of a run by the number of documents.
corpus: the texts and pages they read.  program: our command in a process of its own.  rates: rows of figures from
timings.  token_runs: run folders of made-up tokens.
"""
