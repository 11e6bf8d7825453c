"""Decontamination: which documents share text with the items of evaluation sets.

1. ``set_files.py``        data files of every format and lm-eval tasks -> values
2. ``evaluation_sets.py``  values -> items
3. ``build.py``            items -> hashes of their n-grams (``index.py``), and short texts (``short_texts.py``)
4. ``index.py``            documents -> what they share with each item
5. ``scan.py``             evaluation sets against a finished run: ``tokenmill decontaminate``

``text_words.py`` has the words of a text, ``reach.py`` what is too short to be looked for.
"""
