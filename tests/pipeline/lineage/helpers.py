"""What the tests of lineage, takedown and restoring look up in a run, and how they stop it half-way."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.base import storage
from pipeline.lineage.explain import explain
from pipeline.lineage.training import Training
from pipeline.lookup.locate import DocIndex, Located, one_by_key
from pipeline.run.folder import Run
from pipeline.run.table_files import read_table
from pipeline.run.tables import DOCUMENTS
from tests import trees

OUTSIDE = (*trees.OUTSIDE, "metrics", "report")


def tree(run: Run) -> dict[str, bytes]:
    return trees.tree(run.root, *OUTSIDE)


def documents(run: Run) -> list[dict[str, object]]:
    rows = []
    for path in sorted(Path(run.root).glob("documents/*.arrow")):
        rows += [{**row, "shard": path.stem, "row": n} for n, row in enumerate(read_table(path, DOCUMENTS).to_pylist())]
    return rows


def read_document(run: Run, step: int = 3) -> dict[str, Any]:
    """A document that a step has read, as its row in documents/."""
    training = Training(run)
    located = DocIndex(run).find(training.dataset.documents(step, training.sequences)[0])
    row: dict[str, Any] = read_table(run.local(f"documents/{located.shard}.arrow"), DOCUMENTS).to_pylist()[located.row]
    return {**row, "doc_id": located.doc_id.hex(), "shard": located.shard, "row": located.row}


def mentions(root: Path, words: list[bytes]) -> list[str]:
    """Files of a folder that hold one of the words: raw, or inside the compressed columns of a table."""
    found = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if data[:6] == b"ARROW1":
            data += json.dumps(pa.ipc.open_file(path).read_all().to_pylist(), default=repr, ensure_ascii=False).encode()
        if any(word in data for word in words):
            found.append(path.relative_to(root).as_posix())
    return found


class Killed(BaseException):
    pass


def publications(monkeypatch: pytest.MonkeyPatch, stop_after: int | None) -> list[str]:
    """Counts publications; the process 'dies' right before number ``stop_after`` + 1, or half-way through it."""
    done: list[str] = []
    real = storage.publish

    def publish(finished: Path, url: str, **options: bool) -> None:
        if stop_after is not None and len(done) == stop_after:
            raise Killed
        real(finished, url, **options)
        done.append(url)

    monkeypatch.setattr(storage, "publish", publish)
    return done


def twin(run: Run, name: str = "near twin") -> Located:
    return one_by_key(run, "id", name)


def kept_twin(run: Run) -> str:
    found: str = explain(run, twin(run))["duplicates"]["kept_twin"]["kept_id"]
    return found
