"""The join in parts: with ``[dedup] partitions`` above 1, no process holds the whole corpus.

1. ``dedup.links``     a task for each partition of the keys (text, URL, bands): which documents share one
                       -> clusters/links/NNNNN.arrow
2. ``dedup.parts``     one task: connected documents belong to one part -> clusters/parts/NNNNN.arrow
3. ``dedup.select``    a task for each part: selection, as over the whole corpus -> clusters/pieces/NNNNN.arrow
4. ``dedup.clusters``  one task that streams: the pieces in document order -> clusters/evidence.arrow

What is linked decides only what is looked at together: documents that share no key, directly or through others, have
nothing to do with each other.  So the result is that of one process, to the byte, whatever the number of partitions.

The work itself is in parts_join.py, which loads the kernels; this module only plans.
"""

from dataclasses import replace
from typing import Any

from pipeline.base import storage
from pipeline.run import layout
from pipeline.run.context import Context
from pipeline.run.engine import Job, Step
from pipeline.run.manifest import Manifest, total_counts

LINKS_STEP = Step("dedup.links", 1, "pipeline.dedup.stage.parts_join:link")
PARTS_STEP = Step("dedup.parts", 1, "pipeline.dedup.stage.parts_join:make_parts")
SELECT_STEP = Step("dedup.select", 1, "pipeline.dedup.stage.parts_join:select_part")
STEPS = (LINKS_STEP, PARTS_STEP, SELECT_STEP)
LINK_SETTINGS = ("ngram", "bands", "rows", "same_url", "shards", "stages_before")


def partitioned(context: Context) -> bool:
    """Whether the join runs in parts; after a takedown it is made again by one process."""
    return context.recipe.dedup.partitions > 1 and not context.takedown


def plan_pieces(context: Context, whole: Job, signed: dict[str, Manifest]) -> Job:
    """Runs the first three steps; returns the job of the last.

    Args:
        context: The run.
        whole: The job that would do it all in one process.
        signed: Manifests of the signatures, in shard order.
    """
    count = context.recipe.dedup.partitions
    names = [f"{number:05d}" for number in range(count)]
    config = {name: whole.config[name] for name in LINK_SETTINGS}
    inputs = whole.inputs
    if not whole.config["same_url"]:
        inputs = {path: digest for path, digest in inputs.items() if not path.startswith(layout.DOCUMENTS)}
    rows = [sum(output.rows or 0 for output in manifest.outputs) for manifest in signed.values()]
    links = [Job(name, {**config, "partition": n, "partitions": count}, inputs) for n, name in enumerate(names)]
    linked = context.run_step(LINKS_STEP, links)
    found = _digests(linked, layout.LINKS)
    parts = context.run_step(PARTS_STEP, [Job("all", {"parts": count, "documents": sum(rows)}, found)])
    chosen = parts["all"].digests(layout.PARTS)
    select = [
        replace(whole, shard=name, inputs={**whole.inputs, path: chosen[path]})
        for name, path in zip(names, sorted(chosen), strict=True)
    ]
    pieces = context.run_step(SELECT_STEP, select)
    arguments: dict[str, Any] = {"rows": rows, "counts": _counts(linked, pieces)}
    return Job("all", whole.config, _digests(pieces, layout.PIECES), arguments)


def forget_pieces(context: Context) -> None:
    """Removes what an earlier partitioned join has left, where this one is not."""
    for step in STEPS:
        # after a kill in the middle of this the shards may have gone before it
        stands = storage.exists(storage.join(context.root, layout.stage_manifest(step.name)))
        if stands or context.manifests(step.name):
            context.forget_step(step)


def _digests(manifests: dict[str, Manifest], folder: str) -> dict[str, str]:
    return {path: digest for made in manifests.values() for path, digest in made.digests(folder).items()}


def _counts(linked: dict[str, Manifest], pieces: dict[str, Manifest]) -> dict[str, int]:
    """The counts that one process would have found."""
    totals = total_counts(pieces.values())
    largest = max(made.counts["largest_cluster"] for made in pieces.values())
    return {**totals, "largest_cluster": largest, "documents_in": total_counts(linked.values())["documents_in"]}
