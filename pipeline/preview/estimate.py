"""How many documents, minutes and bytes a run will take: by a small sample through its own clean and filter stages.

The sample is taken of each source and kind of file apart, in a folder that is thrown away: whole files where a file is
a document, else the first megabytes of some.  What follows on those stages is reckoned from its measured speed
(docs/benchmarks).  It is an estimate, and is called one.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.base import storage
from pipeline.base.pool import Pool
from pipeline.base.progress import Silent
from pipeline.clean.settings import list_paths
from pipeline.clean.stage import job_of, source_inputs, step_for
from pipeline.filter import stage as filter_stage
from pipeline.filter.whatif import BYTES_PER_TOKEN
from pipeline.readers.parts.formats import BINARY, PAPERS, format_of
from pipeline.readers.parts.inputs import InputFile, SourceInputs
from pipeline.readers.parts.partition import Part, Partition, split
from pipeline.recipe.options import Recipe, Source
from pipeline.recipe.rule_sets import is_class_path
from pipeline.run.context import Context
from pipeline.run.engine import Job
from pipeline.run.folder import Run
from pipeline.run.manifest import Manifest

SAMPLE_BYTES = 8 << 20  # of all groups together
PIECE_BYTES = 1 << 20  # of a large file
MOST_FILES = 40  # of a group
MOST_WHOLE = 4 << 20  # of a file that is read whole or not at all
CUT = frozenset({"jsonl", "csv", "tsv", "warc"})  # read from their beginning: a piece is as good as the whole
BYTES_A_SECOND_LATER = 45e6  # of text, for dedup and tokenize on one core
BYTES_A_SECOND_RULES = 37e6  # of text, for the signals, where they are not sampled
BYTES_A_DOCUMENT = 620  # signatures, verdicts, places in the indexes
SAFE = 2.0  # disk: scratch of the join and of what is being written


@dataclass
class Group:
    """Files of one kind of one source, and the part of them that is read."""

    source: Source
    inputs: SourceInputs
    kind: str
    files: list[InputFile] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)

    @property
    def factor(self) -> float:
        """How many times more the whole is than the sample."""
        if self.kind in PAPERS or (self.kind in ("text", "html") and not self.source.separator):
            return len(self.files) / max(1, len(self.parts))
        return sum(file.size for file in self.files) / max(1, sum(part.size for part in self.parts))


@dataclass
class Estimate:
    """What the run will make and take; ``why_none`` says why nothing is known, and all else is 0 then."""

    sampled_bytes: int = 0
    share: float = 0.0
    documents: float = 0.0
    kept: float = 0.0
    text_bytes: float = 0.0
    kept_bytes: float = 0.0
    seconds: float = 0.0  # of one core, for the curation
    disk_bytes: float = 0.0
    not_sampled: int = 0  # files
    judged: bool = False
    why_none: str = ""

    @property
    def tokens(self) -> int:
        """Of what the filter keeps, before duplicates go."""
        return round(self.kept_bytes / BYTES_PER_TOKEN)


class _Seconds(Silent):
    """Remembers how long each shard of a step took."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, str], float] = {}

    def shard_done(self, step: str, shard: str, counts: dict[str, int], seconds: float) -> None:
        self.of[step, shard] = seconds


def estimate(recipe: Recipe) -> Estimate:
    """Reads a sample of the sources of a recipe as a run would.

    Raises:
        UserError: If a path names no file.
    """
    groups = _groups(recipe)
    sampled = [group for group in groups if group.parts]
    if not sampled:
        return Estimate(why_none=_why_none(recipe, groups))
    with tempfile.TemporaryDirectory(prefix="tokenmill-estimate-") as folder, Pool(1) as pool:
        trial = _trial(recipe)
        run = Run(folder, trial)
        run.write_recipe()
        seconds = _Seconds()
        context = Context(run, pool, seconds)
        cleaned = context.run_step(step_for(trial), _jobs(trial, sampled))
        judged = _judge(context, trial)
        return _scaled(groups, sampled, cleaned, judged, seconds.of)


