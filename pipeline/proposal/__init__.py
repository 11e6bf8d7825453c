"""`tokenmill init`: looks at somebody's files, and proposes a recipe for them.

1. ``sources.py``  the files -> sources: formats, kinds that nobody reads, the columns that hold the text
   (``lists.py``: where it lies in lists).
2. ``trial.py``    a sample through the real clean and filter stages: languages, reasons, what each preset keeps.
3. ``sizes.py``    tokens -> vocabulary, model and steps.
4. ``write.py``    all that as a commented recipe.
"""
