"""The recipe: what a run is asked to do, validated before anything is loaded or read.

- ``load``: reads a recipe and its overrides, and explains every mistake; ``page`` writes docs/recipes.md.
- ``options``: the keys; ``filter_options`` and ``training_options`` have the larger sections.
- ``section``: the base of every section, and the types of values, paths among them.
- ``stage_names``: the stages in their order.
- ``depth``: the dial that sets the shape of a model and its training.
- ``minhash``: what similarity means.
- ``rule_sets``: the published rule sets and their thresholds; ``presets``: which of them suit a kind of text.
- ``language_codes``: codes as people write them, as the labels of the language model.
"""
