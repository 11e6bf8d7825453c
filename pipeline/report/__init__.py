"""One self-contained HTML page that says what was kept, what was dropped and why, and what the model learned.

1. ``stage.py``    the stage ``report``; it asks whether the page shows the present state
2. ``collect.py``  manifests and tables -> ``figures.py``, by records, documents, duplicates, signals and training
3. ``plots.py``    figures -> pictures
4. ``page.py``     figures and pictures -> report/index.html; ``compare.py`` the page of two runs
"""
