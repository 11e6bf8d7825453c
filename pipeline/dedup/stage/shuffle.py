"""The join of a run: which documents of all shards are duplicates, found by tasks that read only what is theirs.

0. ``dedup.earlier``     a task for each earlier run (``against``) without an index: makes one    -> clusters/earlier/
1. ``dedup.keys``        a task for each shard: its keys (text, URL, bands), dealt to partitions  -> clusters/keys/
2. ``dedup.links``       a task for each partition of the keys: which documents share one         -> clusters/links/
3. ``dedup.components``  one task, in bounded memory: what is connected through others           -> components.arrow
4. ``dedup.sets``        a task for each shard: its linked documents' shingles, dealt to parts    -> clusters/sets/
5. ``dedup.select``      a task for each part: selection, as over the whole corpus                -> clusters/pieces/
6. ``dedup.clusters``    one task that streams: the pieces in document order -> evidence.arrow, survivors.arrow

What is connected decides only what is looked at together: documents that share no key, directly or through others, have
nothing to do with each other.  So the result is the same, to the byte, whatever the number of partitions, and no part
of what defines ``dedup.clusters``.  What the steps before the last write goes when the last one is done.

The work itself is in modules of the steps' names, which load the kernels; this module only plans.
"""

import math
from dataclasses import asdict, replace
from typing import Any

from pipeline.base import storage
from pipeline.base.sizes import parse_memory
from pipeline.dedup.index.runs import fresh_index, is_run
from pipeline.recipe.minhash import JOIN_SHARE
from pipeline.run import layout
from pipeline.run.context import Context
from pipeline.run.engine import Job, Step
from pipeline.run.manifest import Manifest, canonical_json, digest_bytes, shards_of, total_counts

EARLIER_STEP = Step("dedup.earlier", 1, "pipeline.dedup.stage.earlier:index_run", lasting=False)
KEYS_STEP = Step("dedup.keys", 1, "pipeline.dedup.stage.keys:write_keys", lasting=False)
LINKS_STEP = Step("dedup.links", 2, "pipeline.dedup.stage.links:link", lasting=False)
COMPONENTS_STEP = Step("dedup.components", 1, "pipeline.dedup.stage.components:find_components", lasting=False)
SETS_STEP = Step("dedup.sets", 1, "pipeline.dedup.stage.linked_sets:write_sets", lasting=False)
SELECT_STEP = Step("dedup.select", 2, "pipeline.dedup.stage.select:select_part", lasting=False)
EARLIER_STEPS = (Step("dedup.parts", 1, ""),)  # of runs that an earlier version has left unfinished
STEPS = (EARLIER_STEP, KEYS_STEP, LINKS_STEP, COMPONENTS_STEP, SETS_STEP, SELECT_STEP, *EARLIER_STEPS)
KEY_BYTES = 40  # memory of one key in dedup.links: itself, its document, both sorted, the order
PARTITION_BYTES = 16 << 20  # of keys: so few are sorted within the processor's cache, and make one partition
PARTITIONS = 64  # that cost little more than one does
KINDS = 2  # of keys beside the bands: text, URL
POLICY = ("keep", "prefer_sources", "prefer_licences")


