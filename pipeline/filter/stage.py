"""The filter stage: signals of every document, then the verdicts.

1. ``filter.classifier``  documents -> classifiers/<name>/ (only for those that the recipe trains from the run itself).
2. ``filter.index``       evaluation sets -> hashes of their n-grams (only where the recipe names some).
3. ``filter.signals``     document shards -> signals/, for every document, whatever other stages say of it.
4. ``filter``             signals/ and document columns -> verdicts/filter/; text is not read.

Nothing heavy is imported here: planning a finished run calls ``run`` too.
"""

from typing import Any

from pipeline.base import storage
from pipeline.base.errors import GateError, UserError
from pipeline.base.words import counted
from pipeline.clean.languages.identify import FASTTEXT
from pipeline.filter.decontamination.reach import REACH, out_of_reach
from pipeline.recipe.filter_options import NOT_IN_THE_BYTES, Classifier, Filter
from pipeline.recipe.rule_sets import is_class_path
from pipeline.run import layout
from pipeline.run.context import Context
from pipeline.run.engine import Job, Step
from pipeline.run.manifest import Manifest, digest_file, total_counts
from pipeline.run.outcome import reasons_in_words

CLASSIFIER_STEP = Step(
    "filter.classifier",
    1,
    "pipeline.filter.classifier.train:train_classifier",
    libraries=(FASTTEXT, "pyarrow"),
)
INDEX_STEP = Step("filter.index", 3, "pipeline.filter.worker:index_evaluation_sets", libraries=("pyarrow",))
SIGNALS_STEP = Step(
    "filter.signals",
    4,
    "pipeline.filter.worker:measure_shard",
    libraries=("pyarrow", "numba", "stopwordsiso", FASTTEXT, "datatrove"),
)
VERDICTS_STEP = Step("filter", 4, "pipeline.filter.worker:judge_shard", libraries=("pyarrow",))


def run(context: Context) -> dict[str, Any]:
    """Measures and judges every shard; returns the stage's summary.

    Raises:
        GateError: If fewer documents are kept than ``min_kept`` asks for.
    """
    lists = _list_notes(context.recipe.filter)
    index = _indexed(context)
    signals = context.run_step(SIGNALS_STEP, _signal_jobs(context, index))
    verdicts = context.run_step(VERDICTS_STEP, _verdict_jobs(context, signals))
    figures = summary(total_counts(verdicts.values())) | _reach(index, context.recipe.filter)
    notes = [*figures.get("notes", ()), *lists, *_without_bad_words(signals)]
    figures |= {"notes": notes} if notes else {}
    check_gate(figures, context.recipe.filter.min_kept)
    return figures


def _list_notes(options: Filter) -> list[str]:
    """What of the lists of URLs can never match, in words.

    Raises:
        UserError: If a list cannot be read, or nothing of it can match.
    """
    if not options.url.blocklist and not options.url.deny_domains:
        return []
    from pipeline.filter.rules.document_rules import list_notes

    return list_notes(options)


def _indexed(context: Context) -> Manifest | None:
    """The index of the evaluation sets; None where the recipe names none."""
    options = context.recipe.filter
    return context.run_step(INDEX_STEP, [_index_job(options)])["all"] if options.decontamination.sets else None


def _reach(index: Manifest | None, options: Filter) -> dict[str, Any]:
    """For the summary: items of each evaluation set, how many are too short to be looked for, and that in words."""
    if index is None:
        return {}
    names = [evaluation.name for evaluation in options.decontamination.sets]
    reach = {name: tuple(index.counts[f"{kind}.{name}"] for kind in REACH) for name in names}
    notes = list(out_of_reach(reach, options.decontamination.ngram))
    sets = {name: dict(zip(REACH, counts, strict=True)) for name, counts in reach.items()}
    return {"evaluation_sets": sets, **({"notes": notes} if notes else {})}


def _without_bad_words(signals: dict[str, Manifest]) -> list[str]:
    """How many documents the rule on bad words says nothing of, in words."""
    count = total_counts(signals.values()).get("without_bad_words", 0)
    return [f"max_bad_words judges {counted(count, 'document')} not: their language has no list"] if count else []


def _signal_jobs(context: Context, index: Manifest | None) -> list[Job]:
    options = context.recipe.filter
    config = signal_config(options)
    shared = index.digests(layout.DECONTAMINATION) if index else {}
    for name, made in _trained(context).items():
        shared[layout.classifier(name)] = made.digests(layout.CLASSIFIERS)[layout.classifier(name)]
    arguments = {"classifiers": {name: c.path for name, c in options.classifiers.items() if c.path}}
    return [
        Job(shard, config, {layout.documents(shard): digest, **shared}, arguments)
        for shard, digest in context.document_shards().items()
    ]


