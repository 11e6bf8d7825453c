"""The filter stage: signals of every document, then the verdicts.

1. ``filter.index``    evaluation sets -> hashes of their n-grams (only where the recipe names some).
2. ``filter.signals``  document shards -> signals/, for every document, whatever other stages say of it.
3. ``filter``          signals/ and document columns -> verdicts/filter/; text is not read.

Nothing heavy is imported here: planning a finished run calls ``run`` too.
"""

from typing import Any

from pipeline import storage
from pipeline.engine import Context, Job, Step
from pipeline.errors import UserError
from pipeline.filter.definitions import is_class_path
from pipeline.manifest import Manifest, digest_file, total_counts
from pipeline.options import Filter

INDEX_STEP = Step("filter.index", 1, "pipeline.filter.worker:index_evaluation_sets", libraries=("pyarrow",))
SIGNALS_STEP = Step(
    "filter.signals",
    2,
    "pipeline.filter.worker:measure_shard",
    libraries=("pyarrow", "numba", "stopwordsiso", "fasttext-numpy2-wheel", "datatrove"),
)
VERDICTS_STEP = Step("filter", 1, "pipeline.filter.worker:judge_shard", libraries=("pyarrow",))
INDEX_PATHS = ("decontamination/ngrams.arrow", "decontamination/items.arrow")


def run(context: Context) -> dict[str, Any]:
    """Measures and judges every shard; returns the stage's summary."""
    signals = context.run_step(SIGNALS_STEP, _signal_jobs(context))
    verdicts = context.run_step(VERDICTS_STEP, _verdict_jobs(context, signals))
    return summary(total_counts(verdicts.values()))


def _signal_jobs(context: Context) -> list[Job]:
    options = context.recipe.filter
    config = signal_config(options)
    shared: dict[str, str] = {}
    if options.decontamination.sets:
        index = context.run_step(INDEX_STEP, [_index_job(options)])
        shared = index["all"].digests("decontamination/")
    arguments = {"classifiers": {name: classifier.path for name, classifier in options.classifiers.items()}}
    return [
        Job(shard, config, {f"documents/{shard}.arrow": digest, **shared}, arguments)
        for shard, digest in context.document_shards().items()
    ]


def signal_config(options: Filter) -> dict[str, Any]:
    """What of the recipe decides the signals: classifiers, evaluation sets, datatrove filters; no threshold."""
    return {
        "classifiers": {
            name: {"label": classifier.label, "digest": _digest(classifier.path, f"filter.classifiers.{name}.path")}
            for name, classifier in sorted(options.classifiers.items())
        },
        "evaluation_sets": [evaluation.name for evaluation in options.decontamination.sets],
        "ngram": options.decontamination.ngram if options.decontamination.sets else None,
        "datatrove": {path: options.datatrove.get(path, {}) for path in options.rules if is_class_path(path)},
    }


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
    from pipeline.filter.evaluation_sets import data_files

    files = data_files(path)
    if not files:
        raise UserError(f"{key} = {path!r}: no such file, or no JSONL, Parquet or text file in that folder")
    return {name: digest_file(local) for name, local in files.items()}


def _verdict_jobs(context: Context, signals: dict[str, Manifest]) -> list[Job]:
    options = context.recipe.filter
    config = options.model_dump(mode="json")
    for classifier in config["classifiers"].values():
        del classifier["path"]  # its digest decides, and stands in the signals' fingerprint
    for evaluation in config["decontamination"]["sets"]:
        del evaluation["path"]
    blocklist = config["url"].pop("blocklist")
    if blocklist:
        config["url"]["blocklist_digest"] = _digest(blocklist, "filter.url.blocklist")
    jobs = []
    for shard, digest in context.document_shards().items():
        inputs = {f"documents/{shard}.arrow": digest, **signals[shard].digests("signals/")}
        inputs |= context.verdict_inputs("filter", shard)
        arguments = {"options": options.model_dump(mode="json")}
        jobs.append(Job(shard, config, inputs, arguments))
    return jobs


def summary(totals: dict[str, int]) -> dict[str, Any]:
    """The stage's part of ``run --json``."""
    prefix = "reasons."
    figures: dict[str, Any] = {name: totals.get(name, 0) for name in ("documents_in", "kept", "cut", "dropped")}
    figures["reasons"] = {k.removeprefix(prefix): n for k, n in totals.items() if k.startswith(prefix)}
    return figures
