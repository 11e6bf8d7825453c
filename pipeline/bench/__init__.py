"""Benchmarks beside installed peers; ``flows/cli/bench.py`` lists them by name.

clean, dedup, filter, index, lineage, tokens: a part of the pipeline each, ours beside what others use.
dedup_accuracy, dedup_buckets, dedup_scale: what is found, crowded buckets, memory by size; dedup_peers: the peers.
rates: rows of figures from timings.  token_runs: run folders of made-up tokens.
"""
