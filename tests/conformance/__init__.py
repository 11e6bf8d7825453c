"""Other people's test files through both reading paths: what becomes of each, beside what an independent reader says.

1. ``clones``   the public repositories, read where they lie; none of their files is kept
2. ``suites``   a room: each module makes the cases of some suites, with a check for each
3. ``product``  feeds cases to `tokenmill run --stages clean` and `tokenmill dedup run`; tells which file ends a batch
4. ``law``      where the bytes of each file go, part by part
5. ``judge``    checks what came out, and sums it up
6. ``reasons``  the deviations that are meant, each with its reason
7. ``page``     writes docs/conformance.md
8. ``facts``    a room: encodings, languages and edited evaluation items, the second table of the page

    make conformance SUITES=FOLDER
    python -m tests.conformance.run --suites FOLDER [--only NAME] [--write]
"""
