"""Takes documents out of a run: no row is deleted, nothing moves, nothing of the text stays.

1. Choose the documents; find what they are near to, and which checkpoints were trained on them.
2. Prepare: blank every file that holds them into scratch files; the sum of every file is checked first.
3. Record, in two renames: the plan (``manifests/takedown.pending``: each file's digest before and after), then
   ``takedown.jsonl``.  The second one is the point of no return.
4. Publish the blanked files, then every manifest with its new digests, then remove what shows text (the report, model
   samples) and the plan.

Killed before the point of no return, nothing has happened.  Killed after it, the same command, or ``tokenmill takedown
RUN``, goes on from the plan: a file is either as it was before, or as planned; anything else is damage, and named.
"""

import contextlib
import json
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.base import storage
from pipeline.base.errors import FormatError, RunError, UnansweredError, UserError, parse_json
from pipeline.base.progress import each
from pipeline.dedup.index.state import is_index, run_index
from pipeline.dedup.stage.shuffle import STEPS, forget_pieces
from pipeline.lineage.training import Training
from pipeline.lookup.locate import Located, places_of
from pipeline.run import layout, ledger, step_digests
from pipeline.run import manifest as manifests
from pipeline.run.context import Context
from pipeline.run.folder import Run
from pipeline.run.ledger import Ledger, Removed, TokenRows
from pipeline.run.manifest import Manifest, Output, steps_of
from pipeline.run.rows import shard_names
from pipeline.takedown.blank import Blanker, adjust_counts
from pipeline.takedown.choose import Choice, Chosen, choose, keys_of, near_duplicates, raw_inputs_of
from pipeline.takedown.evidence import evidence_line, near_validation_line, survivors_line
from pipeline.takedown.restore import finish_restoring, restore
from pipeline.takedown.searches import ambiguous, require_one_each
from pipeline.tokens.shards.shard_facts import token_layout

SPLITS = ("train", "validation", "restored")


