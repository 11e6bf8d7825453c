"""Records come out sorted by all their fields, whatever the order and the pieces they came in."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.base.hash_sort import HashSort

RECORD = np.dtype([("key", np.uint64), ("row", np.int32)])


@pytest.mark.parametrize("count", [0, 1, 5000])
@pytest.mark.parametrize("keys", [3, 1 << 64])
@pytest.mark.parametrize("rows", [7, 10_000])
def test_records_come_sorted_in_pieces_of_one_size(tmp_path: Path, count: int, keys: int, rows: int) -> None:
    generator = np.random.default_rng(count)
    records = np.empty(count, RECORD)
    records["key"] = generator.integers(0, keys - 1, count, np.uint64, endpoint=True)
    records["row"] = generator.permutation(count)
    with HashSort(tmp_path, RECORD) as sort:
        for start in range(0, count, 999):
            sort.add(records[start : start + 999])
        pieces = list(sort.sorted(rows))
    assert [len(piece) for piece in pieces] == [min(rows, count - start) for start in range(0, count, rows)]
    assert [item for piece in pieces for item in piece.tolist()] == sorted(records.tolist())
    assert list(tmp_path.iterdir()) == []
