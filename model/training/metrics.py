"""``metrics/train.jsonl``: one line per logged step or validation, cut back to the checkpoint's step on resume."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from model.loggers.bridges import Bridges
from pipeline.base import storage
from pipeline.base.console import say
from pipeline.lineage.training import read_json_lines
from pipeline.run import layout
from pipeline.run.folder import Run


class Metrics:
    """Appends lines to the metrics of a run.

    On an object store the lines are kept in a local file and uploaded whole at each ``flush``.

    Args:
        run: The run.
        after_step: Lines of later steps go.
        tell: Where it is said that a tool of ``train.loggers`` failed.
    """

    def __init__(self, run: Run, *, after_step: int, tell: Callable[[str], None] = say) -> None:
        root = run.root
        self._root, self._url = root, storage.join(root, layout.TRAIN_METRICS)
        lines = [line for line in read_lines(root) if line["step"] <= after_step]
        self.seconds_before = max((line.get("seconds", 0.0) for line in lines), default=0.0)
        data = "".join(_line(line) for line in lines)
        storage.publish_bytes(data.encode(), self._url, root)
        self._path = storage.local_path(self._url) if storage.is_local(root) else _local_copy(root, data)
        self._file: IO[str] = self._path.open("a", encoding="utf-8")
        self._bridges = Bridges(run, lines, tell)

    def write(self, line: dict[str, Any]) -> None:
        """Appends one line."""
        self._file.write(_line(line))
        self._file.flush()
        self._bridges.write(line)

    def flush(self) -> None:
        """Makes the lines durable: called before a checkpoint that goes on from them."""
        os.fsync(self._file.fileno())
        if not storage.is_local(self._root):
            storage.publish_bytes(self._path.read_bytes(), self._url, self._root)
        self._bridges.flush()

    def close(self) -> None:
        """Flushes and closes."""
        self.flush()
        self._file.close()
        self._bridges.close()


def _local_copy(root: str, data: str) -> Path:
    path = storage.scratch(root)
    path.write_text(data, encoding="utf-8")
    return path


def _line(line: dict[str, Any]) -> str:
    return json.dumps(line, allow_nan=False) + "\n"


def read_lines(root: str, path: str = layout.TRAIN_METRICS) -> list[dict[str, Any]]:
    """All complete lines; one that a kill left half-written is dropped, a damaged one too, and named."""
    return read_json_lines(storage.join(root, path))
