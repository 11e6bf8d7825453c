"""The documents that tokens are made of.

1. ``split.py``           who is held out, and what is too near to it: hashes and signatures, no files
2. ``assign.py``          the step ``tokenize.split``: every kept document to its side -> verdicts/tokenize/
3. ``kept_documents.py``  reads them again: kept documents of a shard, their sides, their text without cuts
"""
