"""Commands that show what a run holds: inspect, report."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.display.answer import answer
from flows.display.options import Json, Output, Overwrite, refuse_overwriting
from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.run import layout
from pipeline.run.folder import Run


def inspect(
    path: str,
    what: str | None = None,
    *,
    rows: Annotated[int, Parameter(name=["--rows", "-n"])] = 5,
    json: Json = False,
) -> int:
    """Show the counts, schema and a few rows of a table, or what a run folder or a dedup output holds.

    Example: tokenmill inspect runs/demo/documents/00000.arrow --rows 3

    Example: tokenmill inspect runs/demo sql-select.html

    Parameters
    ----------
    path
        An Arrow, Parquet or JSONL file, a run folder or its quarantine/ or excluded/ (counted by file and reason), or
        the output folder of `tokenmill dedup run`, or a dedup index.
    what
        Show only the records of a run that this names: a doc_id, URL, id, path, file name or phrase, as in `tokenmill
        explain`. Of a table: the rows that hold these words.
    rows
        Rows to show; of a dedup output, clusters.
    """
    from pipeline.inspection.describe import describe

    described = describe(path, rows, what)
    return answer(json, described, described["text"])


def report(
    root: str,
    other: str | None = None,
    *,
    output: Output | None = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Write report/index.html of a run from its manifests and tables, or one page of two runs side by side.

    Example: tokenmill report runs/demo runs/stricter

    Parameters
    ----------
    root
        The run folder.
    other
        Another run: the page then shows both, and what differs.
    output
        Where the page of two runs is written; by default RUN/report/and-OTHER.html.
    """
    if other is not None:
        return _compared(root, other, output, overwrite, json)
    if output is not None:
        raise UserError("--output is for the page of two runs; that of one is RUN/report/index.html")
    from flows.session.stages import run_stage, working_context
    from pipeline.base.pool import Pool

    opened = Run.open(root)
    with opened.lock(), Pool(1) as pool:
        summary = run_stage("report", working_context(opened, pool, rebuild=True))
    return answer(json, {"root": root, **summary}, opened.url(layout.REPORT_PAGE), made=True)


def _compared(root: str, other: str, output: Path | None, overwrite: bool, json: bool) -> int:
    from pipeline.report.compare import compare_page

    first, second = Run.open(root), Run.open(other)
    place = first.url(f"{layout.REPORT}and-{Path(other.rstrip('/')).name}.html") if output is None else str(output)
    if storage.is_local(place):
        refuse_overwriting("--output", storage.local_path(place), overwrite=overwrite)
    elif not overwrite and storage.exists(place):
        raise UserError(f"{place}: is there already; write to --output FILE, or replace it with --overwrite")
    page = compare_page(first, second).encode()
    try:
        if output is None:
            storage.publish_bytes(page, place, first.root)
        else:
            output.write_bytes(page)
    except OSError as error:
        raise UserError(f"{place}: cannot be written: {error.strerror}; name another with --output") from error
    return answer(json, {"roots": [root, other], "page": place}, place, made=True)
