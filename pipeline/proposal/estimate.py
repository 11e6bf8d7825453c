"""How many documents, tokens, minutes and bytes a run will take: by a sample through its own clean, dedup and filter.

The one estimate, of ``tokenmill init`` and of ``run --dry-run``.  The sample (sample.py) is cleaned, deduplicated and
judged in a folder that is thrown away; tokens are those of a tokenizer that is trained on it, or of the one that the
recipe names.  What follows on these stages is reckoned from its measured speed (docs/benchmarks).
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.base import storage
from pipeline.base.pool import Pool
from pipeline.base.progress import Silent, working
from pipeline.clean.stage import damaged_share, step_for
from pipeline.dedup.stage import plan as dedup_stage
from pipeline.filter import stage as filter_stage
from pipeline.filter.whatif import Funnel, funnel_of
from pipeline.proposal.sample import MOST_ALONE, Group, Row, cut_rows, groups_of, jobs_of
from pipeline.proposal.token_bytes import TEXT_BYTES, bytes_a_token
from pipeline.readers.parts.formats import ARCHIVES
from pipeline.recipe.filter_options import Filter
from pipeline.recipe.options import Recipe, Tokenize
from pipeline.recipe.presets import PRESETS
from pipeline.recipe.rule_sets import is_class_path
from pipeline.run import layout
from pipeline.run.context import Context
from pipeline.run.folder import Run
from pipeline.run.manifest import total_counts
from pipeline.run.table_files import read_table
from pipeline.run.tables import DOCUMENTS, QUARANTINE
from pipeline.run.tables.alive import alive

NO_TEXT = "missing_text"
ASKED = ""  # the rules of the recipe itself
UNKNOWN = "unknown"  # in the place of a language
LANGUAGE_CHARACTERS = 1000  # for what is no page of a crawl: lists, code and headings say little of a language
BYTES_A_SECOND_LATER = 45e6  # of text, for dedup and tokenize on one core
BYTES_A_SECOND_RULES = 37e6  # of text, for the signals, where they are not sampled
BYTES_A_DOCUMENT = 620  # signatures, verdicts, places in the indexes
SAFE = 2.0  # disk: scratch of the join and of what is being written
WARM = "99999"  # a shard that only makes the worker load what it needs


@dataclass
class Sample:
    """What the sample itself holds: nothing here is an estimate."""

    bytes: int = 0
    records: int = 0
    documents: int = 0
    excluded: dict[str, int] = field(default_factory=dict)
    quarantined: dict[str, int] = field(default_factory=dict)
    damaged_places: list[str] = field(default_factory=list)  # the first of each reason
    without_text: list[str] = field(default_factory=list)  # archives of records, none of which has a text
    damaged_share: float = 0.0  # of its records or bytes, as the gate of a run counts it
    unique: int = 0  # documents that are no duplicates of others
    kept: dict[str, int] = field(default_factory=dict)  # of those, by rules
    texts: list[str] = field(default_factory=list, repr=False)  # some of them


@dataclass
class Kept:
    """What some rules keep of the documents that are no duplicates."""

    documents: float = 0.0
    bytes: float = 0.0


@dataclass
class Estimate:
    """What a run will make and take; ``why_none`` says why nothing is known, and all else is 0 then.

    Attributes:
        share: The sample's part of all bytes on the disk; 1 where everything was looked at.
        unique: Documents less duplicates; of a sample that is not all, fewer are seen than there are.
        by_kind: Bytes of text by kind of file.
        by: What is kept, by the name of the rules; ``ASKED`` for those of the recipe.
        languages: Documents by language.
        seconds: Of one core, for the curation.
        not_sampled: Files.
        judged: Whether the rules were tried.
    """

    share: float = 0.0
    documents: float = 0.0
    unique: float = 0.0
    text_bytes: float = 0.0
    by_kind: Counter[str] = field(default_factory=Counter)
    by: dict[str, Kept] = field(default_factory=dict)
    languages: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    disk_bytes: float = 0.0
    not_sampled: int = 0
    judged: bool = False
    why_none: str = ""
    sample: Sample = field(default_factory=Sample)

    @property
    def whole(self) -> bool:
        """Whether the sample is all there is."""
        return self.share >= 1 and not self.not_sampled

    @property
    def kept(self) -> Kept:
        """What the recipe's own rules keep."""
        return self.by.get(ASKED, Kept())

    def tokens(self, options: Tokenize, rules: str = ASKED) -> int:
        """Tokens of what ``rules`` keep.

        Args:
            options: The tokenizer that is asked for.
            rules: A key of ``by``.
        """
        size = self.kept_bytes(rules)
        return round(size / bytes_a_token(self.sample.texts, options)) if size else 0

    def kept_bytes(self, rules: str = ASKED) -> float:
        """Bytes of text that ``rules`` keep."""
        return self.by.get(rules, Kept()).bytes