def partitions_of(context: Context, documents: int) -> int:
    """Partitions of the join: those that the recipe asks for, else by the memory of their keys.

    Small ones take less time and memory, and two workers share them; but each costs its tasks, and a range of every
    shard.  So their number and what one holds grow with the square root of the documents, up to ``PARTITIONS``; beyond
    that there are as many as the keys need to fit the join's memory.
    """
    options = context.recipe.dedup
    if options.partitions:
        return options.partitions
    keys = documents * (options.bands + KINDS) * KEY_BYTES
    held = max(PARTITION_BYTES, math.isqrt(keys * PARTITION_BYTES))
    needed = -(-keys // int(parse_memory(options.memory) * JOIN_SHARE))
    return max(1, needed, min(PARTITIONS, -(-keys // held)))


def plan_pieces(context: Context, whole: Job, signed: dict[str, Manifest]) -> Job:
    """Runs the steps before the last; returns the job of the last.

    Args:
        context: The run.
        whole: The job of dedup.clusters as its inputs define it.
        signed: Manifests of the signatures, in shard order.
    """
    rows = [sum(output.rows or 0 for output in manifest.outputs) for manifest in signed.values()]
    count = partitions_of(context, sum(rows))
    names = [f"{number:05d}" for number in range(count)]
    shared = {"shards": list(signed), "rows": rows, "partitions": names}
    shared |= {name: whole.arguments[name] for name in ("memory", "scratch", "root", "seed")}
    shared |= _indexes(context, whole)
    keyed = context.run_step(KEYS_STEP, [_keys_job(whole, shard, count, shared) for shard in signed])
    made_of = {"rows": _together(rows), "keys": _together(_digests(keyed, layout.KEYS))}
    jobs = [Job(n, {"partition": i, "partitions": count, **made_of}, {}, shared) for i, n in enumerate(names)]
    linked = context.run_step(LINKS_STEP, jobs)
    edges = sum(output.rows or 0 for made in linked.values() for output in made.outputs)
    config = {"partitions": count, "rows": made_of["rows"], "links": _together(_digests(linked, layout.LINKS))}
    joined = context.run_step(COMPONENTS_STEP, [Job("all", config, {}, {**shared, "edges": edges})])
    components = joined["all"].digests(layout.COMPONENTS)[layout.COMPONENTS]
    bases = [sum(rows[:number]) for number in range(len(rows))]
    jobs = [
        _sets_job(whole, keyed[shard], number, base, {"partitions": count, "components": components})
        for number, (shard, base) in enumerate(zip(signed, bases, strict=True))
    ]
    sets = _together(_digests(context.run_step(SETS_STEP, jobs), layout.SETS))
    selection = _selection(whole, count, sets)
    jobs = [Job(n, {**selection, "part": i}, {}, {**shared, "number": i}) for i, n in enumerate(names)]
    pieces = context.run_step(SELECT_STEP, jobs)
    return replace(whole, arguments={**whole.arguments, **shared, "counts": _counts(keyed, pieces)})


def _indexes(context: Context, whole: Job) -> dict[str, list[str]]:
    """The folder of the index of each entry of ``against``, and what of these stands below the run: made here."""
    minhash = context.recipe.dedup.minhash
    folders = [place if not is_run(place) else fresh_index(place, minhash) for place in context.recipe.dedup.against]
    jobs = [
        Job(
            f"{number:05d}",
            {"minhash": asdict(minhash), "run": whole.config["against"][number]},
            {},
            {"place": context.recipe.dedup.against[number], "scratch": whole.arguments["scratch"]},
        )
        for number, folder in enumerate(folders)
        if folder is None
    ]
    if jobs:
        context.run_step(EARLIER_STEP, jobs)
    made = [layout.earlier_index(f"{number:05d}") for number in range(len(folders))]
    return {
        "against": [folder or made[number] for number, folder in enumerate(folders)],
        "of_the_run": [made[number] for number, folder in enumerate(folders) if folder is None],
    }


def _keys_job(whole: Job, shard: str, partitions: int, shared: dict[str, Any]) -> Job:
    kept = ("ngram", "bands", "rows", "same_url", "stages_before", "against")
    config = {name: whole.config[name] for name in kept if name in whole.config}
    inputs = {path: whole.inputs[path] for path in _paths(whole, shard, documents=whole.config["same_url"])}
    arguments = {name: shared[name] for name in ("against", "of_the_run", "root", "seed", "scratch")}
    if "remembered" in whole.arguments:
        arguments["remembered"] = whole.arguments["remembered"]
    return Job(shard, {**config, "partitions": partitions}, inputs, arguments)


def _paths(whole: Job, shard: str, *, documents: bool) -> list[str]:
    """What of the inputs says of a shard which documents take part, and which keys they have."""
    stages = whole.config["stages_before"]
    found = [layout.signatures(shard), *(layout.verdicts(stage, shard) for stage in stages)]
    return [*found, layout.documents(shard)] if documents else found


def _sets_job(whole: Job, keyed: Manifest, number: int, base: int, made_of: dict[str, Any]) -> Job:
    shard = keyed.shard
    config = {name: whole.config[name] for name in ("ngram", "bands", "same_url", *POLICY)}
    inputs = {path: whole.inputs[path] for path in (layout.documents(shard), layout.signatures(shard))}
    inputs |= {path: whole.inputs[path] for path in (layout.signals(shard),) if path in whole.inputs}
    config |= {**made_of, "base": base}
    return Job(shard, config, inputs | keyed.digests(layout.GROUPS), {"number": number})


def _selection(whole: Job, partitions: int, sets: str) -> dict[str, Any]:
    config = {name: value for name, value in whole.config.items() if name != "shards"}
    return {**config, "partitions": partitions, "sets": sets}


def forget_pieces(context: Context) -> None:
    """Removes what the steps before the last have left."""
    for step in reversed(STEPS):
        # after a kill in the middle of this the shards may have gone before it
        stands = storage.exists(storage.join(context.root, layout.stage_manifest(step.name)))
        if stands or shards_of(context.root, step.name):
            context.forget_step(step)


def _together(value: Any) -> str:
    """One digest for many: a task's manifest does not grow with the corpus."""
    return digest_bytes(canonical_json(value).encode())


def _digests(manifests: dict[str, Manifest], folder: str) -> dict[str, str]:
    return {path: digest for made in manifests.values() for path, digest in made.digests(folder).items()}


def _counts(keyed: dict[str, Manifest], pieces: dict[str, Manifest]) -> dict[str, int]:
    """The counts that one process would have found."""
    totals = total_counts(pieces.values())
    largest = max(made.counts["largest_cluster"] for made in pieces.values())
    return {**totals, "largest_cluster": largest, "documents_in": total_counts(keyed.values()).get("documents_in", 0)}
