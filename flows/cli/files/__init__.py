"""Commands on the user's own files, without a run.

``init``   init
``dedup``  dedup run, plan, compare
``index``  dedup index build, add, query, remove, verify
"""
