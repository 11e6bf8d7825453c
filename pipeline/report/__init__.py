"""One self-contained HTML page that says what was kept, what was dropped and why, and what the model learned.

1. ``stage.py``    the stage ``report``; it asks whether the page shows the present state
2. ``collect.py``  manifests and tables -> ``figures.py``, by records, documents, duplicates, signals and training
3. ``plots.py``    figures -> charts, which ``charts/`` draws
4. ``summary.py``  figures -> the first screen
5. ``page.py``     all of these -> report/index.html; ``compare.py`` the page of two runs; their templates: ``pages/``

``labels.py`` has the words for names, ``written.py`` figures as a person reads them, ``hidden.py`` what is not shown.
"""
