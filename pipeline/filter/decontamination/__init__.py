"""Decontamination: which documents share text with the items of evaluation sets.

1. ``evaluation_sets.py``  JSONL, Parquet, text files and lm-eval tasks -> items
2. ``index.py``            items -> hashes of their n-grams; documents -> what they share with each item
3. ``scan.py``             evaluation sets against a finished run: ``tokenmill decontaminate``
"""
