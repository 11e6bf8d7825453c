"""The table of ``bench recipe``: a row for each stage of ours and of datatrove's, and one for the whole.

Input: the texts below ``$TOKENMILL_BENCH_CORPUS``/text, else the English articles of data/sample, as eight JSONL.gz
files.  Ours reads all of it; datatrove, which takes long, an even sample, which ours reads too.  Rates are by wall
clock over all text of the input, process starts included; each figure is the median of ``ROUNDS`` rounds, in which the
sides take turns.
"""

import gzip
import os
import statistics
import tempfile
import time
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq

from pipeline.base.console import say
from pipeline.bench.corpus import ARTICLES, corpus, texts_of
from pipeline.bench.recipe import ours
from pipeline.tokens.tokenizer.training import train

ROUNDS = 5
PEER_RECORDS = 2_400
PIECES = 8
WORKERS = (1, 2)
END_OF_TEXT = "<|endoftext|>"
Row = dict[str, Any]


def run(rounds: int = ROUNDS) -> list[Row]:
    """Rows: input, who, workers, stage, seconds, rate; of the whole also documents, tokens, and our rate over it."""
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as name:
        folder = Path(name)
        texts = _texts()
        inputs = {"all": texts, "sample": texts[:: max(1, len(texts) // PEER_RECORDS)][:PEER_RECORDS]}
        sizes = {name: sum(len(text.encode()) for text in part) for name, part in inputs.items()}
        for part in inputs:
            _write(folder / part, inputs[part])
        _write_tokenizer(folder / "tokenizer.json", inputs["sample"])
        del texts, inputs
        _ours(folder, "sample", ours.EVERYTHING_ON, max(WORKERS))  # compiles the kernels where a new build has not yet
        measured = [row for number in range(rounds) for row in _round(folder, number)]
    return _with_ratios(_medians(measured, sizes))


def _texts() -> list[str]:
    named = corpus("text", "*.jsonl.gz") if "TOKENMILL_BENCH_CORPUS" in os.environ else []
    texts = texts_of(named) if named else pq.read_table(ARTICLES, columns=["text"])["text"].to_pylist()
    return [text for text in texts if text]


def _write(folder: Path, texts: list[str]) -> None:
    """The texts as JSONL.gz files in a folder ``input``."""
    (folder / "input").mkdir(parents=True)
    lines = [orjson.dumps({"id": str(number), "text": text}) + b"\n" for number, text in enumerate(texts)]
    for piece in range(PIECES):
        path = folder / "input" / f"{piece}.jsonl.gz"
        path.write_bytes(gzip.compress(b"".join(lines[piece::PIECES]), 6))


def _write_tokenizer(path: Path, texts: list[str]) -> None:
    config = {"vocabulary_size": ours.VOCABULARY, "pretokenizer": "gpt2", "special_tokens": []}
    path.write_text(train([texts], {**config, "end_of_text": END_OF_TEXT}), encoding="utf-8")


def _round(folder: Path, number: int) -> list[Row]:
    """Every side once, one after the other."""
    rows = []
    for workers in WORKERS:
        for part, kind in (
            ("all", ours.LIKE_FOR_LIKE),
            ("all", ours.EVERYTHING_ON),
            ("sample", ours.LIKE_FOR_LIKE),
        ):
            rows += _ours(folder, part, kind, workers)
        rows += _datatrove(folder, number, workers)
    for row in rows:
        say(orjson.dumps(row).decode())  # minutes pass between rounds
    return rows


def _ours(folder: Path, part: str, kind: str, workers: int) -> list[Row]:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        recipe, root = Path(name) / "recipe.toml", Path(name) / "run"
        ours.write_recipe(recipe, str(folder / part / "input" / "*.jsonl.gz"), kind, folder / "tokenizer.json")
        started = time.perf_counter()
        stages = ours.run(recipe, root, workers)
        seconds = time.perf_counter() - started
    side: Row = {"input": part, "who": f"tokenmill, {kind}", "workers": workers}
    rows = [side | {"stage": stage, "seconds": found["seconds"]} for stage, found in stages.items()]
    made = {name: stages["tokenize"][name] for name in ("documents", "tokens")}
    return [*rows, side | {"stage": "whole", "seconds": seconds} | made]


def _datatrove(folder: Path, number: int, workers: int) -> list[Row]:
    from pipeline.bench.recipe import datatrove

    work = folder / f"datatrove-{number}-{workers}"
    work.mkdir()
    (work / "input").symlink_to(folder / "sample" / "input")
    (work / "tokenizer.json").symlink_to(folder / "tokenizer.json")
    side: Row = {"input": "sample", "who": f"datatrove {version('datatrove')}", "workers": workers}
    rows = []
    for stage in datatrove.STAGES:
        started = time.perf_counter()
        datatrove.run_stage(stage, work, workers)
        rows.append(side | {"stage": stage, "seconds": time.perf_counter() - started})
    whole = sum(row["seconds"] for row in rows)
    return [*rows, side | {"stage": "whole", "seconds": whole} | datatrove.counted(work)]


def _medians(measured: list[Row], sizes: dict[str, int]) -> list[Row]:
    """One row for all rounds of the same thing."""
    rounds: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in measured:
        rounds[tuple(row[key] for key in ("input", "who", "workers", "stage"))].append(row)
    rows = []
    for same in rounds.values():
        seconds = statistics.median(row["seconds"] for row in same)
        rate = sizes[same[0]["input"]] / 1e6 / seconds
        rows.append(same[0] | {"seconds": round(seconds, 2), "megabytes_per_second": float(f"{rate:.3g}")})
    return rows


def _with_ratios(rows: list[Row]) -> list[Row]:
    """Adds how many times as fast ours is as each whole: by the same input, and by all of it."""
    whole = {(row["input"], row["who"], row["workers"]): row for row in rows if row["stage"] == "whole"}
    like = f"tokenmill, {ours.LIKE_FOR_LIKE}"
    for (part, _, workers), row in whole.items():
        for name, mine in (("same_input", (part, like, workers)), ("all_input", ("all", like, workers))):
            row[f"ours_over_this_{name}"] = round(whole[mine]["megabytes_per_second"] / row["megabytes_per_second"], 2)
    return rows