@dataclass
class Plan:
    """What a takedown will do to the files: by path, digest before, and the output after; counts by step and shard."""

    ledger: str
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, Output] = field(default_factory=dict)
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The plan file."""
        after = {path: vars(output) for path, output in self.after.items()}
        return manifests.canonical_json(
            {"ledger": self.ledger, "before": self.before, "after": after, "counts": self.counts}
        ).encode()

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> "Plan":
        """The inverse of ``to_bytes``.

        Raises:
            FormatError: If it is damaged.
        """
        try:
            values = parse_json(data)
            values["after"] = {path: Output(**output) for path, output in values["after"].items()}
            if strange := [path for path, output in values["after"].items() if path != output.path]:
                raise ValueError(f"it names {strange[0]!r} as another file")
            return cls(**values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            folder = where.rpartition("/")[0]
            raise FormatError(
                f"{where}: damaged ({error}), so that nobody knows what the takedown has left to do; delete the folder "
                f"{folder}: the next `tokenmill run` makes every shard again, without what was taken down"
            ) from error


def take_down(
    run: Run,
    choice: Choice,
    *,
    restoring: Sequence[str] = (),
    indexes: Sequence[str] = (),
    dry_run: bool = False,
) -> dict[str, Any]:
    """Takes down what ``choice`` names; finishes an interrupted takedown or restoration first.

    Args:
        run: The run.
        choice: What to take down.
        restoring: doc_ids to bring back, after that (restore.py).
        indexes: Dedup indexes outside the run that forget everything taken down from it, now and before.
        dry_run: Write nothing.

    Returns:
        ``status`` ("planned", "ambiguous", "refused", "done", or "nothing to do"), ``refused`` (why, where the choice
        names every document), ``documents``, ``found`` (of each path and phrase), ``raw_inputs`` (files that still hold
        the text), ``already_taken_down``, ``near_duplicates``, ``checkpoints``, ``files``.  A dry run finds the same.

    Raises:
        UserError: If the choice names something unknown, or every document, or a path or phrase fits several documents
            (a dry run shows them).
        RunError: If a file is damaged or missing, the folder cannot be written, or another process holds the run.
    """
    for place in indexes:
        if not is_index(place):
            raise UserError(f"--index {place}: not a dedup index (no index.json)")
    found = _take_down(run, choice, restoring, dry_run=dry_run)
    forgotten = {} if dry_run else {place: _forget(run, place) for place in indexes}
    if any(forgotten.values()):
        found["status"] = "done"
    return found | ({"forgotten": forgotten} if indexes else {})


def _take_down(run: Run, choice: Choice, restoring: Sequence[str], *, dry_run: bool) -> dict[str, Any]:
    with contextlib.nullcontext() if dry_run else run.lock():
        finished = not dry_run and (finish(run) or finish_restoring(run))
        removed = ledger.load(run.root)
        chosen = choose(run, choice, removed) if choice else Chosen()
        several = [] if choice.all_matches else ambiguous(chosen.searches)
        if not dry_run:
            require_one_each(run, several)
            if chosen.refused:
                raise UserError(chosen.refused)
        found = _summary(run, chosen)
        if dry_run:
            back = {"restored": restore(run, restoring, dry_run=True)} if restoring else {}
            return {
                "status": "refused" if chosen.refused else "ambiguous" if several else "planned",
                **({"refused": chosen.refused} if chosen.refused else {}),
                **found,
                "files": [] if chosen.refused else _would_change(run, choice, chosen, removed),
                **back,
            }
        if not chosen.documents:
            back = {"restored": restore(run, restoring)} if restoring else {}
            did = finished or (restoring and back["restored"]["documents"])
            return {"status": "done" if did else "nothing to do", **found, "files": [], **back}
        forget_pieces(Context(run))  # of a join that was interrupted: it begins anew without the documents
        plan, data = _prepare(run, choice, chosen.documents, removed, lambda: storage.scratch(run.root))
        storage.publish_bytes(plan.to_bytes(), run.url(layout.TAKEDOWN_PLAN), run.root)
        storage.publish_bytes(data, run.url(layout.TAKEDOWN), run.root)
        finish(run)
        back = {"restored": restore(run, restoring)} if restoring else {}
        return {"status": "done", **found, "files": sorted(plan.after), **back}


# -- what it means


def _summary(run: Run, chosen: Chosen) -> dict[str, Any]:
    places = places_of(run, chosen.documents)
    documents = [
        {"doc_id": located.doc_id.hex(), "shard": located.shard, "row": located.row, **places[located.doc_id]}
        for located in chosen.documents
    ]
    return {
        "root": run.root,
        "documents": documents,
        **({"found": [one.as_json(run) for one in chosen.searches]} if chosen.searches else {}),
        "raw_inputs": raw_inputs_of(run, chosen.documents),
        "already_taken_down": [found.doc_id for found in chosen.gone],
        "near_duplicates": near_duplicates(run, chosen.documents),
        **_trained_on(run, chosen.documents),
        "tokenizer": _saw_tokenizer(run, chosen.documents),
    }


def _trained_on(run: Run, documents: Sequence[Located]) -> dict[str, Any]:
    """``checkpoints``; where none saw them, how many there are, or why it cannot be told which saw what."""
    training = Training(run)
    if not documents or not training.checkpoints:
        return {"checkpoints": []}
    try:
        training.check_checkpoints("whether it was trained on these documents")
    except UnansweredError:
        raise
    except RunError as error:
        return {"checkpoints": [], "checkpoints_unknown": str(error)}
    found = _checkpoints(training, documents)
    return {"checkpoints": found, **({} if found else {"checkpoints_without": len(training.checkpoints)})}


def _checkpoints(training: Training, documents: Sequence[Located]) -> list[dict[str, Any]]:
    """Every checkpoint that was trained on one of the documents: its steps that read them, and tokens."""
    reads = []
    for located in documents:
        tokens = training.token_range(located)
        if tokens is not None:
            found = training.reads(tokens, training.checkpoints[-1])
            reads += [(step, located.doc_id, targets) for step, _, targets in found]
    rows = []
    for step in training.checkpoints:
        before = [read for read in reads if read[0] < step]
        if before:
            rows.append(
                {
                    "checkpoint": layout.checkpoint(step),
                    "documents": len({doc_id for _, doc_id, _ in before}),
                    "tokens": sum(targets for _, _, targets in before),
                    "steps": sorted({read_step for read_step, _, _ in before}),
                }
            )
    return rows


def _saw_tokenizer(run: Run, documents: Sequence[Located]) -> bool:
    """True where the run's tokenizer was trained on a sample of documents that may have held these."""
    path = layout.TOKENIZER
    return bool(documents) and run.recipe.tokenize.tokenizer is None and storage.exists(run.url(path))


# -- prepare


def _all_manifests(run: Run) -> Iterator[Manifest]:
    passing = {step.name for step in STEPS}  # what the join's steps write goes before anything is taken down
    for step in steps_of(run.root):
        if step not in passing:
            yield from manifests.load_manifests(run.root, step).values()


