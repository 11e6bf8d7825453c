"""The report stage: report/index.html and its pictures, from manifests and tables alone.

The page shows seconds and so is outside the byte promise; what it was made from is recorded in report/made_from.json,
beside it rather than among the manifests.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline import manifest as manifests
from pipeline import storage
from pipeline.engine import Context, NeedsWork
from pipeline.recipe import recipe_toml
from pipeline.report.collect import Figures, collect
from pipeline.run import Run

LOGIC_VERSION = 1
MADE_FROM = "report/made_from.json"
PAGE = "report/index.html"


def run(context: Context) -> dict[str, Any]:
    """Writes the report unless it shows the present state already."""
    made_from = _made_from(context.run)
    if not context.rebuild and _is_current(context.run, made_from):
        context.shards_skipped += 1
        return {"page": PAGE}
    if context.dry:
        raise NeedsWork("report", 1, {"all": "not made from the present tables"})
    context.progress.step_started("report", 1, 0)
    write(context.run)
    storage.publish_bytes(manifests.canonical_json(made_from).encode(), context.run.url(MADE_FROM), context.root)
    context.shards_run += 1
    return {"page": PAGE}


def _made_from(run: Run) -> dict[str, Any]:
    names = storage.list_files(run.url(manifests.FOLDER), ".json")
    digests = {
        n: manifests.digest_bytes(storage.read_bytes(run.url(manifests.FOLDER, n))) for n in names if "/" not in n
    }
    return {"logic_version": LOGIC_VERSION, "report": run.recipe.report.model_dump(mode="json"), "manifests": digests}


def _is_current(run: Run, made_from: dict[str, Any]) -> bool:
    if not (storage.exists(run.url(PAGE)) and storage.exists(run.url(MADE_FROM))):
        return False
    recorded: dict[str, Any] = json.loads(storage.read_bytes(run.url(MADE_FROM)))
    return recorded == made_from


def write(run: Run) -> None:
    """Draws the pictures and writes the page."""
    from pipeline.report.plots import draw

    figures = collect(run)
    pictures = draw(figures)
    for name, data in pictures.items():
        storage.publish_bytes(data, run.url(f"report/{name}.png"), run.root)
    storage.publish_bytes(render(run, figures, pictures).encode(), run.url(PAGE), run.root)


def render(run: Run, figures: Figures, pictures: dict[str, bytes]) -> str:
    """The page: every value escaped, every picture embedded, no script, nothing fetched."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )

    def picture(name: str, description: str) -> Markup:
        if name not in pictures:
            return Markup("")
        data = base64.b64encode(pictures[name]).decode()
        return Markup('<img alt="{}" src="data:image/png;base64,{}">').format(description, data)

    return environment.get_template("page.html.j2").render(**_values(run, figures, picture))


def _values(run: Run, figures: Figures, picture: Callable[..., Any]) -> dict[str, Any]:
    return {
        "title": run.recipe.name,
        "figures": figures,
        "picture": picture,
        "cards": _cards(figures),
        "mixes": {name: mix.rows() for name, mix in figures.mixes.items()},
        "cluster_total": sum(figures.cluster_sizes.values()),
        "result": [
            (key, _shown(value)) for key, value in figures.result.items() if isinstance(value, int | float | str)
        ],
        "recipe": recipe_toml(run.recipe),
    }


def _cards(figures: Figures) -> list[dict[str, str]]:
    counts = {row["name"]: row["count"] for row in figures.funnel}
    cards = [("records read", counts["records read"]), ("documents kept", counts["documents kept"])]
    wanted = ("train_tokens", "validation_tokens", "bits_per_byte", "unigram_bits_per_byte")
    found = {**figures.tokens, **figures.result}
    cards += [(name.replace("_", " "), found[name]) for name in wanted if name in found]
    return [{"name": name, "value": _shown(value)} for name, value in cards]


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}" if isinstance(value, float) else str(value)
