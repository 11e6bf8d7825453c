"""``tokenmill dedup run``: the user's own files in, the kept records and the evidence of the removed ones out.

1. list the files, check what can be checked, and say what memory and disk it will take
2. first pass, in workers: hash and sign every text (scan.py)
3. join, verify, select: the code of the dedup stage (deduplicate.py)
4. last pass, in workers: write the kept records (writing.py); then the evidence, and everything appears at once
"""

import errno
import json
import multiprocessing
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.base.console import say
from pipeline.base.errors import RunError, UserError
from pipeline.base.pool import Pool
from pipeline.base.sizes import parse_memory
from pipeline.base.words import counted
from pipeline.dedup.command.corpus import CandidateSets, Corpus
from pipeline.dedup.command.input_size import estimate
from pipeline.dedup.command.output import CLUSTERS_FILE, QUARANTINE_FILE, REMOVED_FILE, SUMMARY, OutputFolder
from pipeline.dedup.command.scan import Job, Scanned, scan
from pipeline.dedup.command.writing import copy_ranges, write_kept
from pipeline.dedup.files.listing import File, Listing, list_files, parts_of
from pipeline.dedup.files.records import Wanted, check_text_column, schema_of
from pipeline.dedup.index.runs import against_digest, opened_against
from pipeline.dedup.rule import cost as planning
from pipeline.dedup.rule.deduplicate import Facts, Outcome, deduplicate
from pipeline.dedup.rule.join import Ints, Keys
from pipeline.dedup.rule.policy import FIRST, LICENCE, LONGEST, SOURCE, Criterion, by_column, by_length, by_pattern
from pipeline.dedup.rule.selection import Rule
from pipeline.recipe.options import Dedup
from pipeline.run.tables import KEPT_CLUSTERS, QUARANTINE, REMOVED, TableWriter, batches

TABLE_ROWS = 65_536
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    inputs: tuple[str, ...]
    output: Path
    options: Dedup
    text_field: str = "text"
    id_field: str = "id"
    url_field: str = "url"
    licence_field: str = "licence"
    exact_only: bool = False
    verify: bool = True
    workers: int = 1


def run(request: Request) -> dict[str, Any]:
    """Does the whole job; returns what ``summary.json`` says.

    Raises:
        UserError: If an input or an option cannot be used.
        RunError: If a file changes or goes, or the disk is full; nothing is then under a final name.
    """
    started = time.perf_counter()
    for place in request.options.against:
        against_digest(place, request.options.minhash)
    listing = list_files(request.inputs)
    for path in listing.passed_over:
        say(f"passed over, neither JSON Lines, Parquet nor Arrow: {path}")
    for file in listing.files:
        if file.format != "jsonl":
            check_text_column(file, schema_of(file)[0], request.text_field)
    with OutputFolder(request.output) as output:
        try:
            return _run(request, listing, output, started)
        except OSError as error:
            if error.errno in FULL:
                free, size = shutil.disk_usage(output.partial).free, sum(file.size for file in listing.files)
                raise RunError(
                    f"{output.path}: the disk is full: {error.strerror or error}; {free:,} bytes are free, the input "
                    f"has {size:,}; nothing was written"
                ) from error
            raise