class _Seconds(Silent):
    """Remembers how long each shard of a step took."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, str], float] = {}

    def shard_done(self, step: str, shard: str, counts: dict[str, int], seconds: float) -> None:
        self.of[step, shard] = seconds


def estimate(recipe: Recipe, rules: Mapping[str, Filter] | None = None, workers: int = 1) -> Estimate:
    """Reads a sample of the sources of a recipe as a run would.

    Args:
        recipe: What would be run.
        rules: Sections ``[filter]`` to try on it, by name; by default the recipe's own, as ``ASKED``.
        workers: Worker processes.

    Raises:
        UserError: If a path names no file.
    """
    with working("estimate: listing the files"):
        groups = groups_of(recipe)
    sampled = [group for group in groups if group.parts]
    if not sampled:
        return Estimate(why_none=_why_none(recipe, groups))
    with tempfile.TemporaryDirectory(prefix="tokenmill-estimate-") as folder, Pool(workers) as pool:
        trial = _trial(recipe)
        run = Run(folder, trial)
        run.write_recipe()
        seconds = _Seconds()
        context = Context(run, pool, seconds)
        with working("estimate: reading a sample of the files"):
            _clean(context, sampled)
        stages: dict[str, Callable[[Context], object]] = {"dedup": dedup_stage.run, "filter": filter_stage.run}
        for stage in trial.stages[1:]:
            with working(f"estimate: {stage} of the sample"):
                stages[stage](context)
        judged = (rules or {ASKED: recipe.filter}) if "filter" in trial.stages else {}
        made = _scaled(context, groups, judged, seconds.of)
        made.sample.texts = _texts(context)
        return made


def of_presets(sources: Sequence[dict[str, Any]], workers: int) -> Estimate:
    """What each preset of rules would keep of these sources.

    Args:
        sources: As in a recipe, with absolute paths.
        workers: Worker processes.
    """
    asked = {"clean": {"language_characters": LANGUAGE_CHARACTERS}, "filter": {"preset": "clean"}}
    recipe = Recipe.model_validate({"stages": ["clean", "dedup", "filter"], "sources": list(sources), **asked})
    return estimate(recipe, {name: Filter.model_validate({"preset": name}) for name in PRESETS}, workers)


def _trial(recipe: Recipe) -> Recipe:
    """The recipe up to the rules, without gates, and without what first has to be trained or read whole."""
    options = recipe.filter
    simple = not options.classifiers and not options.decontamination.sets and not any(map(is_class_path, options.rules))
    stages = [stage for stage in ("clean", "dedup", "filter") if stage in ("clean", *recipe.stages)]
    return recipe.model_copy(
        update={
            "stages": stages if simple else [stage for stage in stages if stage != "filter"],
            "clean": recipe.clean.model_copy(update={"max_quarantined": 1.0}),
            "dedup": recipe.dedup.model_copy(update={"against": [], "keep": "first"}),
            "filter": options.model_copy(update={"min_kept": 0.0}),
        }
    )


def _clean(context: Context, groups: Sequence[Group]) -> None:
    """Cleans the sample, a shard for each group, after a part of it that only makes the workers ready."""
    step = step_for(context.recipe)
    few = Group(groups[0].source, groups[0].inputs, groups[0].kind, parts=groups[0].parts[:1])
    context.run_step(step, jobs_of(context.recipe, [few], int(WARM)))
    context.run_step(step, jobs_of(context.recipe, groups))


def _scaled(
    context: Context, groups: Sequence[Group], rules: Mapping[str, Filter], seconds: Mapping[tuple[str, str], float]
) -> Estimate:
    made = Estimate(judged=bool(rules), by={name: Kept() for name in rules or (ASKED,)})
    sampled = [group for group in groups if group.parts]
    damaged = [_damaged(context, f"{number:05d}", group) for number, group in enumerate(sampled)]
    counts = Counter(total_counts(context.manifests("clean").values()))
    for row in (row for _, cut in damaged for row in cut):
        counts.subtract(["records_in", "quarantined", f"quarantined_reasons.{row['reason']}"])
        counts["bytes_quarantined"] -= row["length"] or 0
    made.sample = _counts(counts)
    made.sample.bytes = sum(part.size for group in sampled for part in group.parts)
    made.sample.damaged_share = damaged_share(counts)[0]
    for number, group in enumerate(sampled):
        _add_group(made, context, f"{number:05d}", group, rules)
        _add_damaged(made.sample, context, f"{number:05d}", group, *damaged[number])
        own = sum(took for (_, shard), took in seconds.items() if shard == f"{number:05d}")
        made.seconds += group.factor * own
    made.seconds += made.text_bytes / BYTES_A_SECOND_LATER
    made.seconds += 0.0 if made.judged else made.text_bytes / BYTES_A_SECOND_RULES
    tokens = max(kept.bytes for kept in made.by.values()) / 3
    made.disk_bytes = SAFE * (made.disk_bytes + BYTES_A_DOCUMENT * made.documents + 2 * tokens)
    made.share = made.sample.bytes / max(1, sum(group.size for group in groups))
    made.not_sampled = sum(len(group.files) for group in groups if not group.parts)
    return made


def _add_group(made: Estimate, context: Context, shard: str, group: Group, rules: Mapping[str, Filter]) -> None:
    """Adds a group of files: what its shard of the sample holds, as many times as the group is larger."""
    cleaned, times = context.manifests("clean")[shard], group.documents_factor
    made.documents += times * cleaned.counts.get("documents", 0)
    text_bytes = group.factor * cleaned.counts.get("text_bytes", 0)
    made.text_bytes += text_bytes
    made.by_kind[group.kind] += round(text_bytes)
    made.disk_bytes += group.factor * sum(output.bytes for output in cleaned.outputs)
    for name in _document_shards(context, shard):
        table = read_table(context.run.local(layout.documents(name)), DOCUMENTS, ["language", "language_score"])
        for language, count in Counter(map(sure_language, table.to_pylist())).items():
            made.languages[language] += round(times * count)
        funnels = {of: funnel_of(context, name, options) for of, options in rules.items()}
        whole = next(iter(funnels.values()), None) or _unjudged(context, name)
        made.unique += times * whole.documents_in
        made.sample.unique += whole.documents_in
        for of, funnel in (funnels or {ASKED: whole}).items():
            made.by[of].documents += times * funnel.kept
            made.by[of].bytes += group.factor * funnel.kept_bytes
            made.sample.kept[of] = made.sample.kept.get(of, 0) + funnel.kept


def sure_language(document: Mapping[str, Any]) -> str:
    """The language of a document; a guess that the rules for one's own text would drop is none.

    Example:
        >>> [sure_language({"language": "wa", "language_score": score}) for score in (0.2, 0.3, None)]
        ['unknown', 'wa', 'wa']
    """
    score = document["language_score"]  # null of one that the record states
    sure = score is None or score >= PRESETS["own"]["min_language_score"]
    return document["language"] if document["language"] and sure else UNKNOWN


def _add_damaged(
    sample: Sample, context: Context, shard: str, group: Group, rows: Sequence[Row], cut: Sequence[Row]
) -> None:
    """Where the first record of each kind of damage lies, and which archives are nothing but records without a text."""
    known = {place.partition(": ")[0] for place in sample.damaged_places}
    for row in rows:
        if row["reason"] not in known and row not in cut:
            known.add(row["reason"])
            sample.damaged_places.append(f"{row['reason']}: {row['path']}")
    if group.kind in ARCHIVES:
        texts = {path for name in _document_shards(context, shard) for path in _paths(context, name)}
        sample.without_text += [
            part.path
            for part in group.parts
            if not any(path.startswith(f"{part.path}/") for path in texts)
            and {row["reason"] for row in rows if row["path"].startswith(f"{part.path}/")} == {NO_TEXT}
        ]


def _damaged(context: Context, shard: str, group: Group) -> tuple[list[Row], list[Row]]:
    """The damaged records of a shard, and those of them that are whole in their file."""
    columns = ["path", "offset", "length", "reason"]
    rows = read_table(context.run.local(layout.shard_table(layout.QUARANTINE, shard)), QUARANTINE, columns).to_pylist()
    last: dict[str, int] = {}
    for name in _document_shards(context, shard) if rows else ():
        table = read_table(context.run.local(layout.documents(name)), DOCUMENTS, ["path", "offset"])
        for document in table.to_pylist():
            last[document["path"]] = max(document["offset"], last.get(document["path"], 0))
    return rows, cut_rows(rows, last, group)


def _document_shards(context: Context, shard: str) -> list[str]:
    """The shards of documents that an input shard has become."""
    return [name for name in context.document_shards() if name.partition("-")[0] == shard]


def _paths(context: Context, shard: str) -> list[str]:
    table = read_table(context.run.local(layout.documents(shard)), DOCUMENTS, ["path"])
    found: list[str] = table["path"].to_pylist()
    return found


def _unjudged(context: Context, shard: str) -> Funnel:
    """The documents of a shard that are no duplicates."""
    texts = read_table(context.run.local(layout.documents(shard)), DOCUMENTS, ["text"])["text"]
    left = _alive(context, shard, len(texts))
    size = sum(len(text.as_py().encode()) for text, stays in zip(texts, left, strict=True) if stays)
    return Funnel(documents_in=sum(left), kept=sum(left), kept_bytes=size)


def _alive(context: Context, shard: str, rows: int) -> list[bool]:
    verdicts = [context.run.local(path) for path in context.verdict_inputs("tokenize", shard)]
    kept: list[bool] = alive(verdicts, rows).tolist()
    return kept


def _texts(context: Context) -> list[str]:
    """Some of the documents that are kept, of each shard as much as of the others."""
    shards = list(context.document_shards())
    found: list[str] = []
    for shard in shards:
        size = 0
        texts = read_table(context.run.local(layout.documents(shard)), DOCUMENTS, ["text"])["text"]
        for text, stays in zip(texts, _alive(context, shard, len(texts)), strict=True):
            if stays and size < TEXT_BYTES / len(shards):
                found.append(text.as_py())
                size += len(found[-1].encode())
    return found


def _counts(counts: Mapping[str, int]) -> Sample:
    def of(kind: str) -> dict[str, int]:
        prefix = f"{kind}_reasons."
        return {name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix) and count}

    return Sample(
        records=counts.get("records_in", 0),
        documents=counts.get("documents", 0),
        excluded=of("excluded"),
        quarantined=of("quarantined"),
    )


def _why_none(recipe: Recipe, groups: Sequence[Group]) -> str:
    if groups:
        return f"no estimate: every file is larger than {MOST_ALONE:,} bytes and must be read whole"
    if any(is_class_path(source.format) for source in recipe.sources):
        return "no estimate: a datatrove reader finds its records itself"
    if not all(storage.is_local(path) for source in recipe.sources for path in source.paths):
        return "no estimate: the files lie in an object store, and would have to be fetched for it"
    return "no estimate: no file that is read"
