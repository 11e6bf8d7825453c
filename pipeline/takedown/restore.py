"""Brings documents back that were removed in favour of one that was taken down since, and that may stay.

A person decides about each of them: its text is equal or near to what had to go.  What the later stages would say of it
is asked now: the filter's rules on its stored signals, the distance to the validation documents, and whether another
document that is kept has the same text.  Nothing is changed in any table: the documents come in a token shard of their
own (pipeline/tokens/restored.py).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.base.pool import InProcess
from pipeline.lineage.training import Training
from pipeline.lookup.locate import DocIndex, Located
from pipeline.run import layout, ledger
from pipeline.run.context import Context
from pipeline.run.folder import Run
from pipeline.run.ledger import Ledger
from pipeline.run.manifest import load_manifests, missing_output, stage_manifest_stands
from pipeline.run.rows import matching_rows, read_row, read_rows, shard_names
from pipeline.run.table_files import batches
from pipeline.run.tables import CLUSTERS, DOCUMENTS, SIGNALS, SIGNATURES, VERDICTS
from pipeline.takedown import BLANK
from pipeline.tokens import restored
from pipeline.tokens.restored import Restoration


def restore(run: Run, names: Sequence[str], *, dry_run: bool = False) -> dict[str, Any]:
    """Brings documents back; the run is held by the caller.

    Args:
        run: The run.
        names: doc_ids, or beginnings of them.
        dry_run: Only say whether they may come back.

    Returns:
        ``documents``, ``already_restored``, ``first_epoch`` (counted from 1) and ``tokens``.

    Raises:
        UserError: If one of them is unknown, or would not be kept; nothing is done then.
    """
    index, removed = DocIndex(run), ledger.load(run.root)
    before = {doc_id for found in restored.load(run.root) for doc_id, _, _ in found.documents}
    chosen = {located.doc_id: located for located in map(index.find, names)}
    again = sorted(doc_id.hex() for doc_id in chosen if doc_id.hex() in before)
    new = sorted((item for item in chosen.values() if item.doc_id.hex() not in before), key=_place)
    for number, located in enumerate(new):
        _check(run, index, removed, located, new[:number])
    answer = {"documents": [item.doc_id.hex() for item in new], "already_restored": again}
    if dry_run or not new:
        return answer
    first_epoch, first_sequence = _first_epoch(run)
    documents = tuple((item.doc_id.hex(), item.shard, item.row) for item in new)
    number = len(restored.load(run.root)) + 1
    made = Restoration(number, first_epoch, first_sequence, documents)
    url = run.url(layout.RESTORED)
    data = storage.read_if_there(url) or b""
    storage.publish_bytes(data + made.line(), url, run.root)
    make(run)
    return {**answer, "first_epoch": first_epoch + 1, "in_all": restored.summary(run)}


def finish_restoring(run: Run) -> bool:
    """Makes what a killed restoration has recorded and not made; True if there was something."""
    found = {f"{item.number:04d}-{shard}" for item in restored.load(run.root) for shard in item.shards()}
    done = load_manifests(run.root, restored.STEP)
    is_told = not found or stage_manifest_stands(run.root, restored.STEP, done)
    if is_told and all(name in done and not missing_output(run.root, done[name]) for name in found):
        return False
    make(run)
    return True


def make(run: Run) -> None:
    """Makes the restored shards; ``tokenmill run`` does it too, so a killed restoration is finished by either."""
    context = Context(run, InProcess(), before_publish=BLANK)
    split, tokenizer = (context.manifests(f"tokenize.{name}")["all"] for name in ("split", "tokenizer"))
    restored.make_restored(context, split, tokenizer)


def _place(located: Located) -> tuple[str, int]:
    return located.shard, located.row


def _first_epoch(run: Run) -> tuple[int, int]:
    """The first epoch of the training that has not begun, and the sequence it starts at."""
    training = Training(run)
    if not training.steps_done:
        return 0, 0
    return training.dataset.mixture.next_epoch(training.steps_done * training.sequences)


# -- may it come back?


def _check(run: Run, index: DocIndex, removed: Ledger, located: Located, others: Sequence[Located]) -> None:
    """Refuses a document that would not be kept.

    Raises:
        UserError: With the reason.
    """
    name = located.doc_id.hex()
    for step in ("tokenize.split", "tokenize.tokenizer"):
        if not storage.exists(run.url(layout.shard_manifest(step, "all"))):
            raise UserError(f"{run.root}: not tokenized yet; change the recipe or the inputs instead of restoring")
    if name in removed.documents:
        raise UserError(f"{name}: it was taken down itself; its text is gone")
    row = _evidence(run, located)
    if row is None:
        raise UserError(f"{name}: not removed as a duplicate, so there is nothing to restore; see `tokenmill explain`")
    if row["kept_id"].hex() not in removed.documents:
        raise UserError(f"{name}: {row['kept_id'].hex()} stands in its place and was not taken down")
    for other in [*_kept_members(run, index, removed, row["cluster_id"]), *others]:
        _check_differs(run, located, other)
    reasons = _failed_rules(run, located)
    if reasons:
        raise UserError(f"{name}: the filter would drop it: {', '.join(reasons)}")
    if _is_near_validation(run, located):
        raise UserError(f"{name}: near a validation document, so it may not be trained on")


def _evidence(run: Run, located: Located) -> dict[str, Any] | None:
    if not storage.exists(run.url(layout.EVIDENCE)):
        return None
    path = run.local(layout.EVIDENCE)
    rows = list(matching_rows(path, CLUSTERS, "doc_id", pa.array([located.doc_id], pa.binary(16))))
    found: list[dict[str, Any]] = read_rows(path, CLUSTERS, rows).to_pylist() if rows else []
    return found[0] if found else None


def _kept_members(run: Run, index: DocIndex, removed: Ledger, cluster: bytes) -> Iterator[Located]:
    """Documents of a cluster that stand in the training or validation set: kept ones, and those restored before."""
    path = run.local(layout.EVIDENCE)
    rows = list(matching_rows(path, CLUSTERS, "cluster_id", pa.array([cluster], pa.binary(16))))
    table = read_rows(path, CLUSTERS, rows, ["doc_id", "kept_id"])
    dropped = set(table["doc_id"].to_pylist())
    back = {bytes.fromhex(doc_id) for found in restored.load(run.root) for doc_id, _, _ in found.documents}
    kept = ({*table["kept_id"].to_pylist(), cluster} - dropped) | (dropped & back)
    for doc_id in sorted(kept):
        if doc_id.hex() not in removed.documents:
            yield index.find(doc_id.hex())


def _check_differs(run: Run, located: Located, other: Located) -> None:
    from pipeline.dedup.command.comparison import compare

    texts = [read_row(run, layout.documents(item.shard), DOCUMENTS, item.row, ["doc_id", "text"])["text"]
             for item in (located, other)]  # fmt: skip
    found = compare(texts[0], texts[1], run.recipe.dedup)
    if found["outcome"] != "kept":
        raise UserError(
            f"{located.doc_id.hex()}: {found['outcome']} duplicate (similarity {found['similarity']:.4f}) of "
            f"{other.doc_id.hex()}, which is or comes back in the training set; restore one of them"
        )


def _failed_rules(run: Run, located: Located) -> list[str]:
    """What the filter stage would say of it, from its stored signals."""
    if "filter" not in run.recipe.stages:
        return []
    from pipeline.filter.rules.document_rules import DOCUMENT_COLUMNS, read_blocklist
    from pipeline.filter.rules.verdicts import all_failures

    options = run.recipe.filter
    signals = read_rows(run.local(layout.signals(located.shard)), SIGNALS, [located.row]).combine_chunks()
    columns = ["doc_id", *DOCUMENT_COLUMNS]
    documents = read_rows(
        run.local(layout.documents(located.shard)), DOCUMENTS, [located.row], columns
    ).combine_chunks()
    failures = all_failures(signals, documents, options, read_blocklist(options.url.blocklist))
    return [reason for reason, mask in zip(failures.reasons, failures.masks, strict=True) if mask[0]]


def _is_near_validation(run: Run, located: Located) -> bool:
    options = run.recipe.tokenize
    if not options.exclude_near_validation or options.validation_share <= 0:
        return False
    from pipeline.tokens.documents.split import NearValidation

    signature = read_row(
        run, layout.signatures(located.shard), SIGNATURES, located.row, ["doc_id", "signature", "num_shingles"]
    )
    held_out = list(_validation_signatures(run))
    if not held_out or not signature["num_shingles"]:
        return False
    near = NearValidation(np.array(held_out, np.uint32), options.train_exclusion_similarity)
    return bool(near.mask(np.array([signature["signature"]], np.uint32))[0])


def _validation_signatures(run: Run) -> Iterator[list[int]]:
    for shard in shard_names(run, layout.verdicts_folder("tokenize")):
        first, rows = 0, []
        for batch in batches(run.local(layout.verdicts("tokenize", shard)), VERDICTS, ["split"]):
            splits = batch.column("split").to_pylist()
            rows += [first + row for row, split in enumerate(splits) if split == "validation"]
            first += batch.num_rows
        if rows:
            path = run.local(layout.signatures(shard))
            yield from read_rows(path, SIGNATURES, rows, ["doc_id", "signature"])["signature"].to_pylist()