def _affected(run: Run, documents: Sequence[Located]) -> dict[str, tuple[Manifest, Output]]:
    """Outputs that may hold the documents: tables of their shards, and those that are not cut into shards."""
    shards = {located.shard for located in documents}
    names = set(shard_names(run))
    found = {}
    for made in _all_manifests(run):
        for output in made.outputs:
            shard = layout.shard_of(output.path)
            if output.path.endswith(".arrow") and (shard in shards or shard not in names):
                found[output.path] = (made, output)
    return found if documents else {}


def _would_change(run: Run, choice: Choice, chosen: Chosen, removed: Ledger) -> list[str]:
    """Files that the takedown would change: found as it finds them, outside the run folder."""
    if not chosen.documents:
        return []
    with tempfile.TemporaryDirectory(prefix="tokenmill-") as folder:
        plan, _ = _prepare(run, choice, chosen.documents, removed, lambda: Path(folder) / uuid.uuid4().hex)
    return sorted(plan.after)


def _prepare(
    run: Run, choice: Choice, documents: Sequence[Located], removed: Ledger, scratch: Callable[[], Path]
) -> tuple[Plan, bytes]:
    """The plan, and the bytes of the longer takedown.jsonl; blanked files lie at ``scratch()`` for a moment."""
    affected = _affected(run, documents)
    for made in _all_manifests(run):
        problem = manifests.missing_output(run.root, made)
        if problem:
            raise RunError(f"{run.root}: {problem}; `tokenmill run` makes it again, then take down")
    for path, (_, output) in each(affected.items(), "takedown: checking", "file"):
        if manifests.digest_file(run.local(path)) != output.digest:
            raise RunError(f"{run.root}: {path} is damaged; `tokenmill verify {run.root} --delete`, then run again")
    request = choice.request([located.doc_id.hex() for located in documents])
    entries, text_bytes = [], {}
    for located, keys, size in keys_of(run, documents):
        entries.append(Removed(located.doc_id.hex(), located.shard, located.row, keys, request["request"]))
        text_bytes[located.doc_id.hex()] = size
    tokens = list(_token_rows(run, affected, {entry.doc_id for entry in entries}, removed))
    memory = [line(run, documents) for line in (evidence_line, survivors_line, near_validation_line)]
    data = ledger.read(run.root) + ledger.lines(request, entries, tokens, memory)
    after = ledger.parse(data, run.url(layout.TAKEDOWN))
    plan = Plan(after.digest)
    blanker = Blanker(run, after)
    for path, (made, output) in sorted(affected.items()):
        _plan_file(run, blanker, plan, path, made, output, scratch())
    _subtract_text(plan, tokens, removed, text_bytes, run)
    return plan, data


def _plan_file(
    run: Run, blanker: Blanker, plan: Plan, path: str, made: Manifest, output: Output, scratch: Path
) -> None:
    try:
        blanked = blanker.blank(run.local(path), path, scratch)
        if blanked is None:
            return
        plan.before[path] = output.digest
        plan.after[path] = Output(path, scratch.stat().st_size, manifests.digest_file(scratch), blanked.rows)
    finally:
        scratch.unlink(missing_ok=True)
    key = f"{made.step}/{made.shard}"
    counts = plan.counts.setdefault(key, parse_json(json.dumps(made.counts)))
    adjust_counts(counts, blanked)


def _subtract_text(
    plan: Plan, tokens: Sequence[TokenRows], removed: Ledger, text_bytes: dict[str, int], run: Run
) -> None:
    """The text_bytes of an encoded shard are those of the texts that are left, as when it is made again."""
    for item in tokens:
        key = f"tokenize/{layout.shard_of(item.path)}"
        counts = plan.counts.get(key, {})
        if "text_bytes" in counts:
            counts["text_bytes"] -= sum(text_bytes.get(doc_id, 0) for _, doc_id, _ in item.rows)


def _token_rows(
    run: Run, affected: dict[str, tuple[Manifest, Output]], doc_ids: set[str], removed: Ledger
) -> Iterator[TokenRows]:
    """Of each token shard that holds one of the documents: what will stand in their place, earlier ones included."""
    for path, (_, output) in sorted(affected.items()):
        if not path.startswith(tuple(map(layout.tokens_folder, SPLITS))):
            continue
        held = token_layout(run.local(path))
        names = [bytes(doc_id).hex() for doc_id in held.doc_ids]
        if doc_ids.isdisjoint(names):
            continue
        gone = doc_ids | removed.documents.keys()
        rows = tuple((row, name, int(held.lengths[row])) for row, name in enumerate(names) if name in gone)
        earlier = removed.tokens.get(path)
        same = earlier is not None and earlier.layout == held.digest()
        was = earlier.was if earlier is not None and same else output.digest
        yield TokenRows(path, was, held.digest(), held.batches, rows)


