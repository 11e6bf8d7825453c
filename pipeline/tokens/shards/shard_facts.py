"""What the manifests of the tokenize stage say of its shards, so that a lookup need not open every file.

``encode`` leaves, for each token shard, its source, tokenizer and the sizes of its record batches in the manifest.  A
shard that is not as its manifest says (another size), that was changed by a takedown, or that has no such entry, is
opened.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.base.digests import hasher
from pipeline.run import layout, ledger
from pipeline.run.folder import Run
from pipeline.run.manifest import load_manifests
from pipeline.tokens.shards.token_shard import TokenFormat, TokenShard, map_batches

STEP = "tokenize"


def describe(source: str, token_format: TokenFormat, batches: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """The manifest's entry of a token shard; ``batches``: documents and tokens of each record batch."""
    return {
        "source": source,
        "tokenizer": token_format.tokenizer,
        "vocabulary_size": token_format.vocabulary_size,
        "end_of_text": token_format.end_of_text,
        **({} if token_format.begin_of_text is None else {"begin_of_text": token_format.begin_of_text}),
        "documents": [documents for documents, _ in batches],
        "tokens": [tokens for _, tokens in batches],
    }


def known_shards(run: Run, folder: Path, split: str = "train") -> dict[str, TokenShard]:
    """Token shards of a run as their manifests describe them, by file name.

    Args:
        run: The run.
        folder: Where the shards of the split lie on this machine.
        split: "train" or "validation".
    """
    changed = ledger.load(run.root).tokens
    found: dict[str, TokenShard] = {}
    for manifest in load_manifests(run.root, STEP).values():
        for output in manifest.outputs:
            facts = manifest.read.get(output.path)
            name = output.path.removeprefix(layout.tokens_folder(split))
            if facts is None or name == output.path or output.path in changed:
                continue
            path = folder / name
            if path.exists() and path.stat().st_size == output.bytes:
                found[name] = _shard(path, facts)
    return found


def _shard(path: Path, facts: dict[str, Any]) -> TokenShard:
    token_format = TokenFormat(
        facts["tokenizer"], facts["vocabulary_size"], facts["end_of_text"], facts.get("begin_of_text")
    )
    return TokenShard(path, facts["source"], token_format, tuple(facts["tokens"]), tuple(facts["documents"]))


@dataclass
class TokenLayout:
    """The documents of a token shard: ids (N, 16), lengths (N,), rows of each record batch."""

    doc_ids: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    batches: tuple[int, ...]

    def digest(self) -> str:
        """What a rebuilt shard must equal to get its blanked rows back."""
        found = hasher()
        for part in (self.doc_ids, self.lengths, np.array(self.batches, np.int64)):
            found.update(np.ascontiguousarray(part).tobytes())
        return found.hexdigest()


def token_layout(path: Path) -> TokenLayout:
    """The layout of a token shard."""
    mapped = map_batches(path)
    ids = [batch.doc_ids for batch in mapped] or [np.empty((0, 16), np.uint8)]
    lengths = [np.diff(batch.offsets) for batch in mapped] or [np.empty(0, np.int64)]
    return TokenLayout(np.concatenate(ids), np.concatenate(lengths), tuple(len(batch.doc_ids) for batch in mapped))
