"""The report stage: report/index.html and its pictures, from manifests and tables alone.

The page shows seconds and so is outside the byte promise; what it was made from is recorded in report/made_from.json,
beside it rather than among the manifests.
"""

import json
from typing import Any

from pipeline.base import storage
from pipeline.run import layout
from pipeline.run import manifest as manifests
from pipeline.run.context import Context, NeedsWork
from pipeline.run.folder import Run

LOGIC_VERSION = 3
FILES = ("funnel", "lengths", "similarity", "loss", "bits_per_byte", "throughput")  # also as report/NAME.png


def run(context: Context) -> dict[str, Any]:
    """Writes the report unless it shows the present state already."""
    made_from = _made_from(context.run)
    if not context.rebuild and is_current(context.run):
        context.shards_skipped += 1
        return {"page": layout.REPORT_PAGE}
    if context.dry:
        raise NeedsWork("report", 1, {"all": "not made from the present tables"})
    context.progress.step_started("report", 1, 0)
    write(context.run)
    storage.publish_bytes(
        manifests.canonical_json(made_from).encode(), context.run.url(layout.REPORT_MADE_FROM), context.root
    )
    context.shards_run += 1
    return {"page": layout.REPORT_PAGE}


def _made_from(run: Run) -> dict[str, Any]:
    names = storage.list_files(run.url(layout.MANIFESTS), ".json")
    digests = {
        n: manifests.digest_bytes(storage.read_bytes(run.url(layout.MANIFESTS, n))) for n in names if "/" not in n
    }
    return {"logic_version": LOGIC_VERSION, "report": run.recipe.report.model_dump(mode="json"), "manifests": digests}


def is_current(run: Run) -> bool:
    """Whether the report shows the present state of the run."""
    if not (storage.exists(run.url(layout.REPORT_PAGE)) and storage.exists(run.url(layout.REPORT_MADE_FROM))):
        return False
    recorded: dict[str, Any] = json.loads(storage.read_bytes(run.url(layout.REPORT_MADE_FROM)))
    return recorded == _made_from(run)


def write(run: Run) -> None:
    """Draws the pictures and writes the page."""
    from pipeline.report.collect import collect
    from pipeline.report.page import report_page
    from pipeline.report.plots import draw

    figures = collect(run)
    pictures = draw(figures)
    for name in FILES:
        if name in pictures:
            storage.publish_bytes(pictures[name], run.url(layout.report_plot(name)), run.root)
    storage.publish_bytes(report_page(run, figures, pictures).encode(), run.url(layout.REPORT_PAGE), run.root)
