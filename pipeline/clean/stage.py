"""The clean stage: lists and partitions the inputs, cleans every partition, and holds the gate.

Inputs are recognised by size and modification time (or ETag), kept in RUN/logs/inputs.json outside the promise of equal
bytes; where these differ, by the digests that the shard's manifest recorded while they were read.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.base import storage
from pipeline.base.errors import GateError, RunError, UserError, parse_json
from pipeline.base.words import counted, largest_first
from pipeline.clean.languages.identify import FASTTEXT
from pipeline.clean.settings import job_config, list_paths
from pipeline.readers.parts.inputs import InputFile, SourceInputs, list_inputs, odd_names
from pipeline.readers.parts.partition import Part, Partition, plan
from pipeline.recipe.globs import Selection
from pipeline.recipe.options import Clean, Recipe, Source
from pipeline.run import layout
from pipeline.run.context import Context
from pipeline.run.engine import Job, Step
from pipeline.run.manifest import Manifest, total_counts

STEP = Step(
    name="clean",
    logic_version=14,
    function="pipeline.clean.worker:clean_partition",
    libraries=(
        *("pyarrow", "resiliparse", "chardet", "ftfy", FASTTEXT, "orjson", "tldextract", "phonenumbers"),
        "unicodedata2",
    ),
    is_stale="pipeline.clean.stage:input_changed",
    careful=True,
)
TOP_REASONS = 5
UNKNOWN_LANGUAGE = "languages_unknown."


def run(context: Context) -> dict[str, Any]:
    """Cleans every partition; returns the summary of the stage.

    Raises:
        UserError: If a path of a source names no file.
        GateError: If more than ``max_quarantined`` of the records, or of the input's bytes, are damaged.
    """
    recipe = context.recipe
    listed = list_notes(recipe.clean)
    inputs = [source_inputs(source) for source in recipe.sources]
    jobs = plan_jobs(recipe, inputs)
    manifests = context.run_step(step_for(recipe), jobs)
    if not context.dry:
        _write_seen(context, inputs)
    counts = total_counts(manifests.values())
    _check_gate(context.root, manifests, recipe.clean.max_quarantined)
    empty = [file.path for source in inputs for file in source.files if _is_empty(file)]
    notes = [f"{empty_in_words(empty)}; that is no record"] if empty else []
    return _summary(counts, recipe, [*notes, *listed, *_globs_in_vain(counts, recipe, inputs, context.root)])


def list_notes(clean: Clean) -> list[str]:
    """What of the URL lists can never match, in words.

    Raises:
        UserError: If a list cannot be read, or nothing of it can match.
    """
    if not clean.url_block and not clean.url_allow:
        return []
    from pipeline.clean.urls import UrlRules

    return UrlRules(clean.url_block, clean.url_allow, clean.url_only_allowed, {}).notes


def step_for(recipe: Recipe) -> Step:
    """The step, with the libraries that decide this recipe's bytes."""
    clean = recipe.clean
    foreign = any("." in name for name in (*clean.all_extractors, *(source.format for source in recipe.sources)))
    lists = any(entry.startswith("ut1") for entry in (*clean.url_block, *clean.url_allow))
    peers = {*clean.all_extractors} - {"resiliparse", "tokenmill"}
    extra = ("datatrove",) * (foreign or lists) + ("trafilatura",) * bool(peers)
    return replace(STEP, libraries=(*STEP.libraries, *extra))


def plan_jobs(recipe: Recipe, inputs: list[SourceInputs] | None = None) -> list[Job]:
    """One job per partition of the recipe's inputs.

    Raises:
        UserError: If a path of a source names no file.
    """
    inputs = inputs or [source_inputs(source) for source in recipe.sources]
    sources = {source.name: source for source in recipe.sources}
    folders = {found.name: found for found in inputs}
    lists = list_paths(recipe.clean)
    listed = [(found, source.format) for found, source in zip(inputs, recipe.sources, strict=True)]
    return [
        job_of(recipe, sources[partition.source], folders[partition.source], partition, lists)
        for partition in plan(listed)
    ]


