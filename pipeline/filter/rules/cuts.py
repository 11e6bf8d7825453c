"""Byte ranges that are cut out of a document's text when it is tokenized: which, and how.

The filter stage writes them into its verdicts (``cut_spans``: start, end, start, end, ...; null where nothing is cut),
the split carries them on, and whatever reads the text of kept documents for tokens takes them out.  documents/ stays
whole.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

CUT_SPANS = "cut_spans"
CUT_FIELD = pa.field(CUT_SPANS, pa.list_(pa.int32()))
MOST_CUT = 0.5  # a document of which more would be cut is dropped: what is left of it is no text


def merged(spans: Any) -> list[tuple[int, int]]:
    """Overlapping or touching spans as one, in order."""
    result: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def chosen_spans(spans: pa.ChunkedArray, shares: pa.ChunkedArray, max_overlap: float) -> dict[int, list[int]]:
    """For each row, the merged spans of items whose share is above ``max_overlap``; rows without any are left out.

    Args:
        spans: list<int32>: start, end, start, end, ... of each hit.
        shares: list<float32>: share of the hit's item that the document holds, one for each pair of ``spans``.
        max_overlap: As in the recipe.
    """
    counts = spans.combine_chunks().value_lengths().to_numpy(zero_copy_only=False)
    found: dict[int, list[int]] = {}
    for row in np.flatnonzero(counts).tolist():
        edges, own = spans[row].as_py(), shares[row].as_py()
        pairs = zip(edges[::2], edges[1::2], own, strict=True)
        wanted = [(start, end) for start, end, share in pairs if np.float32(share) > np.float32(max_overlap)]
        if wanted:
            found[row] = [edge for span in merged(wanted) for edge in span]
    return found


def cut_text(text: str, spans: Sequence[int]) -> str:
    """The text without byte ranges."""
    raw, kept, at = text.encode(), [], 0
    for start, end in zip(spans[::2], spans[1::2], strict=True):
        kept.append(raw[at:start])
        at = end
    return b"".join([*kept, raw[at:]]).decode("utf-8", "replace")


def cut_texts(texts: pa.Array, cuts: pa.Array) -> pa.Array:
    """The texts without the byte ranges of ``cuts`` (list<int32>, one list per text)."""
    rows = [row for row, spans in enumerate(cuts.to_pylist()) if spans] if cuts.null_count < len(cuts) else []
    if not rows:
        return texts
    import pyarrow.compute as pc

    index = pa.array(rows)
    pairs = zip(texts.take(index).to_pylist(), cuts.take(index).to_pylist(), strict=True)
    mask = np.zeros(len(texts), bool)
    mask[rows] = True
    return pc.replace_with_mask(texts, pa.array(mask), pa.array([cut_text(*pair) for pair in pairs], texts.type))


def moved(offset: int, spans: Sequence[int]) -> int:
    """Where a byte of the whole text is in the cut text; inside a cut, where the cut was."""
    return offset - sum(max(0, min(offset, end) - start) for start, end in zip(spans[::2], spans[1::2], strict=True))
