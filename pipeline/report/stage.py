"""The report stage: report/index.html and its pictures, from manifests and tables alone.

The page shows seconds and so is outside the byte promise; what it was made from is recorded in report/made_from.json,
beside it rather than among the manifests.
"""

from typing import Any

from pipeline.base import storage
from pipeline.base.errors import parse_json
from pipeline.run import layout
from pipeline.run import manifest as manifests
from pipeline.run.context import Context, NeedsWork
from pipeline.run.folder import Run

LOGIC_VERSION = 5
FILES = ("funnel", "lengths", "similarity", "loss", "bits_per_byte", "throughput")  # also as report/NAME.png


def run(context: Context) -> dict[str, Any]:
    """Writes the report unless it shows the present state already."""
    made_from = _made_from(context.run)
    if not context.rebuild and is_current(context.run):
        context.shards_skipped += 1
        return {"page": layout.REPORT_PAGE}
    if context.dry:
        raise NeedsWork("report", 1, {"all": "not made from the present tables"}, what="the page")
    context.progress.step_started("report", 1, 0, "page")
    files = write(context.run)
    record = manifests.canonical_json({**made_from, "files": files}).encode()
    storage.publish_bytes(record, context.run.url(layout.REPORT_MADE_FROM), context.root)
    context.shards_run += 1
    return {"page": layout.REPORT_PAGE}


def _recorded(run: Run) -> dict[str, Any]:
    """What report/made_from.json says; empty where it is missing or damaged: the report is made again then."""
    url = run.url(layout.REPORT_MADE_FROM)
    try:
        recorded: Any = parse_json(storage.read_bytes(url))
    except (FileNotFoundError, ValueError):
        return {}
    named = recorded.get("files", {}) if isinstance(recorded, dict) else None
    if not isinstance(named, dict) or not all(map(_is_of_report, named)):
        return {}
    found: dict[str, Any] = recorded
    return found


def _is_of_report(path: str) -> bool:
    return path.startswith(layout.REPORT) and layout.is_output(path)


def made_files(run: Run) -> dict[str, str] | None:
    """Path -> digest of the report's files as they were made; None where nothing that can be read says so.

    A report of an earlier version names none.
    """
    recorded = _recorded(run)
    return dict(recorded.get("files", {})) if recorded else None


def _made_from(run: Run) -> dict[str, Any]:
    names = storage.list_files(run.url(layout.MANIFESTS), ".json")
    digests = {
        n: manifests.digest_bytes(storage.read_bytes(run.url(layout.MANIFESTS, n))) for n in names if "/" not in n
    }
    return {"logic_version": LOGIC_VERSION, "report": run.recipe.report.model_dump(mode="json"), "manifests": digests}


def is_current(run: Run) -> bool:
    """Whether the report shows the present state of the run."""
    recorded = _recorded(run)
    files = recorded.pop("files", {layout.REPORT_PAGE: None})
    stand = all(_stands(run, path, digest) for path, digest in files.items())
    return stand and recorded == _made_from(run)


def _stands(run: Run, path: str, digest: str | None) -> bool:
    url = run.url(path)
    return storage.exists(url) and digest in (None, manifests.digest_file(storage.open_local(url)))


def write(run: Run) -> dict[str, str]:
    """Draws the pictures and writes the page; returns the digest of each file by its path."""
    from pipeline.report.charts.png import draw_png
    from pipeline.report.collect import collect
    from pipeline.report.page import report_page
    from pipeline.report.plots import charts, funnel_chart

    figures = collect(run)
    drawn = charts(figures)
    pictures = {"funnel": funnel_chart(figures), **drawn}
    made = {layout.report_plot(name): draw_png(pictures[name]) for name in FILES if name in pictures}
    made[layout.REPORT_PAGE] = report_page(run, figures, drawn).encode()
    for path, data in made.items():
        storage.publish_bytes(data, run.url(path), run.root)
    return {path: manifests.digest_bytes(data) for path, data in made.items()}
