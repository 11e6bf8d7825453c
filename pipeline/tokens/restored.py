"""Documents that came back after a takedown: ``restored.jsonl`` and ``tokens/restored/``.

A document removed in favour of one that was taken down may come back (pipeline/takedown/restore.py decides).  It comes
in a shard of its own, so that no other token moves: restoration 3 of document shard 00012 stands in
``tokens/restored/0003-00012.arrow``.  Each restoration is a stream of its own in the training order, from the first
epoch on that had not begun when it was made; so the order of the epochs before, and every trace of them, stay as they
were.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.base import storage
from pipeline.base.errors import FormatError, parse_json
from pipeline.run import layout
from pipeline.run.context import Context
from pipeline.run.engine import Job, Step
from pipeline.run.folder import Run
from pipeline.run.manifest import Manifest, load_manifests
from pipeline.run.rows import read_rows
from pipeline.run.tables import SIGNALS

STEP = "tokenize.restored"
LIBRARIES = ("pyarrow", "tokenizers", "gigatoken")


@dataclass(frozen=True)
class Restoration:
    """One line of restored.jsonl.

    ``first_epoch`` (counted from 0) is the first one that reads it, ``first_sequence`` where that epoch starts;
    ``documents``: doc_id, document shard and row of each.
    """

    number: int
    first_epoch: int
    first_sequence: int
    documents: tuple[tuple[str, str, int], ...]

    def line(self) -> bytes:
        """The line of the file."""
        return (json.dumps({**vars(self), "documents": [list(row) for row in self.documents]}) + "\n").encode()

    def shards(self) -> dict[str, list[tuple[str, int]]]:
        """doc_id and row of its documents, by document shard."""
        found: dict[str, list[tuple[str, int]]] = {}
        for doc_id, shard, row in self.documents:
            found.setdefault(shard, []).append((doc_id, row))
        return dict(sorted(found.items()))


def load(root: str) -> list[Restoration]:
    """The restorations of a run, first one first.

    Raises:
        FormatError: If the file is damaged.
    """
    url = storage.join(root, layout.RESTORED)
    found = []
    for number, line in enumerate((storage.read_if_there(url) or b"").splitlines(), start=1):
        try:
            values = parse_json(line)
            documents = tuple((str(doc_id), str(shard), int(row)) for doc_id, shard, row in values.pop("documents"))
            found.append(Restoration(**values, documents=documents))
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(f"{url}: line {number} is damaged ({error}); bring the file back from a copy") from error
    return found


def parse_name(stem: str) -> tuple[int, str]:
    """Number of the restoration and document shard of a file in ``tokens/restored/``.

    Example:
        >>> parse_name("0003-00012-1")
        (3, '00012-1')
    """
    number, _, shard = stem.partition("-")
    return int(number), shard


def inputs(run: Run, sequences: int) -> dict[str, str]:
    """Path and digest of the restored shards that a training of ``sequences`` sequences reads."""
    read = {found.number for found in load(run.root) if found.first_sequence < sequences}
    digests: dict[str, str] = {}
    for manifest in load_manifests(run.root, STEP).values() if read else ():
        digests |= {
            path: d
            for path, d in manifest.digests(layout.RESTORED_TOKENS).items()
            if parse_name(layout.shard_of(path))[0] in read
        }
    return digests


def make_restored(context: Context, split: Manifest, tokenizer: Manifest) -> None:
    """Makes the shards that are not up to date; nothing where no document was ever restored."""
    restorations = load(context.root)
    if not restorations:
        return
    documents, splits = context.document_shards(), split.digests(layout.VERDICTS)
    encoder = tokenizer.digests(layout.TOKENIZER_FOLDER)
    encoder.pop(layout.TOKENIZER_REPORT, None)
    jobs = []
    for restoration in restorations:
        for shard, rows in restoration.shards().items():
            if shard not in documents:
                continue  # the sources changed: there is no such shard any more
            config = {"number": restoration.number, "shard": shard, "documents": [list(row) for row in rows]}
            cuts = _cuts(context, shard, sorted(row for _, row in rows))
            config |= {"cuts": cuts} if cuts else {}
            verdicts = layout.verdicts("tokenize", shard)
            needed = {layout.documents(shard): documents[shard], verdicts: splits[verdicts], **encoder}
            jobs.append(Job(f"{restoration.number:04d}-{shard}", config, needed))
    context.run_step(Step(STEP, 1, "pipeline.tokens.encode_restored:encode_restored", LIBRARIES), jobs)


def _cuts(context: Context, shard: str, rows: Sequence[int]) -> dict[str, list[int]]:
    """Byte ranges that decontamination cuts out of documents, by row.

    From their signals: the filter's verdicts say nothing of a document that the stage before had dropped.
    """
    if "filter" not in context.recipe.stages or context.recipe.filter.decontamination.action != "cut":
        return {}
    from pipeline.filter.rules.verdicts import wanted_cuts  # pyarrow.compute, which no lookup may have to load

    signals = read_rows(context.run.local(layout.signals(shard)), SIGNALS, rows).combine_chunks()
    found = wanted_cuts(signals, context.recipe.filter)
    return {str(rows[place]): spans for place, spans in found.items()}


def token_count(made: Manifest) -> int:
    """Tokens of a restored shard."""
    return int(made.counts.get("tokens", 0))


def summary(run: Run) -> dict[str, Any]:
    """Documents and tokens that came back."""
    made = load_manifests(run.root, STEP).values()
    return {"documents": sum(m.counts.get("documents", 0) for m in made), "tokens": sum(map(token_count, made))}
