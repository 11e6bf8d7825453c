"""The clean stage: raw records to documents (docs/clean.md).

1. ``stage``       lists and partitions the inputs, plans a job per partition, holds the gate
2. ``settings``    the part of the recipe that defines a shard's bytes
3. ``worker``      cleans one partition, a slice of records at a time:
   ``urls``        block and allow lists (``url_entries``: the forms in which they are published)
   ``decode``      bytes to text
   ``extract``     HTML to text, with limits (``datatrove``: by a class of that package)
   ``html_facts``  what a page says about itself
   ``normalise``   line ends, invisible characters, mojibake, NFC; ``hidden`` what is invisible where it stands
   ``lines``       C4's rules for lines
   ``language``    which language a text is in
   ``pii``         personal data and secrets
4. ``shard``       the tables that a partition becomes (``metadata``: what is left of a record, as JSON)

``net`` is the net around each record: what a step raises costs the record that it came from.
"""
