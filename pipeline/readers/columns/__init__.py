"""Arrow columns and Parquet footers, where the library checks, converts or reads less safely than a run needs.

- ``checks``   that a column's offsets lie within its data
- ``values``   rows as Python values, whatever stands in them
- ``footers``  column chunks of Parquet footers, read in a process of its own
"""