# -- carry out


def finish(run: Run) -> bool:
    """Carries out a recorded takedown to its end; True if there was one."""
    url = run.url(layout.TAKEDOWN_PLAN)
    data = storage.read_if_there(url)
    if data is None:
        return False
    plan = Plan.from_bytes(data, url)
    removed = ledger.load(run.root)
    if removed.digest != plan.ledger:  # killed before the point of no return
        storage.delete(url)
        return False
    blanker = Blanker(run, removed)
    for path in each(sorted(plan.after), "takedown: writing", "file"):
        _publish(run, blanker, path, plan)
    _rewrite_manifests(run, plan)
    _remove_what_shows_text(run)
    if is_index(run_index(run.root)):
        _forget(run, run_index(run.root))
    storage.delete(url)
    return True


def _forget(run: Run, index: str) -> int:
    """A dedup index forgets everything that was taken down from the run; returns how many documents it had of it."""
    from pipeline.dedup.index.writer import remove_documents

    return remove_documents(index, ledger.load(run.root).documents)


def _publish(run: Run, blanker: Blanker, path: str, plan: Plan) -> None:
    if not storage.exists(run.url(path)):
        return  # `tokenmill run` makes it again, without what was taken down
    found = manifests.digest_file(run.local(path))
    if found == plan.after[path].digest:
        return
    scratch = storage.scratch(run.root)
    blanked = blanker.blank(run.local(path), path, scratch) if found == plan.before[path] else None
    if blanked is None or manifests.digest_file(scratch) != plan.after[path].digest:
        scratch.unlink(missing_ok=True)
        raise RunError(
            f"{run.root}: {path} is neither as it was before the takedown nor as it will be: damaged. Delete it, then "
            f"`tokenmill takedown {run.root}` goes on and `tokenmill run` makes it again without what was taken down"
        )
    storage.publish(scratch, run.url(path))


def _rewrite_manifests(run: Run, plan: Plan) -> None:
    """Every manifest with the new digests, under the new takedown.jsonl; then the stage manifests."""
    renamed = {plan.before[path]: output.digest for path, output in plan.after.items()}
    step_digests.forget(run.root, *steps_of(run.root))
    for step in steps_of(run.root):
        current = {}
        for shard, made in manifests.load_manifests(run.root, step).items():
            current[shard] = made if made.takedown == plan.ledger else _rewritten(made, plan, renamed)
            if current[shard] is not made:
                storage.publish_bytes(
                    current[shard].to_bytes(), manifests.manifest_url(run.root, step, shard), run.root
                )
        if storage.exists(run.url(layout.stage_manifest(step))):
            manifests.write_stage_manifest(run.root, step, current)


def _rewritten(made: Manifest, plan: Plan, renamed: dict[str, str]) -> Manifest:
    inputs = {
        path: plan.after[path].digest if plan.before.get(path) == digest else digest
        for path, digest in made.inputs.items()
    }
    config = _replaced(made.config, renamed)
    return Manifest(
        step=made.step,
        shard=made.shard,
        fingerprint=manifests.fingerprint(made.step, made.logic_version, config, inputs, plan.ledger),
        logic_version=made.logic_version,
        config=config,
        inputs=inputs,
        libraries=made.libraries,
        outputs=[plan.after.get(output.path, output) for output in made.outputs],
        counts=plan.counts.get(f"{made.step}/{made.shard}", made.counts),
        read=made.read,
        takedown=plan.ledger,
    )


def _replaced(value: Any, renamed: dict[str, str]) -> Any:
    """A config with the digests of rewritten files in place of the old ones."""
    if isinstance(value, dict):
        return {key: _replaced(item, renamed) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, renamed) for item in value]
    return renamed.get(value, value) if isinstance(value, str) else value


def _remove_what_shows_text(run: Run) -> None:
    for path in (layout.REPORT, layout.SAMPLES):
        url = run.url(path)
        for name in storage.list_files(url):
            storage.delete(storage.join(url, name))
        if storage.exists(url):
            storage.delete(url)


def history(run: Run) -> list[dict[str, Any]]:
    """The takedowns of a run, first one first."""
    return [dict(request) for request in ledger.load(run.root).requests]
