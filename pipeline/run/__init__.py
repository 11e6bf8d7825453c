"""One run folder, and how its stages are planned, run and recorded; no stage is known here by name.

- ``layout``: where everything stands below a run folder.
- ``tables``: the columns and formats of every table.
- ``table_files``: the code that opens and writes a table file, whole or in ranges.
- ``folder``: a run: its folder, its recipe and its lock.
- ``manifest``: the record of a finished shard, which decides what is done.
- ``engine``: one shard: a step's function, its outputs, its manifest.
- ``context``: what a stage is given: it compares jobs with manifests and hands the rest to the workers.
- ``stages``: the plan of a run, and the running of one stage.
- ``outcome``: what a stage did with its documents, in a line.
- ``engines/``: the workers: this machine, a Ray cluster, a Slurm cluster.
- ``checkpoints``: which checkpoints count, and how one training's replace another's.
- ``logs``: what a run remembers of how it went.
- ``alive``: which documents no verdict drops.
- ``rows``: single rows of tables.
- ``ledger``: ``takedown.jsonl``, what was taken down.
"""
