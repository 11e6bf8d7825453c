"""``tokenmill documents``: the documents of a run, for other tools."""

import sys
from typing import Annotated

from cyclopts import App, Parameter

from flows.display.answer import answer
from flows.display.options import Json, Overwrite, Processes
from pipeline.base.errors import UserError, naming
from pipeline.base.pool import default_workers
from pipeline.base.sizes import parse_memory
from pipeline.base.words import counted
from pipeline.export import folder
from pipeline.export.columns import choose_columns
from pipeline.export.documents import check_selection
from pipeline.export.request import SHARD_BYTES, Format, Request, check_format
from pipeline.run.folder import Run

documents_app = App(
    name="documents",
    help="The documents of a run for other tools: Parquet, JSON Lines, Arrow, a Hugging Face folder.",
    help_format="plaintext",
)


@documents_app.command(name="export")
def export_documents(
    root: str,
    *,
    output: Annotated[str, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)],
    format: str | None = None,
    select: str = "kept",
    columns: str = "",
    shard_size: str = f"{SHARD_BYTES >> 20}MiB",
    workers: Processes = 0,
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Write the documents of a run with their verdicts and cuts applied; an interrupted export goes on.

    Example: tokenmill documents export runs/demo --output kept --columns text,url,licence,quality_score

    Parameters
    ----------
    root
        The run folder.
    output
        The folder or URL to write to; "-" writes JSON Lines to standard output.
    format
        parquet | jsonl | arrow | hf (a folder that `datasets.load_dataset` opens). By default parquet; to standard
        output jsonl, and nothing else.
    select
        kept | dropped | all; what was taken down is in none of them.
    columns
        Names with commas between them: columns of documents/ and signals/, and kept, reasons, split, cut_bytes,
        kept_id, similarity, cluster_id. By default all of documents/.
    shard_size
        Text in one file, about.
    """
    run = Run.open(root)
    chosen_by = check_selection(select)
    wanted = [name.strip() for name in columns.split(",") if name.strip()]
    request = Request(
        run,
        choose_columns(run, wanted or None, chosen_by),
        chosen_by,
        _format(format, output),
        parse_memory(shard_size, "--shard-size"),
    )
    if output == "-":
        if json:
            raise UserError("--json and --output -: both want standard output; name a folder, or leave --json out")
        return _to_standard_output(request)
    with naming(output):
        result = folder.write(request, output, workers or default_workers(), overwrite=overwrite)
    text = f"{output}: {counted(result['documents'], 'document')} in {counted(result['files'], 'file')}, "
    resumed = f", {result['resumed_files']} of them from an interrupted export" if result["resumed_files"] else ""
    return answer(json, {"output": output, **result}, f"{text}{result['bytes']:,} bytes{resumed}", made=True)


def _format(name: str | None, output: str) -> Format:
    """The format that was asked for; standard output gets lines."""
    found = check_format(name or ("jsonl" if output == "-" else "parquet"))
    if output == "-" and found != "jsonl":
        raise UserError(f"--format {found} and --output -: standard output gets jsonl; name a folder")
    return found


def _to_standard_output(request: Request) -> int:
    for lines in folder.stream(request):
        sys.stdout.buffer.write(lines)
    sys.stdout.buffer.flush()
    return 0
