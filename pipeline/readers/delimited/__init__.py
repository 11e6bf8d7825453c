"""CSV and TSV files: rows of text between delimiters, in whatever dialect people write them.

1. ``feed``     chunks -> lines, with a way back
2. ``dialect``  delimiter, quote and escape, as the recipe says or as the first lines tell
3. ``header``   the names of the columns
4. ``table``    rows -> records
5. ``repair``   the row of a line whose quotes are wrong
6. ``read``     all of it: ``read_delimited``
"""
