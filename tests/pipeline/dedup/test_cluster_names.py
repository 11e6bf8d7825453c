"""A cluster_id names one cluster, also where files count their records from 0 each."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from flows.cli.app import main


def write(path: Path, topic: str) -> None:
    texts = [" ".join(f"{topic}{n}word{word}" for word in range(20)) for n in range(2)]
    path.write_text(
        "".join(json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(texts)), encoding="utf-8"
    )


@pytest.mark.parametrize("shared", [True, False])
def test_clusters_of_files_with_the_same_ids_are_told_apart(tmp_path: Path, shared: bool) -> None:
    for name, topic in (("a", "ships"), ("b", "mills"), ("c", "ships"), ("d", "mills")):
        write(tmp_path / f"{name}.jsonl", topic if shared or topic == "ships" else topic + name)
    with pytest.raises(SystemExit) as ended:
        main(
            ["dedup", "run", *map(str, sorted(tmp_path.glob("*.jsonl"))), "--output", str(tmp_path / "out"), "-j", "1"]
        )
    assert not ended.value.code
    kept, removed = (
        pa.ipc.open_file(tmp_path / "out" / name).read_all() for name in ("clusters.arrow", "removed.arrow")
    )
    names = kept["cluster_id"].to_pylist()
    assert len(set(names)) == len(names) == (4 if shared else 2)
    assert sorted(removed["cluster_id"].to_pylist()) == sorted(names)
    assert names == (["a.jsonl:0", "a.jsonl:1", "b.jsonl:0", "b.jsonl:1"] if shared else ["0", "1"])
