"""``tokenmill bench recipe``: the whole job, JSONL.gz to token shards, beside datatrove's own pipeline.

rows: the table, medians of several rounds.  ours: ``tokenmill run`` on a recipe.  datatrove: its stages, one process
each.
"""
