"""The dedup stage: signatures of every document, clusters over all shards, the verdicts on each shard.

1. ``dedup.signatures``  documents/NNNNN.arrow -> signatures/NNNNN.arrow, every document, whatever a stage before said
2. ``dedup.clusters``    all signatures, texts of candidates, earlier runs and indexes (``against``)
                         -> clusters/evidence.arrow, one row per removed document, and
                         clusters/survivors.arrow, one row per kept document whose cluster keeps others too
                         (the tasks that it is made by: shuffle.py)
3. ``dedup``             evidence -> verdicts/dedup/NNNNN.arrow

The work itself is in modules of these names, which load the kernels; this module only plans.
"""

from dataclasses import asdict
from typing import Any

from pipeline.base import storage
from pipeline.dedup.index.runs import absolute, against_digest
from pipeline.dedup.stage import shuffle
from pipeline.run import layout
from pipeline.run.context import Context
from pipeline.run.engine import Job, Step
from pipeline.run.manifest import Manifest, total_counts

SIGNATURES_STEP = Step("dedup.signatures", 1, "pipeline.dedup.stage.signatures:sign_shard")
CLUSTERS_STEP = Step("dedup.clusters", 4, "pipeline.dedup.stage.merge:merge_pieces")
VERDICTS_STEP = Step("dedup", 1, "pipeline.dedup.stage.verdicts:judge_shard")


def run(context: Context) -> dict[str, Any]:
    """Runs the three steps; returns the summary of the stage."""
    documents = context.document_shards()
    signed = sign_documents(context)
    clusters = _find_clusters(context, _clusters_job(context, documents, signed), signed)
    jobs = [_verdict_job(context, number, shard, signed, clusters["all"]) for number, shard in enumerate(documents)]
    verdicts = context.run_step(VERDICTS_STEP, jobs)
    counts = total_counts(verdicts.values())
    found = total_counts(clusters.values())
    return {
        "documents_in": counts.get("documents_in", 0),
        "kept": counts.get("kept", 0),
        "dropped": counts.get("dropped", 0),
        "dropped_exact": found.get("removed_exact", 0),
        "dropped_near": found.get("removed_near", 0),
        "dropped_earlier": found.get("removed_earlier", 0),
        "clusters": found.get("clusters", 0),
        "largest_cluster": found.get("largest_cluster", 0),
        "large_buckets": found.get("large_buckets", 0),
    }


def _find_clusters(context: Context, whole: Job, signed: dict[str, Manifest]) -> dict[str, Manifest]:
    """Steps of many tasks (shuffle.py) come before the one that makes clusters/, and leave nothing."""
    if context.dry or context.is_done(CLUSTERS_STEP, [whole]):
        found = context.run_step(CLUSTERS_STEP, [whole])
    else:
        found = context.run_step(CLUSTERS_STEP, [shuffle.plan_pieces(context, whole, signed)])
    shuffle.forget_pieces(context)
    return found


def sign_documents(context: Context) -> dict[str, Manifest]:
    """Signs every document shard that is not signed yet."""
    config = asdict(context.recipe.dedup.minhash)
    documents = context.document_shards().items()
    jobs = [Job(shard, config, {layout.documents(shard): digest}, {"shard": shard}) for shard, digest in documents]
    return context.run_step(SIGNATURES_STEP, jobs)


def _clusters_job(context: Context, documents: dict[str, str], signed: dict[str, Manifest]) -> Job:
    options = context.recipe.dedup
    earlier = context.recipe.selection_before("dedup")
    inputs = {layout.documents(shard): digest for shard, digest in documents.items()}
    for shard in documents:
        inputs |= signed[shard].digests(layout.SIGNATURES) | context.verdict_inputs("dedup", shard)
        if "filter" in earlier:
            inputs |= _signals(context, shard)
    config = {
        "ngram": options.ngram,
        "bands": options.bands,
        "rows": options.rows,
        "threshold": options.threshold,
        "keep": options.keep,
        "prefer_sources": options.prefer_sources,
        "prefer_licences": options.prefer_licences,
        "copies": options.copies,
        "same_url": options.same_url,
        "shards": list(documents),
        "stages_before": earlier,
    }
    if options.against:
        config["against"] = [against_digest(place, options.minhash, context.root) for place in options.against]
    scratch = str(storage.local_path(context.root) / storage.SCRATCH) if storage.is_local(context.root) else None
    places = {"against": options.against, "root": absolute(context.root), "seed": options.seed}
    arguments: dict[str, Any] = {"memory": options.memory, "scratch": scratch, **places}
    if context.takedown:  # its digest is in the fingerprint
        from pipeline.dedup.stage.remembered_evidence import remembered

        arguments["remembered"] = remembered(context, config, options.threshold)
    return Job("all", config, inputs, arguments)


def _signals(context: Context, shard: str) -> dict[str, str]:
    """The signal shard, needed where ``keep`` names a signal such as a quality score."""
    keep = context.recipe.dedup.keep
    if keep in ("first", "longest"):
        return {}
    found = context.manifests("filter.signals").get(shard)
    return found.digests(layout.SIGNALS) if found else {}


def _verdict_job(context: Context, number: int, shard: str, signed: dict[str, Manifest], clusters: Manifest) -> Job:
    evidence, read = clusters.digests(layout.EVIDENCE), clusters.read.get(layout.EVIDENCE)
    inputs = signed[shard].digests(layout.SIGNATURES) | evidence | context.verdict_inputs("dedup", shard)
    config = {"shard": shard, "stages_before": context.recipe.selection_before("dedup")}
    return Job(shard, config, inputs, {"number": number, "checksum": read["ranges"][number] if read else ""})
