"""The campaign: kills, storage faults and damage at random places, and what is left after each.

- ``run``: the program, ``make campaign MINUTES=10``; prints what was tried and what was found.
- ``shim`` (with ``shim.c``): counts the file operations of a process tree, and kills it or fails the N-th of them.
- ``child``: work in a forked process that has every module loaded, with what it said and how it ended.
- ``scenarios``: the work that is disturbed: each stage, and each command that writes.
- ``trials``: one kill, one fault; then the same work once more, undisturbed.
- ``damage``: one damaged file of a finished run; a command on it, then what `verify` advises.
- ``full_disk``, ``together``: file systems of every size; two commands on one run at once.

Every trial is a function of its number, so that what was found is found again: ``--first N --count 1``.
"""
