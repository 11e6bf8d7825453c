"""The user's own files, in every format that the readers know.

- ``own_outputs``  what earlier commands have written among them, which is left out
- ``input_files``  which files there are, that they stay as they are, and how they are split
- ``fields``       what is wanted of a record
- ``items``        a part as the items of its reader, with their rows; bodies become texts
- ``columns``      Parquet and Arrow, column by column
- ``records``      a part of a file as batches of texts, by either way
- ``packed``       writing through a compression
- ``table_file``   a table in the format that its file's name says
"""