def _run(request: Request, listing: Listing, output: OutputFolder, started: float) -> dict[str, Any]:
    options, files = request.options, listing.files
    jobs = _jobs(request, files, output.scratch)
    _say_cost(request, files, output)
    with _Workers(request.workers if len(jobs) > 1 else 1) as workers:
        scanned = workers.run(scan, [(job,) for job in jobs])
        corpus = Corpus(jobs, scanned)
        quarantined = _check(request, corpus, scanned)
        num_shingles = corpus.numbers("num_shingles").astype(np.int32)
        facts = Facts(
            corpus.hashes("text_hash"),
            num_shingles,
            _criteria(request, corpus),
            _url_hashes(request, corpus) if options.same_url else None,
        )
        with opened_against(options.against, options.minhash, output.scratch) as indexes:
            found = deduplicate(
                facts,
                Rule(options.threshold, options.copies, request.verify),
                CandidateSets(corpus, num_shingles, workers.run),
                None if request.exact_only else corpus.keys,
                options.bands,
                memory_bytes=int(parse_memory(options.memory) * planning.JOIN_SHARE),
                threads=request.workers,
                indexes=indexes,
            )
            _write_tables_and_kept(corpus, files, found, output, workers)
    _write_quarantine(jobs, output.partial / QUARANTINE_FILE)
    counts = found.counts()
    summary = {
        "records_in": len(corpus) + quarantined,
        "records_kept": len(corpus) - len(found.removed),
        "records_removed_exact": counts["removed_exact"],
        "records_removed_near": counts["removed_near"],
        "records_quarantined": quarantined,
        "records_removed_url": counts["removed_url"],
        "records_removed_earlier": int(found.is_earlier.sum()),
        "clusters": counts["clusters"],
        "largest_cluster": counts["largest_cluster"],
        "large_buckets": counts["large_buckets"],
        "duplicate_ids": _duplicate_ids(corpus),
        "seconds": round(time.perf_counter() - started, 3),
        "bytes_in": sum(file.size for file in files),
        "text_bytes": sum(item.text_bytes for item in scanned),
        "files": len(files),
        "files_passed_over": len(listing.passed_over),
        "root": listing.root,
        "options": _option_values(request),
    }
    (output.partial / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n")
    output.publish()
    return summary


def _option_values(request: Request) -> dict[str, Any]:
    values = request.options.model_dump(exclude={"memory"})
    fields = {name: getattr(request, name) for name in ("text_field", "id_field", "exact_only", "verify")}
    return values | fields


def _jobs(request: Request, files: Sequence[File], folder: Path) -> list[Job]:
    options = request.options
    others = [request.url_field] if options.same_url else []
    others += [options.keep] if options.keep not in (FIRST, LONGEST) else []
    others += [request.licence_field] if options.prefer_licences else []
    wanted = Wanted(request.text_field, request.id_field, tuple(others))
    return [
        Job(
            f"{number:05d}",
            tuple(parts),
            folder,
            wanted,
            options.minhash,
            request.exact_only,
            keep_signatures=not request.verify and not request.exact_only,
            by_url=options.same_url,
        )
        for number, parts in enumerate(parts_of(files))
    ]


def _say_cost(request: Request, files: Sequence[File], output: OutputFolder) -> None:
    """Tells what it will take, before anything large is read."""
    documents, text_bytes = estimate(files)
    memory = parse_memory(request.options.memory)
    cost = planning.cost(documents, text_bytes, request.options.bands, memory, request.workers)
    free = shutil.disk_usage(output.partial).free
    size = sum(file.size for file in files)
    say(
        f"{counted(len(files), 'file')}, {size / 1e6:,.1f} MB, about {counted(documents, 'record')}; memory about "
        f"{cost.memory_bytes / 1e6:,.0f} MB, disk about {cost.disk_bytes / 1e6:,.0f} MB of scratch and at most "
        f"{size / 1e6:,.0f} MB of kept records in {output.path.parent} ({free / 1e6:,.0f} MB free)"
    )
    if free < cost.disk_bytes + size:
        say("that may not fit the disk: where it does not, the command stops and leaves nothing behind")
    least = planning.memory_of_records(documents, request.options.bands)
    if least > memory:
        say(
            f"--memory {request.options.memory} bounds the join; what is held a record takes {least / 1e6:,.0f} MB more"
        )


class _Workers:
    """Calls functions in worker processes; with one worker, in this process."""

    def __init__(self, workers: int) -> None:
        self._pool: Pool | None = None
        if workers > 1:
            # one import of the kernels serves all workers
            multiprocessing.get_context("forkserver").set_forkserver_preload(["pipeline.dedup.command.scan"])
            self._pool = Pool(workers, fork=True)
        self.workers = workers

    def run(self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Results in the order of the calls."""
        if self._pool is None:
            return [function(*call) for call in calls]
        results: list[Any] = [None] * len(calls)
        for number, result in self._pool.run(function, [(call, number) for number, call in enumerate(calls)]):
            results[number] = result
        return results

    def __enter__(self) -> "_Workers":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._pool is not None:
            self._pool.__exit__(kind, error, trace)


def _check(request: Request, corpus: Corpus, scanned: Sequence[Scanned]) -> int:
    """Quarantined records in all.

    Raises:
        UserError: If no record has a text, or none has the id field that was asked for.
    """
    quarantined = sum(item.quarantined for item in scanned)
    problem = next((item.problem for item in scanned if item.problem), "")
    if quarantined and not len(corpus):
        wrong_field = any(f": {reason}: " in problem for reason in ("missing_text", "wrong_type"))
        hint = "another field with the text is named by --text-field" if wrong_field else "mend it or leave it out"
        raise UserError(
            f"no record has a text: {quarantined:,} of {quarantined:,} are damaged, the first: {problem}; {hint}"
        )
    if quarantined:
        say(f"quarantined {counted(quarantined, 'record')}, the first: {problem}")
    if request.id_field != "id" and len(corpus) and not corpus.numbers("id_hash").any():
        raise UserError(f"--id-field {request.id_field}: no record has it")
    return quarantined


def _duplicate_ids(corpus: Corpus) -> int:
    """Records whose id an earlier record has; told with an example, since removed.arrow then needs path and row."""
    hashes = corpus.numbers("id_hash")
    order = np.argsort(hashes, kind="stable")
    again = order[1:][(hashes[order[1:]] == hashes[order[:-1]]) & (hashes[order[1:]] != 0)]
    if len(again):
        name = corpus.names(np.array([again.min()]))[0]
        say(
            f"an id that an earlier record has: {counted(len(again), 'record')}, such as {name!r}; "
            "tell them apart by path and row"
        )
    return len(again)


def _criteria(request: Request, corpus: Corpus) -> list[Criterion]:
    """The survivor policy."""
    options, found = request.options, []
    position = 0  # the URL is not among these
    keep = options.keep
    column = None
    if keep not in (FIRST, LONGEST):
        column = by_column(keep, _known(f"--keep {keep}", corpus.other(position)))
        position += 1
    if options.prefer_sources:
        found.append(by_pattern(SOURCE, corpus.paths(), options.prefer_sources))
    if options.prefer_licences:
        values = _known(f"--licence-field {request.licence_field}", corpus.other(position))
        found.append(
            by_pattern(LICENCE, pa.chunked_array([v.cast(pa.string()) for v in values]), options.prefer_licences)
        )
    if keep == LONGEST:
        found.append(by_length(corpus.numbers("characters")))
    elif column is not None:
        found.append(column)
    return found


def _url_hashes(request: Request, corpus: Corpus) -> Keys:
    hashes = corpus.hashes("url_hash")
    if len(corpus) and not hashes.any():
        raise UserError(f"--same-url: no record has a URL in the field {request.url_field}; --url-field names another")
    return hashes


def _known(flag: str, pieces: list[pa.Array]) -> list[pa.Array]:
    if pieces and all(piece.null_count == len(piece) for piece in pieces) and sum(map(len, pieces)):
        raise UserError(f"{flag}: no record has this field")
    return pieces


def _write_tables_and_kept(
    corpus: Corpus, files: Sequence[File], found: Outcome, output: OutputFolder, workers: _Workers
) -> None:
    """The kept records, and meanwhile the evidence."""
    kept = np.ones(len(corpus), bool)
    kept[found.removed] = False
    starts, ends, rows = corpus.numbers("start"), corpus.numbers("end"), corpus.file_rows()
    copies, calls = [], []
    for file, (low, high) in zip(files, corpus.file_bounds(files), strict=True):
        chosen = low + np.flatnonzero(kept[low:high])
        target = output.kept / file.path
        if file.format == "jsonl" and file.compression is None:
            copies.append((file, np.stack([starts[chosen], ends[chosen]], axis=1), target))
        else:
            calls.append((file, rows[chosen], target))
    with ThreadPoolExecutor(workers.workers) as threads:  # the kernel copies: no lock of Python's is held
        copying = [threads.submit(copy_ranges, *copy) for copy in copies]
        _write_removed(corpus, found, output.partial / REMOVED_FILE)
        _write_clusters(corpus, found, output.partial / CLUSTERS_FILE)
        workers.run(write_kept, calls)
        for future in copying:
            future.result()


def _write_removed(corpus: Corpus, found: Outcome, path: Path) -> None:
    rules, sizes = found.rule_names(), found.cluster_sizes()
    with TableWriter(path, REMOVED) as writer:
        for start in range(0, len(found.removed), TABLE_ROWS):
            part = slice(start, start + TABLE_ROWS)
            removed, keepers = found.removed[part], found.keepers[part]
            paths, rows = corpus.places(removed)
            kept_names, kept_paths, kept_rows, kept_corpora = _kept_places(corpus, found, keepers)
            columns = [
                corpus.names(removed),
                kept_names,
                found.similarities[part],
                found.intersections[part],
                found.unions[part],
                rules[part],
                corpus.names(found.clusters[removed]),
                paths,
                rows,
                kept_paths,
                kept_rows,
                sizes[removed],
                found.chosen_by[part].cast(pa.string()),
                kept_corpora,
            ]
            _write_columns(writer, columns)


def _kept_places(
    corpus: Corpus, found: Outcome, keepers: Ints
) -> tuple[list[str], pa.Array, pa.Array, list[str | None]]:
    """Ids, paths, rows and earlier corpora of kept records; an earlier one has no path and row here."""
    earlier = keepers >= found.count
    inside = np.where(earlier, 0, keepers)
    names = corpus.names(inside)
    corpora: list[str | None] = [None] * len(keepers)
    paths, rows = corpus.places(inside)
    places = np.flatnonzero(earlier)
    for place, document in zip(places.tolist(), found.earlier_documents(keepers[places]), strict=True):
        names[place], corpora[place] = document.id.decode("utf-8", "replace"), document.corpus
    return names, _null_where(earlier, paths, pa.string()), _null_where(earlier, rows, pa.int64()), corpora


def _null_where(mask: NDArray[np.bool_], values: Any, kind: pa.DataType) -> pa.Array:
    column = pa.array(values, kind)
    return pc.if_else(pa.array(mask), pa.scalar(None, kind), column)


def _write_clusters(corpus: Corpus, found: Outcome, path: Path) -> None:
    kept = found.cluster_sizes() > 1
    kept[found.removed] = False
    records, sizes = np.flatnonzero(kept), found.cluster_sizes()
    with TableWriter(path, KEPT_CLUSTERS) as writer:
        for start in range(0, len(records), TABLE_ROWS):
            part = records[start : start + TABLE_ROWS]
            paths, rows = corpus.places(part)
            _write_columns(writer, [corpus.names(part), paths, rows, corpus.names(found.clusters[part]), sizes[part]])


def _write_columns(writer: TableWriter, columns: Sequence[Any]) -> None:
    arrays = [pa.array(column, field.type) for column, field in zip(columns, writer.schema, strict=True)]
    writer.write(pa.record_batch(arrays, schema=writer.schema))


def _write_quarantine(jobs: Sequence[Job], path: Path) -> None:
    """Every damaged record, where there are any."""
    found = [job.path("lost") for job in jobs if job.path("lost").exists()]
    if found:
        with TableWriter(path, QUARANTINE) as writer:
            for lost in found:
                for batch in batches(lost, QUARANTINE):
                    writer.write(batch)
