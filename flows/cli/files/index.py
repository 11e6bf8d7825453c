"""``tokenmill dedup index``: options in, lines out; pipeline/dedup/index does the work."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from flows.display.options import (
    Bands,
    Flag,
    Json,
    LocalPath,
    Memory,
    Ngram,
    Output,
    Overwrite,
    Rows,
    Seed,
    Several,
    TextField,
    Workers,
    refuse_overwriting,
)
from flows.display.standard import lines_of
from pipeline.base.console import emit, out, say
from pipeline.base.errors import UserError
from pipeline.base.words import counted
from pipeline.recipe.minhash import MINHASH, THRESHOLD, MinHash

if TYPE_CHECKING:
    from pipeline.dedup.files.table_file import TableFile
    from pipeline.dedup.index.inputs import Source

IndexFolder = Annotated[LocalPath, Parameter(name="INDEX", help="The index.")]
Inputs = Annotated[list[str], Parameter(name="INPUT", negative=())]
CorpusName = Annotated[
    str | None, Parameter(help="Name of the files' corpus in matches; without it, the name of the first input.")
]
IdField = Annotated[str, Parameter(help="Field or column with the id; a record without one is named path:row.")]
KEEPS = ("longest", "first")

index_app = App(name="index", help_format="plaintext")  # its help stands where it is registered: dedup.py


@index_app.command
def build(
    index: Annotated[LocalPath, Parameter(name="INDEX")],
    inputs: Inputs,
    /,
    *,
    corpus: CorpusName = None,
    text_field: TextField = "text",
    id_field: IdField = "id",
    ngram: Ngram = MINHASH.ngram,
    bands: Bands = MINHASH.bands,
    rows: Rows = MINHASH.rows,
    seed: Seed = MINHASH.seed,
    json: Json = False,
) -> int:
    """Make an index of every document of some files or run folders.

    Example: tokenmill dedup index build corpus.index runs/2026-01 books/*.jsonl.gz

    Parameters
    ----------
    index
        Folder of the new index.
    inputs
        Files of every format that dedup run reads, globs, folders; run folders, of which what they keep is entered.
    """
    from pipeline.dedup.index.inputs import sources
    from pipeline.dedup.index.writer import build_index

    found = sources(inputs, corpus, text_field, id_field)
    state = build_index(index, MinHash(ngram, bands, rows, seed), ((s.corpus, s.batches()) for s in found))
    result = {"index": str(index), "documents": state.documents, **_lost(found), "corpora": _corpora(state.corpora)}
    if json:
        emit(result)
        return 0
    corpora = counted(len(state.corpora), "corpus", "corpora")
    out(f"{index}: {counted(state.documents, 'document')} of {corpora}", words=True)
    return 0


@index_app.command
def add(
    index: IndexFolder,
    inputs: Inputs,
    /,
    *,
    corpus: CorpusName = None,
    text_field: TextField = "text",
    id_field: IdField = "id",
    threshold: float = THRESHOLD,
    keep: str = "longest",
    all: Flag = False,
    removed: LocalPath | None = None,
    overwrite: Overwrite = False,
    memory: Memory = "1GB",
    workers: Workers = 1,
    json: Json = False,
) -> int:
    """Add what is new in a batch: neither a duplicate of an earlier document, nor of another of the batch.

    Example: tokenmill dedup index add corpus.index new.jsonl --removed duplicates.arrow

    Parameters
    ----------
    inputs
        As for build.
    threshold
        Exact Jaccard similarity from which a document is a duplicate.
    keep
        Which of similar new documents is entered: longest or first.
    all
        Enter duplicates too: documents that are in use already.
    removed
        File to write: one row per duplicate, with the document kept in its place. In JSON Lines, CSV, TSV or
        Parquet where its name says so, else in Arrow.
    workers
        Groups of candidates compared at a time.
    """
    from pipeline.base.sizes import parse_memory
    from pipeline.dedup.command.request import checked_options
    from pipeline.dedup.index.add import Policy, add_new
    from pipeline.dedup.index.inputs import sources
    from pipeline.dedup.index.writer import add_all

    checked_options(threshold=threshold, memory=memory)
    if keep not in KEEPS:
        raise UserError(f"--keep {keep}: expected {' or '.join(KEEPS)}")
    if all and removed:
        raise UserError("--removed has nothing to say with --all, which removes nothing")
    target = _matches_file("--removed", removed, overwrite)
    policy = Policy(threshold, keep == "longest", parse_memory(memory), max(workers, 1))
    found = sources(inputs, corpus, text_field, id_field)
    if all:
        counts = {"added": sum(add_all(index, source.corpus, source.batches()) for source in found)}
    else:
        done = [add_new(index, source.corpus, source.batches(), policy) for source in found]
        counts = {name: sum(getattr(item, name) for item in done) for name in ("documents", "added", "unchanged")}
        counts["removed"] = sum(len(item.removed) for item in done)
        if target:
            target.publish(item.removed for item in done)
    if json:
        emit({"index": str(index), **counts, **_lost(found), "output": str(removed) if removed else None})
        return 0
    out(f"{index}: " + ", ".join(f"{number:,} {name}" for name, number in counts.items()), words=True)
    return 0


@index_app.command
def query(
    index: IndexFolder,
    inputs: Inputs,
    /,
    *,
    text_field: TextField = "text",
    id_field: str = "id",
    threshold: float = THRESHOLD,
    output: Output | None = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Name the earlier documents that each document duplicates; change nothing.

    Example: tokenmill dedup index query corpus.index new.jsonl --threshold 0.7

    Parameters
    ----------
    inputs
        As for build.
    id_field
        Field or column with the id.
    threshold
        Least exact Jaccard similarity of a match.
    output
        File to write the matches to, instead of printing them: .jsonl, .csv, .tsv, .parquet, or Arrow.
    """
    from pipeline.dedup.command.request import checked_options
    from pipeline.dedup.index.inputs import sources
    from pipeline.dedup.index.query import matches_table
    from pipeline.dedup.index.query import query as find_matches
    from pipeline.dedup.index.reader import open_index

    checked_options(threshold=threshold)
    target = _matches_file("--output", output, overwrite)
    found = sources(inputs, None, text_field, id_field)
    documents = matched = 0
    tables = []
    with open_index(index) as opened:
        for source in found:
            for batch in source.batches():
                matches = find_matches(opened, batch.texts.to_pylist(), threshold)
                documents, matched = documents + len(matches), matched + sum(map(bool, matches))
                tables.append(matches_table(batch.ids, matches))
    if target:
        target.publish(tables)
    rows = [] if target else [row for table in tables for row in table.to_pylist()]
    result = {"index": str(index), "documents": documents, "matched": matched, **_lost(found)}
    if json:
        emit({**result, "output": str(output) if output else None, "matches": rows})
        return 0
    for row in rows:
        out(f"{row['id']}\t{row['rule']} {row['similarity']:.4f}\t{row['kept_corpus']}\t{row['kept_id']}")
    out(f"duplicates of an earlier document: {matched:,} of {documents:,}")
    return 0


@index_app.command
def remove(
    index: IndexFolder,
    /,
    *,
    ids: Several | None = None,
    ids_file: Annotated[LocalPath, Parameter(allow_leading_hyphen=True)] | None = None,
    corpus: str | None = None,
    json: Json = False,
) -> int:
    """Forget withdrawn documents: no later answer names them, and their hashes leave the disk.

    Example: tokenmill dedup index remove corpus.index --ids doc-17 doc-18

    Parameters
    ----------
    ids
        Their ids; of run folders, doc_ids in hex.
    ids_file
        Text file with an id on each line; - reads standard input.
    corpus
        Only documents of the corpus of this name.
    """
    from pipeline.dedup.index.writer import remove_documents

    chosen = [*(ids or []), *(lines_of("--ids-file", ids_file) if ids_file else [])]
    if not chosen:
        raise UserError("name the documents with --ids or --ids-file")
    removed = remove_documents(index, chosen, corpus)
    if json:
        emit({"index": str(index), "asked": len(set(chosen)), "removed": removed})
        return 0
    out(f"{index}: {counted(removed, 'document')} removed, of {counted(len(set(chosen)), 'id')}", words=True)
    return 0


@index_app.command
def verify(index: IndexFolder, /, *, json: Json = False) -> int:
    """Read every byte of an index against its checksums, and tell what it holds.

    Example: tokenmill dedup index verify corpus.index
    """
    from pipeline.dedup.index.reader import open_index
    from pipeline.dedup.index.state import described

    with open_index(index) as opened:
        opened.verify()
        state = opened.state
    if json:
        definition = described(state.definition)
        corpora = _corpora(state.corpora)
        emit({"index": str(index), "documents": state.documents, "corpora": corpora, "definition": definition})
        return 0
    out(f"{index}: {counted(state.documents, 'document')}, no file is damaged")
    for corpus in state.corpora:
        out(f"  {corpus.documents:12,} {corpus.name}")
    return 0


def _matches_file(option: str, path: Path | None, overwrite: bool) -> "TableFile | None":
    """The table of matches to be written; refused where something stands there."""
    from pipeline.dedup.files.table_file import TableFile
    from pipeline.run.tables import INDEX_MATCHES

    if path is None:
        return None
    file = TableFile(option, path, INDEX_MATCHES)  # refuses what is no such table, --overwrite or not
    refuse_overwriting(option, path, overwrite=overwrite)
    return file


def _lost(found: "list[Source]") -> dict[str, Any]:
    """Records without a text that can be read."""
    quarantined = sum(source.quarantined for source in found)
    if quarantined:
        problem = next(source.problem for source in found if source.problem)
        say(f"no text that can be read: {counted(quarantined, 'record')}, the first: {problem}")
    return {"quarantined": quarantined}


def _corpora(corpora: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"name": corpus.name, "root": corpus.root, "documents": corpus.documents} for corpus in corpora]
