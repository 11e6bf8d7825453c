"""What is measured of a document, and the rules that judge it.

1. ``measure.py``         texts -> signals; ``stop_words.py`` has the words that one of them counts
2. ``predicates.py``      signals -> which rules of the rule sets each document fails
3. ``document_rules.py``  columns of documents/ -> the same, for language, length, licence, opt-out, URL, personal data
                          ``bad_words.py`` counts what one of them asks for, where a recipe does
4. ``verdicts.py``        both, and classifiers and evaluation sets -> the verdict table
5. ``compared.py``        one document beside every threshold, for people
6. ``cuts.py``            byte ranges that are cut out of a text instead of dropping it
"""
