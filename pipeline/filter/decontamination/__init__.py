"""Decontamination: which documents share text with the items of evaluation sets.

1. ``set_files.py``        data files of every format and lm-eval tasks -> values
2. ``evaluation_sets.py``  values -> items
3. ``index.py``            items -> hashes of their n-grams; documents -> what they share with each item
4. ``scan.py``             evaluation sets against a finished run: ``tokenmill decontaminate``
"""
