"""Token shards of made-up documents, without a run."""

import hashlib
from pathlib import Path

import numpy as np

from pipeline.tokens.shards.token_shard import TokenFormat, write_token_shard

FORMAT = TokenFormat("a" * 32, 1000, 0)


def doc_id(name: str | int) -> bytes:
    return hashlib.blake2b(str(name).encode(), digest_size=16).digest()


def make_shard(
    folder: Path, name: str, source: str, lengths: list[int], token_format: TokenFormat = FORMAT
) -> list[int]:
    """Documents of the given lengths (end of text included); returns the flat tokens."""
    rng = np.random.default_rng(int.from_bytes(doc_id(name + source)[:4]))
    documents = [
        (doc_id(f"{source}/{name}/{n}"), [*rng.integers(1, 1000, length - 1).tolist(), 0])
        for n, length in enumerate(lengths)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    write_token_shard(folder / f"{name}.arrow", token_format, source, documents)
    return [token for _, tokens in documents for token in tokens]
