"""``tokenmill dedup run`` and ``compare``: deduplication of the user's own files, without a run folder.

- ``request``          what is asked for, checked
- ``run``              the whole job, in its order
- ``one_file``         standard input and output, one file instead of a folder
- ``workers``          the worker processes
- ``input_size``       how much it is, before it is read
- ``scan``             first pass, in workers: hash and sign every record
- ``corpus``           all records as the first pass left them: the columns that selection needs
- ``kept_records``     last pass, in workers: the kept records, as they were
- ``kept_columns``     the same of Parquet and Arrow
- ``evidence``         the tables beside them
- ``output_folder``    everything appears at once, or nothing
- ``describe_output``  what ``tokenmill inspect`` shows of it
- ``comparison``       two texts side by side
"""
