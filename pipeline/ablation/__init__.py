"""Ablation: the same small model on each variant of a recipe, and what the difference is worth.

1. ``variants.py``    RECIPE and ``--vary KEY=[...]`` -> one resolved recipe per variant
2. ``runner.py``      base run -> data of each variant (links, then what differs) -> a trial for each variant and seed
3. ``sharing.py``     a folder takes over finished outputs of another, by hard links
4. ``validation.py``  the text that every trial is scored on, and that none trains on; ``validation_work.py`` makes it
5. ``statistics.py``  paired differences with confidence intervals
6. ``results.py``     ablation.json; ``page.py`` ablation.html
"""
