"""Inputs for `dedup run` and what it writes."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dedup.command.request import Request
from pipeline.recipe.options import Dedup
from tests.pipeline.dedup.reference import random_corpus

Record = dict[str, Any]


def request(inputs: Iterable[Path], output: Path, workers: int = 1, **options: Any) -> Request:
    request_only = {name: options.pop(name) for name in list(options) if name not in Dedup.model_fields}
    checked = Dedup(**{"keep": "first", **options})
    return Request(inputs=tuple(map(str, inputs)), output=output, options=checked, workers=workers, **request_only)


def json_lines(records: Iterable[Record]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def write_jsonl(path: Path, records: list[Record]) -> None:
    path.write_bytes(json_lines(records))


def write_parquet(path: Path, records: list[Record]) -> None:
    schema = pa.Table.from_pylist(records).schema.with_metadata({"made": "by a test"})
    pq.write_table(pa.Table.from_pylist(records, schema), path, compression="zstd", row_group_size=7)


def removed(output: Path) -> list[Record]:
    return pa.ipc.open_file((output / "removed.arrow").read_bytes()).read_all().to_pylist()


def edited_corpus(seed: int = 3, families: int = 30) -> list[Record]:
    texts = random_corpus(np.random.default_rng(seed), families=families, members=5, words=60)
    return [{"id": f"r{number}", "text": text, "score": number % 7} for number, text in enumerate(texts)]
