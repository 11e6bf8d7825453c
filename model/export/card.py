"""The README.md of an exported folder: which run and step it is of, its shape, and what it was trained on.

Nothing of the machine is named: the folder is made to be passed on.
"""

import json
import math

from model.network.config import ModelConfig
from model.plan.flops import parameter_counts
from pipeline.base.console import say
from pipeline.base.errors import TokenmillError, UnansweredError
from pipeline.base.words import counted
from pipeline.disclosure.facts import Facts, collect
from pipeline.export.hub import hub_languages
from pipeline.lineage.licences import attribution, cell
from pipeline.lineage.training import read_json_lines
from pipeline.recipe.load import toml_value
from pipeline.report.hidden import Places
from pipeline.report.page import recipe_text
from pipeline.run import layout
from pipeline.run.folder import Run

MOST_LANGUAGES = 30


def card(run: Run, config: ModelConfig, step: int) -> str:
    """The text of the card.

    Args:
        run: The run.
        config: The shape of its model.
        step: Of the checkpoint.
    """
    name = run.recipe.name
    parameters = sum(parameter_counts(config).values())
    facts = _facts(run, step)
    lines = [
        *("---", "library_name: transformers", "pipeline_tag: text-generation", "tags: [tokenmill]"),
        *([] if isinstance(facts, str) else _language_tags(facts)),
        *("---", ""),
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
        *_languages(facts),
        *_limits(config),
        *_licences(run, facts),
        *_recipe(run),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _facts(run: Run, step: int) -> Facts | str:
    """What was read up to the checkpoint; where the tokens are gone, why it cannot be told."""
    try:
        return collect(run, step)
    except UnansweredError:
        raise
    except TokenmillError as error:
        say(f"{error}; so the card names no languages, and no licences, of what it was trained on")
        return str(error).replace(run.root, "RUN")


def _language_tags(facts: Facts) -> list[str]:
    """The languages of a hundredth of the tokens or more, for the hub; values as JSON, which YAML reads."""
    least = facts.total["tokens"] / 100
    names = hub_languages(sorted(name for name, size in facts.languages.items() if size.read >= least))
    return ["language:", *(f"- {json.dumps(name)}" for name in names)] if names else []


def _languages(facts: Facts | str) -> list[str]:
    if isinstance(facts, str) or not facts.languages:
        return []
    rows = sorted(facts.languages.items(), key=lambda item: (-item[1].read, item[0]))
    total = max(1, facts.total["tokens"])
    lines = [f"| {cell(name)} | {size.read:,} | {size.read / total:.2%} |" for name, size in rows[:MOST_LANGUAGES]]
    if len(rows) > MOST_LANGUAGES:
        lines.append(f"| {counted(len(rows) - MOST_LANGUAGES, 'other')} | | |")
    return ["## Languages", "", "| language | tokens read | share |", "|---|---:|---:|", *lines, ""]


def _limits(config: ModelConfig) -> list[str]:
    return [
        "## Limits",
        "",
        "- It has had no training to follow instructions, and none to refuse anything: it goes on with a text as its "
        "training text would.",
        "- It says what its text says, right or wrong, and mixes it up: check what it writes.",
        f"- It sees {config.context_length:,} tokens at once. Languages and subjects that it has hardly read it writes "
        "badly.",
        "- What it repeats word for word of its text, personal data among it, was not measured here; nor was anything "
        "but the loss on held-out documents of the same sources.",
        "",
    ]


def _recipe(run: Run) -> list[str]:
    """The recipe, without places of the machine."""
    folders = [run.root, *(path for source in run.recipe.sources for path in source.paths)]
    text = recipe_text(run.recipe, Places(folder.rpartition("/")[0] for folder in folders))
    return ["", "## Recipe", "", "```toml", text.strip(), "```"]


def _validated(run: Run, step: int) -> list[str]:
    """The last validation up to the checkpoint; nothing where there was none."""
    found = [line for line in read_json_lines(run.url(layout.TRAIN_METRICS)) if "validation_loss" in line]
    last = next((line for line in reversed(found) if line["step"] <= step), None)
    loss = None if last is None else last["validation_loss"]
    if last is None or not isinstance(loss, float) or not math.isfinite(loss):
        return []
    return [f"- validation at step {last['step']:,}: loss {loss:.4f}, {last['bits_per_byte']:.4f} bits per byte"]


def _licences(run: Run, facts: Facts | str) -> list[str]:
    """The attribution below the card; where the tokens are gone, that it cannot be told."""
    if isinstance(facts, str):
        return ["## Attribution", "", f"What it was trained on by licence cannot be told any more: {facts}"]
    return ["#" + attribution(facts.total, run)]
