"""What every trial is scored on: documents that the base run holds out, the same bytes of text for each variant.

1. ``ablation.held_out``    base run: documents/, verdicts/tokenize/ -> ablation/documents/NNNNN.arrow
2. ``ablation.signatures``  data folder: these -> ablation/signatures.arrow, what ``tokenize.held_out`` names, so that
                            neither they nor what is near them trains
3. ``ablation.tokens``      data folder: the same texts by the variant's tokenizer -> ablation/tokens/NNNNN.arrow

The tokens are padded with end-of-text documents that are not scored, one token before a source's first and
``padding`` tokens after its last: whatever the tokenizer and the context length, each byte of text is scored once.
The work itself is in validation_work.py; this module only plans.
"""

from dataclasses import asdict

from pipeline.base.errors import UserError
from pipeline.run import layout
from pipeline.run.context import Context
from pipeline.run.engine import Job, Step
from pipeline.run.manifest import Manifest

HELD_OUT_STEP = Step("ablation.held_out", 1, "pipeline.ablation.validation_work:hold_out")
SIGNATURES_STEP = Step("ablation.signatures", 1, "pipeline.ablation.validation_work:sign")
TOKENS_STEP = Step(
    "ablation.tokens", 1, "pipeline.ablation.validation_work:encode", ("pyarrow", "tokenizers", "gigatoken")
)


def hold_out_documents(context: Context, sources: list[str], max_bytes: int) -> dict[str, Manifest]:
    """Takes the validation documents of the base run, at most about ``max_bytes`` of text.

    Raises:
        UserError: If there are none.
    """
    split = context.manifests("tokenize.split")["all"].digests(layout.VERDICTS)
    config = {"sources": sources, "share": _share(context, max_bytes), "seed": context.recipe.tokenize.seed}
    jobs = [
        Job(
            shard,
            config,
            {layout.documents(shard): digest, **{k: split[k] for k in [layout.verdicts("tokenize", shard)]}},
        )
        for shard, digest in context.document_shards().items()
    ]
    made = context.run_step(HELD_OUT_STEP, jobs)
    if not sum(manifest.counts["documents"] for manifest in made.values()):
        raise UserError(
            "no document to score on: the base run holds none out"
            + (f" of {', '.join(sources)}" if sources else "")
            + "; raise tokenize.validation_share with --set"
        )
    return made


def _share(context: Context, max_bytes: int) -> float:
    """Share of the held-out documents that fits the limit, by their mean size."""
    tokens = context.manifests("tokenize")
    total = sum(m.counts["text_bytes"] for m in tokens.values())
    documents = sum(m.counts["documents"] for m in tokens.values())
    held_out = sum(m.counts["validation_documents"] for m in tokens.values())
    expected = total * held_out / documents if documents else 0.0
    return 1.0 if expected <= max_bytes else round(max_bytes / expected, 4)


def sign_held_out(context: Context, held_out: dict[str, Manifest]) -> None:
    """Signs the held-out documents by the signature settings of this data folder's recipe."""
    inputs: dict[str, str] = {}
    for manifest in held_out.values():
        inputs |= manifest.digests(layout.HELD_OUT_DOCUMENTS)
    context.run_step(SIGNATURES_STEP, [Job("all", asdict(context.recipe.dedup.minhash), inputs)])


def encode_held_out(context: Context, held_out: dict[str, Manifest], padding: int) -> dict[str, Manifest]:
    """Encodes the held-out documents by this data folder's tokenizer.

    Args:
        context: Of the data folder, after its tokenize stage.
        held_out: What ``hold_out_documents`` gave.
        padding: The longest context length of any variant.
    """
    tokenizer = context.manifests("tokenize.tokenizer")["all"].digests(layout.TOKENIZER_FOLDER)
    tokenizer.pop(layout.TOKENIZER_REPORT, None)
    edges = _edges({shard: _source_of(context, shard) for shard, m in held_out.items() if m.counts["documents"]})
    jobs = [
        Job(
            shard,
            {"before": int(first), "after": padding * last},
            held_out[shard].digests(layout.HELD_OUT_DOCUMENTS) | tokenizer,
        )
        for shard, (first, last) in edges.items()
    ]
    return context.run_step(TOKENS_STEP, jobs)


def _source_of(context: Context, shard: str) -> str:
    from pipeline.run.table_files import open_table
    from pipeline.run.tables import DOCUMENTS

    table = open_table(context.run.local(layout.shard_table(layout.HELD_OUT_DOCUMENTS, shard)), DOCUMENTS, ["source"])
    return str(table.get_batch(0).column("source")[0].as_py())


def _edges(sources: dict[str, str]) -> dict[str, tuple[bool, bool]]:
    """Whether each shard is the first, and the last, of its source."""
    first: dict[str, str] = {}
    last: dict[str, str] = {}
    for shard, source in sorted(sources.items()):
        first.setdefault(source, shard)
        last[source] = shard
    return {shard: (first[source] == shard, last[source] == shard) for shard, source in sources.items()}
