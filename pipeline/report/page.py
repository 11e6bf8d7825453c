"""Writes pages: every value escaped, every picture embedded, no script, nothing fetched."""

import base64
from pathlib import Path
from typing import Any

from pipeline.base.words import counted, visible
from pipeline.recipe.load import recipe_toml
from pipeline.report.figures import Figures, Signal
from pipeline.report.training import finite
from pipeline.run.folder import Run

WORST_FIRST = ("quarantined", "excluded", "dedup", "filter", "tokenize")
RESULTS = {
    "train_tokens": "training tokens",
    "validation_tokens": "validation tokens",
    "vocabulary_size": "vocabulary",
    "parameters": "parameters",
    "steps": "steps",
    "train_loss": "training loss",
    "validation_loss": "validation loss",
    "bits_per_byte": "bits per byte",
    "unigram_bits_per_byte": "bits per byte, unigram model",
}
TITLES = {
    "quarantined": "Quarantined: damaged records",
    "excluded": "Excluded: well-formed, not wanted",
    "dedup": "Dropped by dedup",
    "filter": "Dropped by filter",
    "tokenize": "Dropped by tokenize: too near to validation text",
}


def render_page(template: str, pictures: dict[str, bytes], values: dict[str, Any]) -> str:
    """Fills a template of this folder.

    Args:
        template: Its file name.
        pictures: PNG bytes by name; ``picture(name, description)`` in the template embeds one.
        values: What the template shows.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    folder = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters |= {"number": number, "percent": percent, "visible": visible}

    def picture(name: str, description: str) -> Markup:
        if name not in pictures:
            return Markup("")
        data = base64.b64encode(pictures[name]).decode()
        return Markup('<img alt="{}" width="920" height="500" src="data:image/png;base64,{}">').format(
            description, data
        )

    values = {
        **values,
        "picture": picture,
        "pictures": sorted(pictures),
        "style": Markup((folder / "style.css").read_text("utf-8")),
    }
    return environment.get_template(template).render(**values)


def report_page(run: Run, figures: Figures, pictures: dict[str, bytes]) -> str:
    """The page of one run."""
    return render_page(
        "page.html.j2",
        pictures,
        {
            "title": visible(run.recipe.name),
            "figures": figures,
            "cards": cards(figures),
            "reasons": {stage: figures.reasons[stage] for stage in WORST_FIRST if figures.reasons.get(stage)},
            "titles": TITLES,
            "mixes": {name: mix.rows() for name, mix in figures.mixes.items()},
            "signal_words": {signal.name: signal_words(signal) for signal in figures.signals},
            "tokenizer": tokenizer_tables(figures.tokenizer),
            "result": [
                (key, number(value)) for key, value in figures.result.items() if isinstance(value, int | float | str)
            ],
            "samples": samples_by_prompt(figures.samples),
            "recipe": visible(recipe_toml(run.recipe)),
        },
    )


def samples_by_prompt(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Samples of the same first words together, the latest checkpoint first."""
    prompts: dict[str, list[dict[str, Any]]] = {}
    for sample in samples:
        prompts.setdefault(str(sample.get("prompt", "")), []).append(sample)
    return [
        {"prompt": prompt, "samples": sorted(found, key=lambda sample: -int(sample.get("step", 0)))}
        for prompt, found in prompts.items()
    ]


def cards(figures: Figures) -> list[dict[str, str]]:
    """The few figures that a reader wants first."""
    shown = [("records read", figures.count("records read")), ("documents kept", figures.count("documents kept"))]
    found = {**figures.tokens, **figures.result}
    shown += [(label, found[name]) for name, label in RESULTS.items() if name in found and name != "train_loss"]
    if figures.seconds:
        shown.append(("seconds", round(sum(figures.seconds.values()))))
    return [{"name": name, "value": number(value)} for name, value in shown]


def number(value: Any) -> str:
    """A figure as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if not finite(value):
            return "not a number"
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return visible(str(value))


def percent(share: float) -> str:
    """A share with as many digits as it needs: 42 %, 4.2 %, 0.042 %."""
    digits = 0 if share >= 0.1 or share == 0 else 1 if share >= 0.01 else 2 if share >= 0.001 else 3
    return f"{share:.{digits}%}".replace("%", "\N{NARROW NO-BREAK SPACE}%")


def signal_words(signal: Signal) -> str:
    """A signal's histogram in a sentence: what it is for those who do not see it."""
    import numpy as np

    if not len(signal.values):
        return f"{signal.name}: no values"
    low, middle, high = np.quantile(signal.values, [0.05, 0.5, 0.95]).tolist()
    limits = [
        f"{'at least' if t.bound == 'min' else 'at most'} {t.value:g} is asked, {counted(t.failed, 'document')} failed"
        for t in signal.thresholds
    ]
    spread = f"half of the documents are below {middle:.4g}, 90 % between {low:.4g} and {high:.4g}"
    return f"{signal.name}: {spread}; {'; '.join(limits)}"


def tokenizer_tables(report: dict[str, Any]) -> dict[str, Any]:
    """The tokenizer's report as plain facts, and one table for each list or mapping of records in it."""
    facts = [(visible(key), number(value)) for key, value in report.items() if isinstance(value, int | float | str)]
    tables = {}
    tokens = []
    use = report.get("vocabulary_use")
    for key, words in (("longest", "The longest tokens"), ("rarest", "The rarest tokens in use")):
        if isinstance(use, dict) and isinstance(use.get(key), list):
            shown = [(visible(str(row.get("token", ""))), number(row.get("count", 0))) for row in use[key]]
            tokens.append((words, shown))
    for key, value in report.items():
        rows = (
            [{"": name, **row} for name, row in value.items() if isinstance(row, dict)]
            if isinstance(value, dict)
            else ([row for row in value if isinstance(row, dict)] if isinstance(value, list) else [])
        )
        if not rows and isinstance(value, dict):
            rows = [{"": name, "value": item} for name, item in value.items() if isinstance(item, int | float | str)]
        if rows:
            columns = list(dict.fromkeys(column for row in rows for column in row))
            tables[visible(key)] = {
                "columns": [visible(column) for column in columns],
                "rows": [[number(row.get(column, "")) for column in columns] for row in rows[:50]],
            }
    return {"facts": facts, "tables": tables, "tokens": tokens}
