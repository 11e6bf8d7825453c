"""What a tokenizer does to this corpus: bytes per token by language and source, use of its vocabulary, round trip."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base.errors import parse_json
from pipeline.run.tokenizer import Tokenizer, special_ids
from pipeline.tokens.tokenizer.byte_lengths import token_bytes
from pipeline.tokens.tokenizer.definition import vocabulary_size
from pipeline.tokens.tokenizer.engines import Choice, make_encoder
from pipeline.tokens.tokenizer.survey import Sample

REPORT_BYTES = 8 << 20  # of the training sample, for the use of the vocabulary
_SHOWN = 20


def make_report(
    definition: str, choice: Choice, samples: Sequence[Sample], training: Sequence[str], *, named: bool
) -> dict[str, Any]:
    """The report, JSON-able.

    Args:
        definition: Content of the ``tokenizer.json``.
        choice: The run's engine.
        samples: Documents by source and language.
        training: Further text of the training sample; empty where the tokenizer was given.
        named: Whether its pretokenizer is one that this package names.
    """
    parsed = parse_json(definition)
    encode = make_encoder(choice.engine, definition, cut_long_texts=named)
    ids, offsets = encode(pa.array([sample.text for sample in samples], pa.large_string()))
    more, _ = encode(pa.array(training, pa.large_string()))
    size = vocabulary_size(parsed)
    counts = np.bincount(ids, minlength=size) + np.bincount(more, minlength=size)
    lengths = np.diff(offsets)
    return {
        "engine": choice.engine,
        "engine_version": choice.version,
        "engine_reason": choice.reason,
        "vocabulary_size": size,
        "special_tokens": special_ids(parsed),
        "sample_documents": len(samples),
        "bytes_per_token": _ratio(samples, lengths),
        "by_source": _grouped(samples, lengths, [sample.source for sample in samples]),
        "by_language": _grouped(samples, lengths, [sample.language for sample in samples]),
        "vocabulary_use": _use(parsed, counts),
        "round_trip": _round_trip(definition, samples, ids, offsets),
    }


def _ratio(samples: Sequence[Sample], lengths: NDArray[np.int64]) -> float | None:
    tokens = int(lengths.sum())
    return round(sum(len(sample.text.encode()) for sample in samples) / tokens, 4) if tokens else None


def _grouped(samples: Sequence[Sample], lengths: NDArray[np.int64], labels: list[str]) -> dict[str, Any]:
    members: dict[str, list[int]] = defaultdict(list)
    for number, label in enumerate(labels):
        members[label].append(number)
    return {
        label: {"documents": len(rows), "bytes_per_token": _ratio([samples[n] for n in rows], lengths[rows])}
        for label, rows in sorted(members.items())
    }


def _use(parsed: dict[str, Any], counts: NDArray[np.int64]) -> dict[str, Any]:
    try:
        known = token_bytes(parsed)
    except ValueError:  # neither byte-level nor with byte fallback: tokens are shown as they are written
        known = {token_id: token.encode() for token, token_id in dict(parsed["model"]["vocab"]).items()}
    ids = np.array(sorted(known))
    used = ids[counts[ids] > 0]
    longest = sorted(known, key=lambda token_id: (-len(known[token_id]), token_id))[:_SHOWN]
    rarest = used[np.lexsort((-used, counts[used]))][:_SHOWN].tolist()
    return {
        "tokens_counted": int(counts.sum()),
        "used": len(used),
        "share": round(len(used) / len(ids), 4),
        "longest": [_shown(token_id, known, counts) for token_id in longest],
        "rarest": [_shown(token_id, known, counts) for token_id in rarest],
    }


def _shown(token_id: int, known: dict[int, bytes], counts: NDArray[np.int64]) -> dict[str, Any]:
    token = known[token_id]
    text = token.decode(errors="backslashreplace")
    return {"id": token_id, "token": text, "bytes": len(token), "count": int(counts[token_id])}


def _round_trip(
    definition: str, samples: Sequence[Sample], ids: NDArray[np.uint32], offsets: NDArray[np.int64]
) -> dict[str, Any]:
    """Decodes every sample again; a failure names the first differing character."""
    tokenizer = Tokenizer(definition)
    failures = 0
    example = None
    for number, sample in enumerate(samples):
        decoded = tokenizer.text(ids[offsets[number] : offsets[number + 1]].tolist())
        if decoded != sample.text:
            failures += 1
            if example is None:
                place = next((n for n, (a, b) in enumerate(zip(decoded, sample.text, strict=False)) if a != b), None)
                example = {"source": sample.source, "character": place, "text": sample.text[(place or 0) :][:40]}
    return {"documents": len(samples), "failures": failures, "first_failure": example}
