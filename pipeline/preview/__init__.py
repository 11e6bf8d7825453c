"""Before a run: what its sources hold, what it will take, and what cannot work.

``refusals``  what the curation stages would refuse hours later: files that are missing, names that nothing has
``sources``   files, bytes, formats, columns, and what nobody will read
``room``      whether the disk has room for it
``columns``   columns that are named and no record has, told from the first records
"""
