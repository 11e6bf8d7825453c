"""The README.md of an exported folder: which run and step it is of, its shape, and what it was trained on.

Nothing of the machine is named: the folder is made to be passed on.
"""

import math

from model.network.config import ModelConfig
from model.plan.flops import parameter_counts
from pipeline.base.errors import TokenmillError
from pipeline.lineage.licences import attribution, licences
from pipeline.lineage.training import read_json_lines
from pipeline.recipe.load import toml_value
from pipeline.run import layout
from pipeline.run.folder import Run


def card(run: Run, config: ModelConfig, step: int) -> str:
    """The text of the card.

    Args:
        run: The run.
        config: The shape of its model.
        step: Of the checkpoint.
    """
    name = run.recipe.name
    parameters = sum(parameter_counts(config).values())
    lines = [
        *("---", "library_name: transformers", "pipeline_tag: text-generation", "tags: [tokenmill]", "---", ""),
        *(f"# {name}", ""),
        f"A language model of {parameters:,} parameters, trained with tokenmill: checkpoint of step {step:,} of the "
        f"recipe `{name}`.",
        "",
        f"- shape: {config.architecture}, {config.layers} layers, {config.heads} heads, width {config.width}, context "
        f"of {config.context_length:,} tokens, vocabulary of {config.vocabulary_size:,}",
        f"- tokens read: {step * run.recipe.train.global_batch_tokens:,}",
        *_validated(run, step),
        f"- sources: {toml_value([source.name for source in run.recipe.sources])}",
        "",
        "It has had no training to follow instructions, and it says what its text says: check what it writes.",
        "",
        *_licences(run, step),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _validated(run: Run, step: int) -> list[str]:
    """The last validation up to the checkpoint; nothing where there was none."""
    found = [line for line in read_json_lines(run.url(layout.TRAIN_METRICS)) if "validation_loss" in line]
    last = next((line for line in reversed(found) if line["step"] <= step), None)
    loss = None if last is None else last["validation_loss"]
    if last is None or not isinstance(loss, float) or not math.isfinite(loss):
        return []
    return [f"- validation at step {last['step']:,}: loss {loss:.4f}, {last['bits_per_byte']:.4f} bits per byte"]


def _licences(run: Run, step: int) -> list[str]:
    """The attribution below the card; where the tokens are gone, that it cannot be told."""
    try:
        return ["#" + attribution(licences(run, step), run)]
    except TokenmillError as error:
        reason = str(error).replace(run.root, "RUN")
        return ["## Attribution", "", f"What it was trained on by licence cannot be told any more: {reason}"]