def signal_config(options: Filter) -> dict[str, Any]:
    """What of the recipe decides the signals: classifiers, evaluation sets, filters of datatrove, bad words."""
    return {
        **_bad_words_config(options),
        "classifiers": {
            name: {"label": c.label, "digest": _digest(c.path, f"filter.classifiers.{name}.path")}
            if c.path
            else _training_config(c)
            for name, c in sorted(options.classifiers.items())
        },
        "evaluation_sets": [evaluation.name for evaluation in options.decontamination.sets],
        "ngram": options.decontamination.ngram if options.decontamination.sets else None,
        "datatrove": {path: options.datatrove.get(path, {}) for path in options.rules if is_class_path(path)},
    }


def _bad_words_config(options: Filter) -> dict[str, str]:
    """Nothing where the recipe does not ask for them: its signals stay as they are."""
    if options.max_bad_words is None:
        return {}
    from pipeline.filter.rules.bad_words import LISTS

    return {"bad_words": digest_file(LISTS)}


def _training_config(classifier: Classifier) -> dict[str, Any]:
    return classifier.model_dump(mode="json", exclude={"path", "min_score"})


def _trained(context: Context) -> dict[str, Manifest]:
    """The classifiers that the recipe trains from the run's documents."""
    wanted = {name: c for name, c in context.recipe.filter.classifiers.items() if not c.path}
    shards, stages = context.document_shards(), context.recipe.selection_before("filter")
    if not wanted and not context.manifests(CLASSIFIER_STEP.name):
        return {}
    inputs = {layout.documents(shard): digest for shard, digest in shards.items()}
    for shard in shards if wanted else ():
        inputs |= context.verdict_inputs("filter", shard)
    config = {"shards": list(shards), "stages": stages}
    return context.run_step(
        CLASSIFIER_STEP, [Job(name, {**config, **_training_config(c)}, inputs) for name, c in wanted.items()]
    )


def _index_job(options: Filter) -> Job:
    sets = options.decontamination.sets
    config = {
        "ngram": options.decontamination.ngram,
        "sets": [
            {
                **evaluation.model_dump(include={"name", "fields", "id_field"}),
                "digests": _digests(evaluation.path, f"filter.decontamination.sets.{evaluation.name}.path"),
            }
            for evaluation in sets
        ],
    }
    return Job("all", config, arguments={"paths": {evaluation.name: evaluation.path for evaluation in sets}})


def _digest(path: str, key: str) -> str:
    if not storage.exists(path):
        raise UserError(f"{key} = {path!r}: no such file")
    return digest_file(storage.open_local(path))


def _digests(path: str, key: str) -> dict[str, str]:
    """Digest of a file, or of each data file below a folder."""
    from pipeline.filter.decontamination.evaluation_sets import data_files

    files = data_files(path)
    if not files:
        raise UserError(f"{key} = {path!r}: no such file, or no JSONL, Parquet or text file in that folder")
    return {name: digest_file(local) for name, local in files.items()}


def _verdict_jobs(context: Context, signals: dict[str, Manifest]) -> list[Job]:
    options = context.recipe.filter
    off = {"max_bad_words"} if options.max_bad_words is None else set()  # a run from before the key is as it was
    config = options.model_dump(mode="json", exclude={*NOT_IN_THE_BYTES, *off})
    for classifier in config["classifiers"].values():
        classifier.pop("path")  # its digest decides, and is part of the signals' fingerprint
    for evaluation in config["decontamination"]["sets"]:
        del evaluation["path"]
    blocklist = config["url"].pop("blocklist")
    if blocklist:
        config["url"]["blocklist_digest"] = _digest(blocklist, "filter.url.blocklist")
    jobs = []
    for shard, digest in context.document_shards().items():
        inputs = {layout.documents(shard): digest, **signals[shard].digests(layout.SIGNALS)}
        inputs |= context.verdict_inputs("filter", shard)
        arguments = {"options": options.model_dump(mode="json")}
        jobs.append(Job(shard, config, inputs, arguments))
    return jobs


def summary(totals: dict[str, int]) -> dict[str, Any]:
    """The stage's part of ``run --json``."""
    figures: dict[str, Any] = {name: totals.get(name, 0) for name in ("documents_in", "kept", "cut", "dropped")}
    for kind in ("reasons", "alone"):
        figures[kind] = {k.removeprefix(f"{kind}."): n for k, n in totals.items() if k.startswith(f"{kind}.")}
    return figures


def check_gate(figures: dict[str, Any], min_kept: float) -> None:
    """Raises ``GateError`` if fewer documents are kept than ``filter.min_kept`` asks for."""
    kept, total = figures["kept"], figures["documents_in"]
    if kept >= min_kept * total:
        return
    raise GateError(
        f"filter keeps {kept:,} of {total:,} documents ({kept / total:.1%}), fewer than filter.min_kept = {min_kept:g} "
        f"asks for: {reasons_in_words(figures)}; see what other rules would keep with `tokenmill filter RUN --set "
        "filter.preset=own`, or lower the limit with --set filter.min_kept=SHARE"
    )
