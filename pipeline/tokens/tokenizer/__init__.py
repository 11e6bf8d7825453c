"""The tokenizer of a run.

1. ``survey.py``        the step ``tokenize.survey``: what the kept documents hold, and those that engines are proven on
2. ``training.py``      the step ``tokenize.tokenizer``: byte-level BPE on a weighted sample, or a given tokenizer
3. ``definition.py``    ``tokenizer.json``: how text is cut, special tokens, one from a ``.tiktoken`` file
4. ``engines.py``       gigatoken or ``tokenizers``: Arrow text -> ids; the one that a run encodes with
5. ``report.py``        what the tokenizer does to the corpus: tokenizer/report.json
6. ``byte_lengths.py``  bytes of text that each token stands for
"""
