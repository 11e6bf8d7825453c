"""Texts in memory, treated as a run would treat them: for Python programs, without files and without a run folder.

- ``given``       texts and options as a caller has them, checked
- ``cleaning``    texts as the clean stage writes them
- ``verdicts``    texts judged by a recipe's rules, with every reason
- ``duplicates``  texts deduplicated, as ``tokenmill dedup run`` does it
"""