def _groups(recipe: Recipe) -> list[Group]:
    """The files by source and kind, each with its share of the sample."""
    found: dict[tuple[str, str], Group] = {}
    for source in recipe.sources:
        if is_class_path(source.format) or not all(storage.is_local(path) for path in source.paths):
            continue
        inputs = source_inputs(source)
        for file in inputs.files:
            if file.error is None and file.excluded is None and (kind := format_of(file, source.format)) != BINARY:
                found.setdefault((source.name, kind), Group(source, inputs, kind)).files.append(file)
    for group in found.values():
        group.parts = _sample(group, SAMPLE_BYTES // len(found))
    return list(found.values())


def _sample(group: Group, budget: int) -> list[Part]:
    """Parts of files at even distances, up to ``budget`` bytes; none of files that must be read whole and are large."""
    number = min(MOST_FILES, len(group.files))
    parts: list[Part] = []
    for place in range(number):
        part = _piece(group.files[place * len(group.files) // number], group)
        if part is not None and (not parts or sum(known.size for known in parts) + part.size <= budget):
            parts.append(part)
    return parts


def _piece(file: InputFile, group: Group) -> Part | None:
    if file.size <= PIECE_BYTES:
        return Part(file.path, group.kind, 0, file.size, size=file.size)
    if group.kind in CUT or group.source.separator:
        return Part(file.path, group.kind, 0, PIECE_BYTES, size=PIECE_BYTES)
    first = next(split(file, group.source.format, PIECE_BYTES))
    return first if first.size <= MOST_WHOLE else None


def _trial(recipe: Recipe) -> Recipe:
    """The recipe up to the rules, without gates, and without what first has to be trained or read whole."""
    options = recipe.filter
    simple = not options.classifiers and not options.decontamination.sets and not any(map(is_class_path, options.rules))
    stages = ["clean", "filter"] if simple and "filter" in recipe.stages else ["clean"]
    return recipe.model_copy(
        update={
            "stages": stages,
            "clean": recipe.clean.model_copy(update={"max_quarantined": 1.0}),
            "filter": options.model_copy(update={"min_kept": 0.0}),
        }
    )


def _jobs(recipe: Recipe, groups: Sequence[Group]) -> list[Job]:
    """One for each group, after one that only makes the worker load what it needs."""
    lists = list_paths(recipe.clean)
    numbered = [(groups[0], groups[0].parts[:1]), *((group, group.parts) for group in groups)]
    return [
        job_of(recipe, of.source, of.inputs, Partition(f"{number:05d}", of.source.name, tuple(parts)), lists)
        for number, (of, parts) in enumerate(numbered)
    ]


def _judge(context: Context, trial: Recipe) -> Mapping[str, Manifest]:
    if "filter" not in trial.stages:
        return {}
    filter_stage.run(context)
    return context.manifests("filter")


def _scaled(
    groups: Sequence[Group],
    sampled: Sequence[Group],
    cleaned: Mapping[str, Manifest],
    judged: Mapping[str, Manifest],
    seconds: Mapping[tuple[str, str], float],
) -> Estimate:
    made = Estimate(judged=bool(judged))
    for number, group in enumerate(sampled, 1):
        shard = f"{number:05d}"
        counts, factor = cleaned[shard].counts, group.factor
        documents, text = factor * counts.get("documents", 0), factor * counts.get("text_bytes", 0)
        verdicts = judged[shard].counts if shard in judged else {"kept": 1, "documents_in": 1}
        share = verdicts.get("kept", 0) / max(1, verdicts.get("documents_in", 0))
        made.documents += documents
        made.text_bytes += text
        made.kept += share * documents
        made.kept_bytes += share * text
        made.seconds += factor * sum(took for (_, of), took in seconds.items() if of == shard)
        made.seconds += text / BYTES_A_SECOND_LATER + (0.0 if judged else text / BYTES_A_SECOND_RULES)
        made.disk_bytes += factor * sum(output.bytes for output in cleaned[shard].outputs)
    made.disk_bytes = SAFE * (made.disk_bytes + BYTES_A_DOCUMENT * made.documents + 2 * made.tokens)
    made.sampled_bytes = sum(part.size for group in sampled for part in group.parts)
    made.share = made.sampled_bytes / max(1, sum(file.size for group in groups for file in group.files))
    made.not_sampled = sum(len(group.files) for group in groups if not group.parts)
    return made


def _why_none(recipe: Recipe, groups: Sequence[Group]) -> str:
    if groups:
        return f"no estimate: every file is larger than {MOST_WHOLE:,} bytes and must be read whole"
    if any(is_class_path(source.format) for source in recipe.sources):
        return "no estimate: a datatrove reader finds its records itself"
    if not all(storage.is_local(path) for source in recipe.sources for path in source.paths):
        return "no estimate: the files lie in an object store, and would have to be fetched for it"
    return "no estimate: no file that is read"
