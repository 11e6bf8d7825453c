"""Quality classifiers: fastText, trained on texts that are wanted and texts that are not.

1. ``texts.py``          files, or a query over a run -> texts to train on
2. ``train.py``          texts -> model.bin and its card; ``fasttext_fit.py`` is the process that trains
3. ``card.py``           the threshold and the held-out report -> card.json, card.md, calibration.png
4. ``scorer.py``         model.bin and texts -> probabilities; ``fasttext_file.py`` checks the file before it is loaded
"""
