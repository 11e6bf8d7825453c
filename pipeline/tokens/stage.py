"""The tokenize stage: split, tokenizer, token shards, index.

1. ``tokenize.split``      every kept document to training or validation: verdicts/tokenize/
2. ``tokenize.survey``     what the kept documents of a shard hold: tokenizer/survey/
3. Beside each other, since none needs another:
   ``tokenize.tokenizer``    train or take a tokenizer, choose the engine: tokenizer/
   ``tokenize.leakage``      what training text is still near validation text: tokens/leakage.json
   ``index``, ``index.keys``  index/doc_id.arrow, index/keys.arrow
4. ``tokenize``            documents/NNNNN.arrow -> tokens/train/NNNNN.arrow and tokens/validation/NNNNN.arrow
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.base import storage
from pipeline.base.errors import RunError, UserError
from pipeline.base.sizes import parse_memory
from pipeline.dedup.stage.plan import sign_documents
from pipeline.lookup.doc_ids import index_work
from pipeline.lookup.keys import keys_work
from pipeline.recipe.options import Recipe
from pipeline.run import layout, ledger
from pipeline.run.context import Context
from pipeline.run.engine import Job, Step
from pipeline.run.manifest import Manifest, digest_file, total_counts
from pipeline.tokens.left import account
from pipeline.tokens.restored import make_restored

SPLIT_STEP = Step(
    "tokenize.split",
    2,
    "pipeline.tokens.documents.assign:assign",
    ("pyarrow", "numpy"),
    is_stale="pipeline.tokens.stage:held_nothing_out",
)
SURVEY_STEP = Step("tokenize.survey", 1, "pipeline.tokens.tokenizer.survey:survey_shard", ("pyarrow", "numpy"))
TOKENIZER_STEP = Step(
    "tokenize.tokenizer", 3, "pipeline.tokens.tokenizer.training:make_tokenizer", ("pyarrow", "tokenizers", "gigatoken")
)
ENCODE_STEP = Step("tokenize", 1, "pipeline.tokens.encode:encode_shard", ("pyarrow", "tokenizers", "gigatoken"))
LEAKAGE_STEP = Step("tokenize.leakage", 1, "pipeline.tokens.leakage:measure")


def run(context: Context) -> dict[str, Any]:
    """Runs the stage; returns its summary."""
    documents = {layout.documents(name): digest for name, digest in context.document_shards().items()}
    split = context.run_step(SPLIT_STEP, [_split_job(context)])["all"]
    surveys = context.run_step(SURVEY_STEP, _survey_jobs(context, split))
    _check_what_is_left(context, split, surveys)
    trained, leakage, _, _ = context.run_steps(  # the first takes long, on one processor
        (TOKENIZER_STEP, [_tokenizer_job(context, documents, split, surveys)]),
        (LEAKAGE_STEP, _leakage_jobs(context, documents, split)),
        index_work(context),
        keys_work(context),
    )
    tokenizer = trained["all"]
    made = context.run_step(ENCODE_STEP, _encode_jobs(context, split, tokenizer))
    make_restored(context, split, tokenizer)
    counts = total_counts(made.values())
    names = ("documents", "tokens", "train_tokens", "validation_tokens", "train_documents", "validation_documents")
    return {
        **{name: counts.get(name, 0) for name in names},
        "near_validation": split.counts.get("near_validation", 0),
        **({"held_out": split.counts["held_out"]} if "held_out" in split.counts else {}),
        **total_counts(leakage.values()),
        "text_bytes": counts.get("text_bytes", 0),
        "vocabulary_size": tokenizer.counts["vocabulary_size"],
        "engine": "gigatoken" if tokenizer.counts["gigatoken"] else "tokenizers",
    }


def _split_job(context: Context) -> Job:
    options = context.recipe.tokenize
    shards, stages = list(context.document_shards()), context.recipe.selection_before("tokenize")
    inputs: dict[str, str] = {}
    for name, digest in context.document_shards().items():
        inputs |= context.verdict_inputs("tokenize", name) if stages else {layout.documents(name): digest}
    exclude = options.exclude_near_validation and "dedup" in stages and options.validation_share > 0
    if "dedup" in stages:
        for manifest in context.manifests("dedup.clusters").values():
            inputs |= manifest.digests(layout.SURVIVORS)
    if exclude:
        for manifest in context.manifests("dedup.signatures").values():
            inputs |= manifest.digests(layout.SIGNATURES)
    config = {
        "seed": options.seed,
        "validation_share": options.validation_share,
        "exclude_near_validation": exclude,
        "similarity": options.train_exclusion_similarity,
        "shards": shards,
        "stages": stages,
    }
    arguments: dict[str, Any] = {}
    if context.takedown:  # its digest is in the fingerprint
        removed = ledger.load(context.root)
        arguments |= {"near_validation": list(removed.near_validation), "survivors": dict(removed.survivors)}
    if options.held_out:
        for manifest in sign_documents(context).values():  # also where the recipe has no dedup stage
            inputs |= manifest.digests(layout.SIGNATURES)
        table = given_file(options.held_out, "tokenize.held_out")
        config["held_out"], arguments["held_out"] = digest_file(table), str(table)
    return Job("all", config, inputs, arguments)


def held_nothing_out(context: Context, job: Job, found: Manifest) -> str | None:
    """Why a split that was made when a small share could be no document is made again; every other one stays."""
    of = found.counts.get
    if not job.config["validation_share"] or of("validation_documents") or of("indivisible") or context.takedown:
        return None
    return "no document is held out for validation" if of("train_documents") else None


def _survey_jobs(context: Context, split: Manifest) -> list[Job]:
    splits, config = split.digests(layout.VERDICTS), {"seed": context.recipe.tokenize.seed}
    jobs = []
    for name, digest in context.document_shards().items():
        verdicts = layout.verdicts("tokenize", name)
        jobs.append(Job(name, config, {layout.documents(name): digest, verdicts: splits[verdicts]}))
    return jobs


def _check_what_is_left(context: Context, split: Manifest, surveys: Mapping[str, Manifest]) -> None:
    """Refuses to train a tokenizer on nothing, and says what a training would refuse of the text that is left.

    Raises:
        RunError: If no training text is left.
    """
    size, window = total_counts(surveys.values()).get("train_bytes", 0), context.recipe.model.trained_context_length + 1
    if not size:
        told = account(context.run) or "every document was dropped or held out"
        raise RunError(f"no training document is left: {told}; `tokenmill report RUN` shows examples of each reason")
    if "train" not in context.recipe.stages:
        return
    if size + split.counts["train_documents"] < window:  # no token is less than a byte, and one ends each document
        context.progress.note(
            f"warning: {size:,} bytes of text are left to train on, not one window of model.context_length + 1 = "
            f"{window:,} tokens: {account(context.run)}"
        )
    if context.recipe.tokenize.validation_share and not split.counts["validation_documents"]:
        context.progress.note(
            "warning: no document is held out for validation, since nothing would be left to train on; a training "
            f"needs tokenize.validation_share = 0.0: {account(context.run)}"
        )


def _tokenizer_job(
    context: Context, documents: dict[str, str], split: Manifest, surveys: Mapping[str, Manifest]
) -> Job:
    options, sources = context.recipe.tokenize, context.recipe.sources
    check_sources(context.recipe)
    keys = {"vocabulary_size", "pretokenizer", "end_of_text", "special_tokens", "engine", "seed"}
    if options.begin_of_text:  # not otherwise: the jobs of recipes without it are what they were
        keys.add("begin_of_text")
    config = options.model_dump(include=keys) | {
        "weights": {source.name: options.tokenizer_weights.get(source.name, source.weight) for source in sources},
        "sample_bytes": parse_memory(options.training_sample, "tokenize.training_sample"),
        "shards": list(context.document_shards()),
        "given": "",
    }
    arguments: dict[str, Any] = {}
    if options.tokenizer:
        path = given_file(options.tokenizer, "tokenize.tokenizer")
        config["given"], arguments["tokenizer"] = digest_file(path), str(path)
    inputs = documents | split.digests(layout.VERDICTS)
    for survey in surveys.values():
        inputs |= survey.digests(layout.SURVEY)
    return Job("all", config, inputs, arguments)


def check_sources(recipe: Recipe) -> None:
    """Refuses weights of the tokenizer's sample for sources that the recipe does not have.

    Raises:
        UserError: With the sources that there are.
    """
    names = [source.name for source in recipe.sources]
    if unknown := sorted(set(recipe.tokenize.tokenizer_weights) - set(names)):
        raise UserError(f"tokenize.tokenizer_weights names {', '.join(unknown)}; the sources are {', '.join(names)}")


def given_file(url: str, key: str) -> Path:
    """A file that the recipe names under ``key``, on this machine.

    Raises:
        UserError: If there is none.
    """
    if not storage.exists(url):
        raise UserError(f"{key} = {url}: no such file")
    return storage.open_local(url)


def _encode_jobs(context: Context, split: Manifest, tokenizer: Manifest) -> list[Job]:
    splits, encoder = split.digests(layout.VERDICTS), tokenizer.digests(layout.TOKENIZER_FOLDER)
    encoder.pop(layout.TOKENIZER_REPORT, None)
    jobs = []
    for name, digest in context.document_shards().items():
        verdicts = layout.verdicts("tokenize", name)
        inputs = {layout.documents(name): digest, verdicts: splits[verdicts], **encoder}
        jobs.append(Job(name, {"seed": context.recipe.tokenize.seed}, inputs))
    return jobs


def _leakage_jobs(context: Context, documents: dict[str, str], split: Manifest) -> list[Job]:
    """One job; none where nothing is held out."""
    options = context.recipe.tokenize
    if not split.counts.get("validation_documents"):
        return []
    config = {"seed": options.seed, "ngram": context.recipe.dedup.ngram, "shards": list(context.document_shards())}
    return [Job("all", config, documents | split.digests(layout.VERDICTS))]
