"""Files to items: which files there are, of which format, cut into parts, and a part read by its format's reader.

1. ``inputs``      a source's paths -> the files below its root
2. ``formats``     the format of a file: as named, by its name, by its first bytes
3. ``partition``   files -> partitions of balanced size, each the input of one document shard
4. ``part_reader`` a part of a partition -> the reader of its format -> ``Record | Damaged | Excluded``

``archives`` and ``tar_archives`` give the members of ZIP and tar files to the readers of their formats;
``lost_directory`` finds those of a ZIP whose end is lost.  ``first`` reads the first records of a file with every
field, for who asks what columns it has.  ``saved_datasets`` tells the files that the library datasets keeps beside its
data.
"""
