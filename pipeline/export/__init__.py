"""Documents out of a run, for other tools: what was kept, with cuts applied, and any column of any table beside it.

1. ``columns``    which columns can be asked for, and which table each comes from
2. ``documents``  documents of a run, batch by batch: chosen by their verdicts, texts without what is cut
3. ``request``    what was asked for, and which output file gets which batches of which shards
4. ``formats``    Parquet, JSON Lines, Arrow: one writer each
5. ``folder``     the output folder: resumable, one record per finished file
6. ``card``       README.md, croissant.json and the recipe beside the data
7. ``tables``     any table of a run as it stands, for ``import tokenmill``
"""