def job_of(recipe: Recipe, source: Source, inputs: SourceInputs, partition: Partition, lists: Mapping[str, str]) -> Job:
    """The job that cleans a partition of a source; ``lists`` says where the URL lists lie."""
    arguments = _arguments(inputs, [part.path for part in partition.parts])
    config = job_config(recipe.clean, source, partition.config())
    places = {name: getattr(recipe.clean, name) for name in ("robots", "language_model")}
    given = {name: place for name, place in places.items() if place}
    return Job(partition.shard, config, arguments={**arguments, "lists": dict(lists), **given})


def source_inputs(source: Source) -> SourceInputs:
    """The files of a source; one entry for a datatrove reader that finds its input itself."""
    if "." in source.format:
        from pipeline.readers.datatrove import dataset_version, is_file_reader

        if not is_file_reader(source.format):
            if len(source.paths) > 1:
                raise UserError(f"source {source.name}: {source.format} reads one data set: make each path a source")
            root, _, name = source.paths[0].rstrip("/").rpartition("/")
            size, version = dataset_version(source.paths[0])
            return SourceInputs(source.name, root, (InputFile(name, source.paths[0], size, version, is_dataset=True),))
    selection = Selection(source.include, source.exclude) if source.include or source.exclude else None
    return list_inputs(source.name, source.paths, selection, follow_links=source.follow_links)


def _arguments(inputs: SourceInputs, paths: list[str]) -> dict[str, Any]:
    """Where the job's files are, and how to tell whether they changed."""
    wanted = set(paths)
    files = [file for file in inputs.files if file.path in wanted]
    versions = {file.path: [file.size, file.version] for file in files}
    return {"root": inputs.root, "names": odd_names(inputs.root, files), "versions": versions}


def input_changed(context: Context, job: Job, found: Manifest) -> str | None:
    """Why a finished shard's inputs are not those it was made from; None while they are."""
    seen = seen_inputs(context.root).get(job.config["source"]["name"], {})
    for values in job.config["parts"]:
        part = Part(**values)
        looks_same = seen.get(part.path) == job.arguments["versions"][part.path]
        if part.error is not None or (looks_same and part.key in found.read):  # what could not be read may be by now
            continue
        if found.read.get(part.key) != _digest(job, part, was_read=part.key in found.read):
            return f"its input changed: {part.path}"
    return None


def _digest(job: Job, part: Part, *, was_read: bool) -> str | None:
    """Digest of what is read of a part; None where it is gone, or could not be read before either.

    Raises:
        RunError: If it was read before and cannot be now: its documents are not given up for that.
    """
    url = part.url(job.arguments["root"], job.arguments["names"])
    if part.unit == "dataset":
        from pipeline.readers.datatrove import dataset_digest

        return dataset_digest(url)
    try:
        with part.open(storage.open_local(url)) as reader:
            return reader.digest()
    except OSError as error:
        if was_read and not isinstance(error, FileNotFoundError):
            raise RunError(
                f"{url}: cannot be read, as it was when its documents were made: {error.strerror or error}; make it "
                "readable again, or take it out of the recipe"
            ) from error
        return None


def seen_inputs(root: str) -> dict[str, dict[str, Any]]:
    """Source -> path -> size and version of every input when the run last looked; empty when that is not known."""
    try:
        loaded = parse_json(storage.read_bytes(storage.join(root, layout.INPUTS_LOG)))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _write_seen(context: Context, inputs: Any) -> None:
    seen = {source.name: {file.path: [file.size, file.version] for file in source.files} for source in inputs}
    if seen != seen_inputs(context.root):
        storage.publish_bytes(
            json.dumps(seen, sort_keys=True).encode(), storage.join(context.root, layout.INPUTS_LOG), context.root
        )


def _check_gate(root: str, manifests: Mapping[str, Manifest], max_quarantined: float) -> None:
    counts = total_counts(manifests.values())
    found = damaged_share(counts)
    if found[0] <= max_quarantined:
        return
    reasons = {k.removeprefix("quarantined_reasons."): n for k, n in counts.items() if k.startswith("quarantined_r")}
    top = largest_first(reasons)[:TOP_REASONS]
    where = storage.join(root, layout.QUARANTINE.rstrip("/"))
    raise GateError(
        f"{found[1]} are damaged ({found[0]:.1%}), more than "
        f"clean.max_quarantined = {max_quarantined:g}: {', '.join(f'{name} {number:,}' for name, number in top)}; "
        f"`tokenmill inspect {where}` counts them by file and reason; fix the input, leave the files out (exclude), "
        "or raise the limit with --set clean.max_quarantined=SHARE"
    )


