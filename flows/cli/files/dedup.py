"""``tokenmill dedup``: options in, lines out; pipeline/dedup does the work.  Neither Prefect nor torch is loaded."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from flows.display.loading import loading
from flows.display.options import (
    Bands,
    DryRun,
    Flag,
    GivenFile,
    Json,
    LocalPath,
    Memory,
    Ngram,
    Output,
    Overwrite,
    Processes,
    Repeated,
    Rows,
    Seed,
    Threshold,
    refuse_overwriting,
)
from flows.display.standard import as_files
from pipeline.base.console import emit, out, say
from pipeline.base.errors import UserError
from pipeline.base.words import counted, nearest
from pipeline.recipe.minhash import MINHASH, THRESHOLD
from pipeline.screen.cold import say_if_cold

# the flag alone: there is no --verify; the page shows the flag's own default
NO_VERIFY = Parameter(name="", negative="--no-verify", show_default=lambda verify: not verify)

dedup_app = App(
    name="dedup",
    help="Deduplicate your own files; see what a banding catches; compare two texts; keep an index of earlier ones.",
    help_format="plaintext",
)
dedup_app.command(
    "flows.cli.files.index:index_app",
    name="index",
    help="An on-disk index of earlier documents that names the one a new document duplicates.",
)


@dedup_app.command
def run(
    inputs: Annotated[list[str], Parameter(name="INPUT", negative=(), allow_leading_hyphen=True)],
    /,
    *,
    output: Annotated[Output, Parameter(allow_leading_hyphen=True)],
    text_field: str = "text",
    id_field: str = "id",
    csv: Repeated | None = None,
    threshold: Threshold = THRESHOLD,
    ngram: Ngram = MINHASH.ngram,
    bands: Bands = MINHASH.bands,
    rows: Rows = MINHASH.rows,
    seed: Seed = MINHASH.seed,
    exact_only: Flag = False,
    verify: Annotated[bool, NO_VERIFY] = True,
    keep: str = "first",
    copies: int = 1,
    prefer_source: Repeated | None = None,
    prefer_licence: Repeated | None = None,
    licence_field: str = "licence",
    same_url: Flag = False,
    url_field: str = "url",
    against: Repeated | None = None,
    one_file: Flag = False,
    removed: LocalPath | None = None,
    memory: Memory = "2GB",
    workers: Processes = 0,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> int:
    """Deduplicate your own files: text, JSON Lines, CSV, Parquet, Arrow, WARC, Office files, archives.

    Writes OUT/kept/ (the records kept, file by file), OUT/removed.arrow (why each other one went), OUT/clusters.arrow
    and OUT/summary.json; all of it at the end, or nothing. With - as INPUT standard input is read, in the format
    that its first bytes tell; with - as --output, JSON Lines are written to standard output.

    Example: tokenmill dedup run crawl/ notes.jsonl.gz --output unique --keep longest

    Parameters
    ----------
    inputs
        Files, globs and folders; - for standard input.
    output
        Folder to write to; it must not exist or be empty. With --overwrite it may hold an earlier output of this
        command, which stays until the new one is whole. - is standard output; with --one-file it is a file.
    text_field
        Field or column with the text; a dotted name looks into nested objects.
    id_field
        Field or column with the record's id.
    csv
        Dialect of CSV files as KEY=VALUE, by the keys of a recipe's [sources.csv]: delimiter=;, quote=', header=false,
        columns=id,text. May be given several times; the rest is told from each file.
    exact_only
        Remove equal texts only.
    verify
        Go by the estimated similarity: faster by little, and no guarantee for a removed record.
    keep
        Which of similar records stays: first, longest, or a field, highest first.
    copies
        Similar records that may be kept.
    prefer_source
        Input paths from best to worst, with * and ?; they decide before --keep. May be given several times.
    prefer_licence
        Licences from best to worst, with * and ?; they decide after --prefer-source. May be given several times.
    licence_field
        Field with the licence.
    same_url
        Keep only one of the records of one URL.
    url_field
        Field with the URL.
    against
        An index or run folder whose documents are not to come again. May be given several times.
    one_file
        Write all kept records to the file that --output names, such as kept.jsonl.gz, and no folder.
    removed
        File for the removed records and what was kept in their place, beside one file or standard output: .jsonl,
        .csv, .parquet or .arrow.
    dry_run
        Say what would be read, of which formats, and what it takes; write nothing.
    """
    with loading():
        from pipeline.base.pool import default_workers
        from pipeline.dedup.command.one_file import STANDARD, run_anywhere
        from pipeline.dedup.command.request import Request, checked_options
        from pipeline.dedup.files.table_file import TableFile
        from pipeline.recipe.csv_options import csv_of
        from pipeline.run.tables import REMOVED

    _refuse_unknown_options(inputs, str(output))
    options = checked_options(
        threshold=threshold,
        ngram=ngram,
        bands=bands,
        rows=rows,
        seed=seed,
        keep=keep,
        copies=copies,
        prefer_sources=prefer_source or [],
        prefer_licences=prefer_licence or [],
        same_url=same_url,
        against=against or [],
        memory=memory,
    )
    if against and not verify:
        raise UserError("--no-verify with --against: an index holds shingle sets to verify with, and no signatures")
    to_stdout = str(output) == STANDARD
    if to_stdout and json and not dry_run:
        raise UserError("--json with --output -: standard output has the kept records; name a file with --output")
    if one_file and output.is_dir():
        raise UserError(f"--one-file with --output {output}: a folder is there; name a file")
    if one_file and not dry_run:
        refuse_overwriting("--output", output, overwrite=overwrite)
    if removed is not None and not dry_run:
        refuse_overwriting("--removed", removed, overwrite=overwrite)
    table = None if removed is None else TableFile("--removed", removed, REMOVED)
    request = Request(
        inputs=tuple(inputs),
        output=output,
        options=options,
        text_field=text_field,
        id_field=id_field,
        csv=csv_of("--csv", csv) if csv else None,
        url_field=url_field,
        licence_field=licence_field,
        exact_only=exact_only,
        verify=verify,
        workers=workers or default_workers(),
        overwrite=overwrite,
        one_file=one_file,
        dry_run=dry_run,
    )
    if not dry_run:
        say_if_cold("dedup")
    summary = run_anywhere(request, table)
    if json:
        emit({"output": str(output), **summary})
        return 0
    tell = say if to_stdout else _words
    if dry_run:
        formats = ", ".join(f"{count:,} {name}" for name, count in summary["formats"].items())
        tell(f"would read {counted(summary['files'], 'file')} ({formats}) and write {output}; nothing is written")
        return 0
    tell(_counts(summary))
    if not to_stdout and not one_file:
        if output.suffix in (".jsonl", ".ndjson", ".csv", ".parquet"):
            tell(f"{output} is a folder; one file of all kept records is written with --one-file")
        tell(f"{output}: kept/, removed.arrow, clusters.arrow, summary.json; to look: tokenmill inspect {output}")
    return 0


def _refuse_unknown_options(inputs: list[str], output: str) -> None:
    """What begins with a hyphen is an option with a mistake in it, unless it is a hyphen alone."""
    help_line = "see tokenmill dedup run --help"
    if output.startswith("-") and output != "-":
        raise UserError(f"--output needs a value\n{help_line}")
    known = [f"--{name.replace('_', '-')}" for name in run.__annotations__]
    for name in inputs:
        if name.startswith("-") and name != "-":
            given = name.partition("=")[0]
            raise UserError(f"tokenmill dedup run has no option {given}{nearest(given, known)}\n{help_line}")


def _words(text: str) -> None:
    out(text, words=True)


def _counts(summary: dict[str, Any]) -> str:
    removed = summary["records_removed_exact"] + summary["records_removed_near"]
    return (
        f"{counted(summary['records_in'], 'record')}: {summary['records_kept']:,} kept, {removed:,} removed "
        f"({summary['records_removed_exact']:,} exact, {summary['records_removed_near']:,} near), "
        f"{summary['records_quarantined']:,} quarantined; {counted(summary['clusters'], 'cluster')}, the largest of "
        f"{summary['largest_cluster']:,}; {summary['seconds']:.1f} s"
    )


@dedup_app.command
def plan(
    *,
    threshold: Threshold = THRESHOLD,
    bands: Bands = MINHASH.bands,
    rows: Rows = MINHASH.rows,
    documents: Annotated[list[int] | None, Parameter(negative=())] = None,
    document_bytes: int = 3000,
    memory: Memory = "2GB",
    workers: Processes = 0,
    json: Json = False,
) -> int:
    """Show the S-curve (the chance to catch a pair by its similarity), and memory and disk for N documents.

    Example: tokenmill dedup plan --threshold 0.8 --bands 14 --rows 8 --documents 1000000

    Parameters
    ----------
    documents
        Documents to say the cost for; may be given several times.
    document_bytes
        Mean bytes of text in a document.
    """
    from pipeline.base.pool import default_workers
    from pipeline.base.sizes import parse_memory
    from pipeline.dedup.command.request import checked_options, positive
    from pipeline.dedup.rule.cost import plan as make_plan

    options = checked_options(threshold=threshold, bands=bands, rows=rows, memory=memory)
    counts = [positive("--documents", n) for n in documents or [10**5, 10**6, 10**7, 10**8]]
    size = positive("--document-bytes", document_bytes)
    made = make_plan(threshold, bands, rows, counts, size, parse_memory(options.memory), workers or default_workers())
    if json:
        emit(made)
        return 0
    out(f"{bands} bands x {rows} rows = {bands * rows} permutations")
    out(f"{'similarity':>10} {'caught':>8}")
    for point in made["curve"]:
        out(f"{point['similarity']:10.2f} {point['chance']:8.2%} {'#' * round(50 * point['chance'])}")
    out(f"pairs at the threshold {threshold:g}: {made['chance_at_threshold']:.2%} are caught")
    out(f"pairs of similarity {made['even_chance_at']:.3f}: half of them are")
    if made["suggested"]:
        out("to catch 99 % at the threshold: --bands {bands} --rows {rows}".format(**made["suggested"]))
    out(f"\n{'documents':>14} {'text':>9} {'memory':>9} {'scratch disk':>13}")
    for item in made["costs"]:
        sizes = [f"{item[name] / 1e9:,.1f} GB" for name in ("text_bytes", "memory_bytes", "disk_bytes")]
        out(f"{item['documents']:14,} {sizes[0]:>9} {sizes[1]:>9} {sizes[2]:>13}")
    return 0


@dedup_app.command
def compare(
    a: GivenFile,
    b: GivenFile,
    *,
    ngram: Ngram = MINHASH.ngram,
    bands: Bands = MINHASH.bands,
    rows: Rows = MINHASH.rows,
    seed: Seed = MINHASH.seed,
    threshold: Threshold = THRESHOLD,
    json: Json = False,
) -> int:
    """Show the exact and the estimated Jaccard similarity of two text files, and what would happen to them.

    Example: tokenmill dedup compare a.txt b.txt

    Parameters
    ----------
    a
        A text file, UTF-8; - reads standard input.
    b
        Another.
    """
    from pipeline.dedup.command.comparison import OUTCOMES, read_text
    from pipeline.dedup.command.comparison import compare as make_comparison
    from pipeline.dedup.command.request import checked_options

    options = checked_options(ngram=ngram, bands=bands, rows=rows, seed=seed, threshold=threshold)
    with as_files(a, b) as (one, other):
        found = {"a": a, "b": b, **make_comparison(read_text(Path(one)), read_text(Path(other)), options)}
    if json:
        emit(found)
        return 0
    out(f"shingles of {ngram} words: {found['shingles'][0]:,} and {found['shingles'][1]:,}")
    out(f"exact similarity      {found['similarity']:.4f}  ({found['intersection']:,} / {found['union']:,})")
    out(f"estimated similarity  {found['estimated_similarity']:.4f}  ({bands * rows} permutations)")
    out(
        f"equal bands           {found['bands_equal']} of {bands} (a pair this similar is caught {found['chance']:.2%})"
    )
    out(f"threshold {threshold:g}: {OUTCOMES[found['outcome']]}")
    return 0
