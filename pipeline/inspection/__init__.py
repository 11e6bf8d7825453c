"""Looks at what stands on disk, and changes nothing but what `verify --delete` is asked to remove.

- ``status``: the state of a run, and its checksums.
- ``describe``: what a table, a run folder or a dedup output holds.
"""