def damaged_share(counts: Mapping[str, int]) -> tuple[float, str]:
    """What the gate looks at: the damaged share of the records or of the bytes, the larger of both, and in words."""
    return max(_damage(counts, "records", "quarantined"), _damage(counts, "bytes", "bytes_quarantined"))


def _damage(counts: Mapping[str, int], unit: str, name: str) -> tuple[float, str]:
    """The damaged share of the input, and how much of what, in words; a lost file is one record of many bytes.

    Not so a paper (PDF, EPUB, ...): it is one record, and most of its bytes are pictures.
    """
    papers = counts.get("bytes_of_papers_quarantined", 0) if unit == "bytes" else 0
    whole, damaged = counts.get(f"{unit}_in", 0) - papers, counts.get(name, 0) - papers
    return damaged / max(1, whole), f"{damaged:,} of {whole:,} {unit}"


def _is_empty(file: InputFile) -> bool:
    """Whether a file was looked at and has no byte."""
    return file.size == 0 and bool(file.version) and not file.is_dataset


def empty_in_words(paths: Sequence[str]) -> str:
    """Files without a byte, by the first of them.

    Example:
        >>> empty_in_words(["a.txt"]), empty_in_words(["a.txt", "b.txt"])
        ('1 file is empty, a.txt', '2 files are empty, such as a.txt')
    """
    if len(paths) == 1:
        return f"1 file is empty, {paths[0]}"
    return f"{len(paths):,} files are empty, such as {paths[0]}"


def _summary(counts: dict[str, int], recipe: Recipe, more: list[str]) -> dict[str, Any]:
    names = ("records_in", "documents", "excluded", "quarantined")
    summary: dict[str, Any] = {name: counts.get(name, 0) for name in names}
    for kind in ("excluded", "quarantined"):
        prefix = f"{kind}_reasons."
        summary[f"{kind}_reasons"] = {k.removeprefix(prefix): n for k, n in counts.items() if k.startswith(prefix)}
    notes = [*more, *_unknown_languages(counts), *_unknown_metadata(counts, recipe)]
    return summary | ({"notes": notes} if notes else {})


def _unknown_languages(counts: dict[str, int]) -> Iterator[str]:
    """What records say of their language that is no language known here."""
    unknown = {k.removeprefix(UNKNOWN_LANGUAGE): n for k, n in counts.items() if k.startswith(UNKNOWN_LANGUAGE)}
    if not unknown:
        return
    top = ", ".join(f"{code!r} {count:,}" for code, count in largest_first(unknown)[:TOP_REASONS])
    more = f" and {len(unknown) - TOP_REASONS} more" if len(unknown) > TOP_REASONS else ""
    yield (
        f"{counted(sum(unknown.values()), 'record')} state a language that is not known ({top}{more}); that of their "
        f"texts was identified, and of {counted(counts.get('languages_stated', 0), 'other')} it was believed"
    )


def _unknown_metadata(counts: dict[str, int], recipe: Recipe) -> Iterator[str]:
    """Fields that a source is to keep as metadata and no record of it has."""
    for source in recipe.sources:
        for name in source.metadata or ():
            if counts.get(f"metadata_kept.{source.name}.{name}") == 0:
                yield f"source {source.name}: no record has the field {name!r} that `metadata` names"


def _globs_in_vain(counts: dict[str, int], recipe: Recipe, inputs: Sequence[SourceInputs], root: str) -> Iterator[str]:
    """Globs of a source that name no file, or no member of the archives that they go into."""
    for source, found in zip(recipe.sources, inputs, strict=True):
        if told := found.globs_in_vain(root):
            yield f"source {source.name}: {told}"
        for glob in (*source.include, *source.exclude):
            in_vain = counts.get(f"members_named.{source.name}.{glob}") == 0
            if in_vain and glob not in found.naming_nothing:
                yield f"source {source.name}: of include and exclude, {glob!r} names no member of its archives"
