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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.base import storage
from pipeline.base.errors import FormatError
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.manifest import Manifest, digest_file, load_manifests
from pipeline.run.tables import DOCUMENTS, VERDICTS, tokens_table
from pipeline.tokens.shards.token_shard import TokenFormat

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.run.context import Context
    from pipeline.run.engine import Job, Outputs

STEP = "tokenize.restored"


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
    for number, line in enumerate(storage.read_bytes(url).splitlines() if storage.exists(url) else (), start=1):
        try:
            values = json.loads(line)
            documents = tuple((str(doc_id), str(shard), int(row)) for doc_id, shard, row in values.pop("documents"))
            found.append(Restoration(**values, documents=documents))
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(f"{url}: line {number} is damaged ({error}); bring the file back from a copy") from error
    return found


def shard_path(number: int, shard: str) -> str:
    """Where the restored documents of a document shard stand."""
    return layout.shard_table(layout.RESTORED_TOKENS, f"{number:04d}-{shard}")


def parse_name(stem: str) -> tuple[int, str]:
    """Number of the restoration and document shard of a file in ``tokens/restored/``.

    Example:
        >>> parse_name("0003-00012-1")
        (3, '00012-1')
    """
    number, _, shard = stem.partition("-")
    return int(number), shard


def inputs(run: Run, sequences: int) -> dict[str, str]:
    """Path and digest of the restored shards that a training of so many sequences reads."""
    read = {found.number for found in load(run.root) if found.first_sequence < sequences}
    digests: dict[str, str] = {}
    for manifest in load_manifests(run.root, STEP).values() if read else ():
        digests |= {
            path: d
            for path, d in manifest.digests(layout.RESTORED_TOKENS).items()
            if parse_name(Path(path).stem)[0] in read
        }
    return digests


def make_restored(context: "Context", split: Manifest, tokenizer: Manifest) -> None:
    """Makes the shards that are not up to date; nothing where no document was ever restored."""
    from pipeline.run.engine import Job, Step

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
    libraries = ("pyarrow", "tokenizers", "gigatoken")
    context.run_step(Step(STEP, 1, "pipeline.tokens.restored:encode_restored", libraries), jobs)


def _cuts(context: "Context", shard: str, rows: Sequence[int]) -> dict[str, list[int]]:
    """Byte ranges that decontamination cuts out of documents, by row.

    From their signals: the filter's verdicts say nothing of a document that the stage before had dropped.
    """
    if "filter" not in context.recipe.stages or context.recipe.filter.decontamination.action != "cut":
        return {}
    from pipeline.filter.rules.verdicts import wanted_cuts
    from pipeline.run.rows import read_rows
    from pipeline.run.tables import SIGNALS

    signals = read_rows(context.run.local(layout.signals(shard)), SIGNALS, rows).combine_chunks()
    found = wanted_cuts(signals, context.recipe.filter)
    return {str(rows[place]): spans for place, spans in found.items()}


def encode_restored(job: "Job", outputs: "Outputs") -> None:
    """One restored shard: its documents in the order of their rows, unless they are in the split by now anyway."""
    from pipeline.base.arrow import doc_id_array
    from pipeline.run.rows import read_rows
    from pipeline.tokens.encode import end_documents
    from pipeline.tokens.shards.shard_facts import describe
    from pipeline.tokens.shards.token_shard import write_documents
    from pipeline.tokens.tokenizer.engines import check_no_special, make_encoder

    shard = job.config["shard"]
    rows = _rows_to_encode(job, outputs, shard)
    definition = outputs.run_path(layout.TOKENIZER).read_text(encoding="utf-8")
    encoding = json.loads(outputs.run_path(layout.ENCODING).read_bytes())
    digest = digest_file(outputs.run_path(layout.TOKENIZER))
    token_format = TokenFormat(digest, encoding["vocabulary_size"], encoding["end_of_text_id"])
    path = layout.documents(shard)
    table = read_rows(outputs.run_path(path), DOCUMENTS, rows, ["doc_id", "text", "source"]).combine_chunks()
    encode = make_encoder(encoding["engine"], definition, cut_long_texts=encoding["cut_long_texts"])
    source = _source(outputs, shard)
    target = shard_path(job.config["number"], shard)
    batches: list[tuple[int, int]] = []
    with outputs.table(target, tokens_table(token_format.vocabulary_size), token_format.metadata(source)) as writer:
        if rows:
            ids, offsets = encode(_without_cuts(table["text"].chunk(0), rows, job.config.get("cuts", {})))
            check_no_special(ids, encoding["special_tokens"])
            flat, ends = end_documents(ids, offsets, token_format)
            doc_ids = doc_id_array(table["doc_id"].chunk(0))
            batches = write_documents(writer, lambda first, end: flat[ends[first] : ends[end]], ends, doc_ids)
    outputs.read[target] = describe(source, token_format, batches)
    outputs.count(documents=len(rows), tokens=sum(tokens for _, tokens in batches))


def _without_cuts(texts: "pa.Array", rows: Sequence[int], cuts: dict[str, list[int]]) -> "pa.Array":
    import pyarrow as pa

    from pipeline.filter.rules.cuts import CUT_FIELD, cut_texts

    if not cuts:
        return texts
    return cut_texts(texts, pa.array([cuts.get(str(row)) for row in rows], CUT_FIELD.type))


def _rows_to_encode(job: "Job", outputs: "Outputs", shard: str) -> list[int]:
    from pipeline.run.rows import read_rows

    rows = sorted(int(row) for _, row in job.config["documents"])
    path = outputs.run_path(layout.verdicts("tokenize", shard))
    sides: Sequence[str | None] = read_rows(path, VERDICTS, rows, ["doc_id", "split"])["split"].to_pylist()
    return [row for row, side in zip(rows, sides, strict=True) if side is None]


def _source(outputs: "Outputs", shard: str) -> str:
    from pipeline.tokens.documents.corpus import shard_sources

    return str(shard_sources(outputs, [shard])[shard])


def token_count(made: Manifest) -> int:
    """Tokens of a restored shard."""
    return int(np.sum(made.counts.get("tokens", 0)))


def summary(run: Run) -> dict[str, Any]:
    """Documents and tokens that came back."""
    made = load_manifests(run.root, STEP).values()
    return {"documents": sum(m.counts.get("documents", 0) for m in made), "tokens": sum(map(token_count, made))}
