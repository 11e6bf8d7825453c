"""``tokenmill dedup run``: the user's own files in, the kept records and the evidence of the removed ones out.

1. list the files, check what can be checked, and say what memory and disk it will take
2. first pass, in workers: hash and sign every text (scan.py)
3. join, verify, select: the code of the dedup stage (rule/deduplicate.py)
4. last pass, in workers: write the kept records (kept_records.py) and the evidence (evidence.py)
5. everything appears at once (output_folder.py)
"""

import json
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.console import say
from pipeline.base.errors import FULL, RunError, UserError, in_brief, naming
from pipeline.base.progress import working
from pipeline.base.sizes import parse_memory
from pipeline.base.words import counted, largest_first
from pipeline.dedup.command.corpus import FileCorpus
from pipeline.dedup.command.evidence import write_clusters, write_quarantine, write_removed
from pipeline.dedup.command.input_size import estimate
from pipeline.dedup.command.kept_columns import parquet_codecs
from pipeline.dedup.command.kept_records import Kept, copy_ranges, way_of, write_kept
from pipeline.dedup.command.output_folder import OutputFolder
from pipeline.dedup.command.request import Request
from pipeline.dedup.command.scan import ScanJob, Scanned, scan
from pipeline.dedup.command.workers import Workers, call_all, start_workers
from pipeline.dedup.files.columns import check_texts
from pipeline.dedup.files.input_files import File, Listing, list_files, parts_of
from pipeline.dedup.files.items import in_words
from pipeline.dedup.files.own_outputs import CLUSTERS_FILE, QUARANTINE_FILE, REMOVED_FILE, SUMMARY
from pipeline.dedup.index.runs import against_digest, opened_against
from pipeline.dedup.rule import cost as planning
from pipeline.dedup.rule.deduplicate import Facts, Outcome, deduplicate
from pipeline.dedup.rule.policy import survivor_policy
from pipeline.dedup.rule.selection import Rule, Search
from pipeline.dedup.rule.shingle_sets import SetsOnDemand
from pipeline.readers.records import Damaged
from pipeline.recipe.minhash import JOIN_SHARE

DAMAGE_OF_FILES = ("corrupt_file", "corrupt_rows", "unreadable", "decompression_bomb", "reader_failed")


def run(request: Request, leaving_out: Path | None = None) -> dict[str, Any]:
    """Does the whole job; returns what ``summary.json`` says.

    Args:
        request: What is asked for.
        leaving_out: A file among the inputs that is to be replaced.

    Raises:
        UserError: If an input or an option cannot be used.
        RunError: If a file changes or goes, or the disk is full; nothing is then under a final name.
    """
    started = time.perf_counter()
    for place in request.options.against:
        against_digest(place, request.options.minhash)
    listing = list_files(request.inputs, leaving_out)
    check_texts(listing.files, request.wanted)
    if request.dry_run:
        return _plan(request, listing)
    with naming(str(request.output)), OutputFolder(request.output, overwrite=request.overwrite) as output:
        try:
            return _run(request, listing, output, started)
        except OSError as error:
            if error.errno in FULL:
                free, size = shutil.disk_usage(output.partial).free, sum(file.size for file in listing.files)
                raise RunError(
                    f"{output.path}: {in_brief(error)}; {free:,} bytes of the disk are free, the input "
                    f"has {size:,}; nothing was written"
                ) from error
            raise


