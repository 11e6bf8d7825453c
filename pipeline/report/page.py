"""Writes pages: every value escaped, every picture embedded, no script, nothing fetched."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.base.words import counted, duration, visible
from pipeline.recipe.load import Recipe, toml_text
from pipeline.report.charts.chart import Histogram, Lines
from pipeline.report.charts.svg import draw_svg
from pipeline.report.figures import DOUBTFUL_SCORE, Figures, Signal
from pipeline.report.hidden import Places
from pipeline.report.labels import FIGURES, figure_label, signal_label
from pipeline.report.summary import largest_reasons, remarks, tiles
from pipeline.report.written import number, percent
from pipeline.run.folder import Run

PAGES = Path(__file__).parent / "pages"
WORST_FIRST = ("quarantined", "excluded", "dedup", "filter", "tokenize")
ALONE = ("dedup", "filter")  # stages in which a document can fail several rules
RESULTS = (
    *("train_tokens", "validation_tokens", "vocabulary_size", "parameters", "steps"),
    *("train_loss", "validation_loss", "bits_per_byte", "unigram_bits_per_byte"),
)
TITLES = {
    "quarantined": "Quarantined: damaged records",
    "excluded": "Excluded: well-formed, not wanted",
    "dedup": "Dropped by dedup",
    "filter": "Dropped by filter",
    "tokenize": "Dropped by tokenize: too near to validation text",
}


def render_page(template: str, charts: Mapping[str, Histogram | Lines], values: dict[str, Any]) -> str:
    """Fills a template of the folder ``pages``.

    Args:
        template: Its file name.
        charts: By name; ``chart(name, description)`` in the template draws one.
        values: What the template shows.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters |= {"number": number, "percent": percent, "visible": visible, "duration": duration}
    environment.filters |= {"label": figure_label}

    def chart(name: str, description: str) -> Markup:
        return draw_svg(charts[name], description) if name in charts else Markup("")

    style = Markup((PAGES / "style.css").read_text("utf-8"))
    values = {**values, "chart": chart, "charts": sorted(charts), "style": style}
    return environment.get_template(template).render(**values)


def report_page(run: Run, figures: Figures, charts: Mapping[str, Histogram | Lines]) -> str:
    """The page of one run."""
    places = places_of(figures)
    values = {
        "title": visible(run.recipe.name),
        "figures": figures,
        "tiles": tiles(figures),
        "remarks": remarks(figures),
        "largest": largest_reasons(figures),
        "reasons": {stage: figures.reasons[stage] for stage in WORST_FIRST if figures.reasons.get(stage)},
        "alone_stages": ALONE,
        "titles": TITLES,
        "doubtful": DOUBTFUL_SCORE,
        "mixes": {name: mix.rows() for name, mix in figures.mixes.items()},
        "signal_words": {signal.name: signal_words(signal) for signal in figures.signals},
        "tokenizer": tokenizer_tables(figures.tokenizer),
        "result": plain_figures(figures.result),
        "samples": samples_by_prompt(figures.samples),
        "commands": commands_of(figures),
        "recipe": visible(recipe_text(run.recipe, places)),
    }
    return render_page("page.html.j2", charts, values)


def plain_figures(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The figures of a mapping that are one value each, in words and in the order of the words."""
    order = {name: place for place, name in enumerate(FIGURES)}
    plain = [(key, value) for key, value in found.items() if isinstance(value, int | float | str)]
    ordered = sorted(plain, key=lambda item: order.get(item[0], len(order)))
    return [(figure_label(key), number(value)) for key, value in ordered]


def places_of(figures: Figures) -> Places:
    """What is shown of the paths of a run: those below the folders in which its commands were given."""
    return Places(entry["folder"] for entry in figures.commands)


def commands_of(figures: Figures) -> list[dict[str, Any]]:
    """Each command once, as typed but for the places of this machine, with the stages that it finished."""
    found: dict[str, list[dict[str, str]]] = {}
    for entry in figures.commands:
        shown = visible(Places([entry["folder"]]).in_text(entry["command"]))
        found.setdefault(shown, []).append(entry)
    return [{"command": command, "finished": entries} for command, entries in found.items()]


def recipe_text(recipe: Recipe, places: Places) -> str:
    """The recipe as TOML, without the places of this machine."""
    return toml_text(places.in_values(recipe.model_dump(mode="json", exclude_none=True)))


def samples_by_prompt(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Samples of the same first words together, the latest checkpoint first."""
    prompts: dict[str, list[dict[str, Any]]] = {}
    for sample in samples:
        prompts.setdefault(str(sample.get("prompt", "")), []).append(sample)
    return [
        {"prompt": prompt, "samples": sorted(found, key=lambda sample: -int(sample.get("step", 0)))}
        for prompt, found in prompts.items()
    ]


def signal_words(signal: Signal) -> str:
    """A signal's histogram in a sentence: what it is for those who do not see it."""
    import numpy as np

    if not len(signal.values):
        return f"{signal_label(signal.name)}: no values"
    low, middle, high = np.quantile(signal.values, [0.05, 0.5, 0.95]).tolist()
    limits = [f"{t.words} {t.value:g} is asked, {counted(t.failed, 'document')} failed" for t in signal.thresholds]
    spread = f"half of the documents are below {middle:.4g}, 90 % between {low:.4g} and {high:.4g}"
    return f"{signal_label(signal.name)}: {spread}; {'; '.join(limits)}"


def tokenizer_tables(report: dict[str, Any]) -> dict[str, Any]:
    """The tokenizer's report as plain facts, and one table for each list or mapping of records in it."""
    facts = [(visible(label), value) for label, value in plain_figures(report)]
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
            plain = {name: item for name, item in value.items() if isinstance(item, int | float | str)}
            rows = [{"": FIGURES.get(name, name), "value": item} for name, item in plain.items()]
        if rows:
            columns = list(dict.fromkeys(column for row in rows for column in row))
            tables[visible(figure_label(key))] = {
                "columns": [visible(figure_label(column)) for column in columns],
                "rows": [[number(row.get(column, "")) for column in columns] for row in rows[:50]],
            }
    return {"facts": facts, "tables": tables, "tokens": tokens}
