"""datatrove's way from raw files to tokens, as its example for FineWeb has it: each stage a program of its own.

1. ``filters``     reader, language, Gopher's repetition and quality, C4, FineWeb; written as JSONL.gz
2. ``signatures``, ``buckets``, ``clusters``, ``survivors``: the four stages of MinHash
3. ``tokens``      DocumentTokenizer, shuffled by document

Run as ``python -m pipeline.bench.recipe.datatrove STAGE FOLDER PROCESSES``; FOLDER holds ``input/*.jsonl.gz`` and
``tokenizer.json``.  The language model is the one that it would download, lid.176 (in its compressed form).
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup.minhash import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.tokens import DocumentTokenizer
from datatrove.pipeline.writers import JsonlWriter

from pipeline.bench.corpus import LID_176
from pipeline.bench.dedup_peers import BANDS, datatrove_config

LANGUAGE = "en"
END_OF_TEXT = "<|endoftext|>"


def filters(folder: Path, processes: int) -> None:
    """Reads, filters and writes."""
    language = LanguageFilter(LANGUAGE)
    language.model.MODEL_URL = str(LID_176)
    steps = [
        JsonlReader(str(folder / "input")),
        language,
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
        JsonlWriter(str(folder / "filtered")),
    ]
    _execute(folder, "filters", steps, processes, processes)


def signatures(folder: Path, processes: int) -> None:
    """MinHash, first stage."""
    step = MinhashDedupSignature(str(folder / "signatures"), config=datatrove_config())
    _execute(folder, "signatures", [JsonlReader(str(folder / "filtered")), step], processes, processes)


def buckets(folder: Path, processes: int) -> None:
    """MinHash, second stage: a task for each band."""
    step = MinhashDedupBuckets(str(folder / "signatures"), str(folder / "buckets"), config=datatrove_config())
    _execute(folder, "buckets", [step], BANDS, processes)


def clusters(folder: Path, processes: int) -> None:
    """MinHash, third stage: one task."""
    step = MinhashDedupCluster(str(folder / "buckets"), str(folder / "remove"), config=datatrove_config())
    _execute(folder, "clusters", [step], 1, 1)


def survivors(folder: Path, processes: int) -> None:
    """MinHash, fourth stage: reads again, and writes what is kept."""
    steps = [
        JsonlReader(str(folder / "filtered")),
        MinhashDedupFilter(str(folder / "remove")),
        JsonlWriter(str(folder / "kept")),
    ]
    _execute(folder, "survivors", steps, processes, processes)


def tokens(folder: Path, processes: int) -> None:
    """Reads once more, and writes tokens."""
    step = DocumentTokenizer(
        str(folder / "tokens"), str(folder / "tokenizer.json"), eos_token=END_OF_TEXT, seed=1, save_final_metadata=True
    )
    _execute(folder, "tokens", [JsonlReader(str(folder / "kept")), step], processes, processes)


STAGES: dict[str, Callable[[Path, int], None]] = {
    work.__name__: work for work in (filters, signatures, buckets, clusters, survivors, tokens)
}


def _execute(folder: Path, stage: str, steps: list[Any], tasks: int, workers: int) -> None:
    LocalPipelineExecutor(pipeline=steps, tasks=tasks, workers=workers, logging_dir=str(folder / "logs" / stage)).run()


def run_stage(stage: str, folder: Path, processes: int) -> None:
    """Runs a stage in a process of its own."""
    environment = {**os.environ, "HF_ASSETS_CACHE": str(folder / "assets"), "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-m", "pipeline.bench.recipe.datatrove", stage, str(folder), str(processes)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"datatrove's stage {stage} ended with {done.returncode}: {done.stderr[-2000:]}")


def counted(folder: Path) -> dict[str, int]:
    """Documents that it keeps, and tokens that it writes."""
    stats = [path.read_text("utf-8").splitlines() for path in sorted((folder / "tokens").glob("*.metadata"))]
    indexes = (folder / "tokens").glob("*.ds.index")
    return {
        "documents": sum(path.stat().st_size // 8 for path in indexes),
        "tokens": sum(int(lines[1]) for lines in stats),
    }


if __name__ == "__main__":
    STAGES[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