def _run(request: Request, listing: Listing, output: OutputFolder, started: float) -> dict[str, Any]:
    options, files = request.options, listing.files
    jobs = _jobs(request, files, output.scratch)
    _say_cost(request, files, output.path.parent)
    processes = request.workers if len(jobs) > 1 else 1
    codecs = parquet_codecs(files)
    with start_workers(processes) as workers:
        scanned = call_all(workers, scan, [(job,) for job in jobs], "dedup: reading")
        corpus = FileCorpus(jobs, scanned, request)
        quarantined = _check(request, corpus, scanned)
        facts = Facts(
            corpus.hashes("text_hash"),
            corpus.num_shingles,
            survivor_policy(options.keep, options.prefer_sources, options.prefer_licences, corpus),
            corpus.url_hashes() if options.same_url else None,
        )
        with opened_against(options.against, options.minhash, output.scratch) as indexes:
            search = Search(
                SetsOnDemand(partial(corpus.write_sets, workers)),
                None if request.exact_only else corpus.keys,
                options.bands,
                int(parse_memory(options.memory) * JOIN_SHARE),
                request.workers,
            )
            with working("dedup: comparing"):
                found = deduplicate(facts, Rule(options.threshold, options.copies, request.verify), search, indexes)
            kept = _kept(request, corpus, found, output, codecs)
            lost = _write_tables_and_kept(corpus, kept, found, output, workers)
    _check_columns(kept, lost)
    quarantined += len(lost)
    write_quarantine(jobs, lost, output.partial / QUARANTINE_FILE)
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
        "excluded": dict(largest_first(_excluded(scanned))),
        "root": listing.root,
        "options": _option_values(request),
    }
    (output.partial / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    output.publish()
    return summary


def _option_values(request: Request) -> dict[str, Any]:
    values = request.options.model_dump(exclude={"memory"})
    fields = {name: getattr(request, name) for name in ("text_field", "id_field", "exact_only", "verify")}
    csv = {"csv": request.csv.model_dump(exclude_defaults=True)} if request.csv is not None else {}
    return values | fields | csv


def _jobs(request: Request, files: Sequence[File], folder: Path) -> list[ScanJob]:
    return [
        ScanJob(
            f"{number:05d}",
            tuple(parts),
            folder,
            request.wanted,
            request.options.minhash,
            exact_only=request.exact_only,
            keep_signatures=not request.verify and not request.exact_only,
            url_field=request.url_field if request.options.same_url else None,
            policy_fields=request.policy_fields,
        )
        for number, parts in enumerate(parts_of(files))
    ]


def _plan(request: Request, listing: Listing) -> dict[str, Any]:
    """What would be read, and what it takes."""
    cost = _say_cost(request, listing.files, _standing(request.output))
    return {
        "dry_run": True,
        "files": len(listing.files),
        "formats": dict(largest_first(Counter(file.format for file in listing.files))),
        "files_passed_over": len(listing.passed_over),
        "bytes_in": sum(file.size for file in listing.files),
        "records_about": cost.documents,
        "memory_bytes": cost.memory_bytes,
        "disk_bytes": cost.disk_bytes,
    }


def _standing(place: Path) -> Path:
    """The deepest folder on the way to a place that is there already."""
    return next(folder for folder in (place, *place.absolute().parents) if folder.is_dir())


def _say_cost(request: Request, files: Sequence[File], folder: Path) -> planning.Cost:
    """Tells what it will take, before anything large is read."""
    documents, text_bytes = estimate(files)
    memory = parse_memory(request.options.memory)
    cost = planning.cost(documents, text_bytes, request.options.bands, memory, request.workers)
    free = shutil.disk_usage(folder).free
    size = sum(file.size for file in files)
    say(
        f"{counted(len(files), 'file')}, {size / 1e6:,.1f} MB, about {counted(documents, 'record')}; memory about "
        f"{cost.memory_bytes / 1e6:,.0f} MB, disk about {cost.disk_bytes / 1e6:,.0f} MB of scratch and at most "
        f"{size / 1e6:,.0f} MB of kept records in {folder} ({free / 1e6:,.0f} MB free)"
    )
    if free < cost.disk_bytes + size:
        say("that may not fit the disk: where it does not, the command stops and leaves nothing behind")
    least = planning.memory_of_records(documents, request.options.bands)
    if least > memory:
        say(
            f"--memory {request.options.memory} bounds the join; what is held of every record takes "
            f"{least / 1e6:,.0f} MB more"
        )
    return cost


def _check(request: Request, corpus: FileCorpus, scanned: Sequence[Scanned]) -> int:
    """Quarantined records in all.

    Raises:
        UserError: If no record has a text, or none has the id field that was asked for.
        RunError: If no record can be read because the files are damaged.
    """
    quarantined = sum(item.quarantined for item in scanned)
    problem = next((item.problem for item in scanned if item.problem), "")
    wrong_field = any(f": {reason}: " in problem for reason in ("missing_text", "wrong_type"))
    if quarantined and not len(corpus):
        if any(f": {reason}: " in problem for reason in DAMAGE_OF_FILES):
            raise RunError(f"no record can be read, the first damage: {problem}; fix it or leave it out")
        hint = "another field with the text is named by --text-field" if wrong_field else "fix it or leave it out"
        raise UserError(
            f"no record has a text: {quarantined:,} of {quarantined:,} are damaged, the first: {problem}; {hint}"
        )
    if quarantined:
        hint = "; another field with the text is named by --text-field" if wrong_field else ""
        say(f"quarantined {counted(quarantined, 'record')}, the first: {problem}{hint}")
    for reason, count in largest_first(_excluded(scanned)):
        say(f"no record ({reason.replace('_', ' ')}): {counted(count, 'item')}")
    if request.id_field != "id" and len(corpus) and not corpus.numbers("id_hash").any():
        raise UserError(f"--id-field {request.id_field}: no record has it")
    return quarantined


def _check_columns(kept: Sequence[Kept], lost: Sequence[Damaged]) -> None:
    """Refuses to write an output of which every file lacks columns.

    Raises:
        RunError: With the first of them.
    """
    if lost and {item.path for item in lost} >= {item.file.path for item in kept if len(item.rows)}:
        raise RunError(f"{in_words(lost[0])}; fix the file, or write its other columns to a new one")


def _excluded(scanned: Sequence[Scanned]) -> Counter[str]:
    """Items of the files that are no records, by reason."""
    return sum((item.excluded for item in scanned), Counter[str]())


def _duplicate_ids(corpus: FileCorpus) -> int:
    """Records whose id an earlier record has; says so with an example, since only path and row tell them apart."""
    hashes = corpus.numbers("id_hash")
    order = np.argsort(hashes, kind="stable")
    again = order[1:][(hashes[order[1:]] == hashes[order[:-1]]) & (hashes[order[1:]] != 0)]
    if len(again):
        name = corpus.names(np.array([again.min()]))[0]
        told = f"{counted(len(again), 'record')} {'has' if len(again) == 1 else 'have'} the id of an earlier one"
        say(f"{told}, such as {name!r}: path and row tell them apart")
    return len(again)


def _kept(
    request: Request, corpus: FileCorpus, found: Outcome, output: OutputFolder, codecs: Mapping[str, dict[str, str]]
) -> list[Kept]:
    """What is kept of each file."""
    kept = np.ones(len(corpus), bool)
    kept[found.removed] = False
    starts, ends, rows = corpus.numbers("start"), corpus.numbers("end"), corpus.file_rows()
    taken = {file.path for file in corpus.files}
    made = []
    for file, (low, high) in zip(corpus.files, corpus.file_bounds(corpus.files), strict=True):
        chosen = low + np.flatnonzero(kept[low:high])
        way = way_of(file, ends[low:high])
        name = file.path
        while way == "documents" and f"{name}.jsonl" in taken:
            name += "~"
        name = f"{name}.jsonl" if way == "documents" else name
        ranges = np.stack([starts[chosen], ends[chosen]], axis=1)
        target = output.kept / name
        made.append(Kept(file, rows[chosen], ranges, way, target, request.wanted, codecs.get(file.path, {})))
    return [item for item in made if len(item.rows) or item.way != "file"]


def _write_tables_and_kept(
    corpus: FileCorpus, kept: Sequence[Kept], found: Outcome, output: OutputFolder, workers: Workers
) -> list[Damaged]:
    """The kept records, and meanwhile the evidence; returns what could not be read any more."""
    copies = [item for item in kept if item.way in ("bytes", "file")]
    others = [item for item in kept if item.way not in ("bytes", "file")]
    threads = getattr(workers, "workers", 1)
    with ThreadPoolExecutor(threads) as executor:  # the kernel copies: no lock of Python's is held
        copying = [executor.submit(copy_ranges, item) for item in copies]
        write_removed(corpus, found, output.partial / REMOVED_FILE)
        write_clusters(corpus, found, output.partial / CLUSTERS_FILE)
        lost = call_all(workers, write_kept, [(item,) for item in others], "dedup: writing")
        for future in copying:
            future.result()
    return [item for items in lost for item in items]
