"""What the stages know about texts, measured on other people's tests: the second table of docs/conformance.md.

1. ``figures``        a figure, and the measures by name
2. ``encodings``      undeclared bytes, of Ousret/char-dataset
3. ``languages``      texts in 75 languages, of pemistahl/lingua-py
4. ``evaluation``     edited items of evaluation sets, of allenai/decon, found in documents
5. ``run``            measures from clones, and writes results.json

    python -m tests.conformance.facts.run --suites FOLDER [--only NAME] [--write]
"""
