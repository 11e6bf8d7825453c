"""``tokenmill bench dedup``: signatures on one core, and the whole job with two workers, beside four peers.

Input: the texts below ``$TOKENMILL_BENCH_CORPUS``/text, else those of data/sample.  Ours and rensa read all of it; the
slower peers read an even sample, and every rate is over what that row has read.
"""

import gzip
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from pipeline.bench import dedup_peers as peers
from pipeline.bench.clean import sample_jsonl
from pipeline.console import say

WORKERS = 2
DATASKETCH_RECORDS, DATATROVE_RECORDS = 8_000, 2_000


def run() -> list[dict[str, Any]]:
    """Rows: what, who, megabytes, seconds, rates, and our rate over theirs."""
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as name:
        folder = Path(name)
        files = write_inputs(folder)
        return signature_rows(folder, files) + whole_rows(folder, files)


def write_inputs(folder: Path) -> dict[str, Path]:
    """All texts as one JSON Lines file, and even samples of them."""
    packed = folder / "all.jsonl.gz"
    files = {"all": folder / "all" / "all.jsonl"}
    sample_jsonl(packed, 1 << 40)
    lines = gzip.decompress(packed.read_bytes()).splitlines(keepends=True)
    packed.unlink()
    for label, count in (("datasketch", DATASKETCH_RECORDS), ("datatrove", DATATROVE_RECORDS)):
        files[label] = folder / label / f"{label}.jsonl"
        files[label].parent.mkdir()
        files[label].write_bytes(b"".join(lines[:: max(1, len(lines) // count)][:count]))
    files["all"].parent.mkdir()
    files["all"].write_bytes(b"".join(lines))
    return files


def text_bytes(path: Path) -> int:
    """UTF-8 bytes of the texts of a file."""
    return sum(len(orjson.loads(line)["text"].encode()) for line in path.read_bytes().splitlines())


# --- signatures, one core


def signature_rows(folder: Path, files: dict[str, Path]) -> list[dict[str, Any]]:
    """Signatures of texts in memory; datatrove's stage 1 reads and writes files, as it cannot do otherwise."""
    import rensa

    from pipeline.dedup.signing import Signer

    signer = Signer(peers.NGRAM, peers.PERMUTATIONS, peers.SEED)
    array = pa.array(peers.read_texts(files["all"]), pa.large_string())
    signer.sign(array.slice(0, 10))  # loads the kernel
    texts = peers.read_texts(files["datasketch"])
    tokens = peers.token_sets(texts)
    rows = [
        _row("signatures", "tokenmill", files["all"], lambda: signer.sign(array)),
        _row("signatures", "tokenmill, with shingle sets", files["all"], lambda: signer.sign_and_hash(array)),
        _row("signatures", "rensa", files["datasketch"], lambda: peers.rensa_signatures(texts)),
        _row(
            *("signatures", "rensa, tokens given", files["datasketch"]),
            lambda: rensa.RMinHash.digest_matrix_from_token_sets(tokens, peers.PERMUTATIONS, peers.SEED),
        ),
        _row("signatures", "datasketch", files["datasketch"], lambda: peers.datasketch_signatures(texts)),
        _row(
            *("signatures", "datatrove, stage 1", files["datatrove"]),
            lambda: _child("datatrove_signatures", files["datatrove"].parent, folder / "stage1", 1),
        ),
    ]
    return _with_ratios(rows, "megabytes_per_cpu_second")


# --- the whole job


def whole_rows(folder: Path, files: dict[str, Path]) -> list[dict[str, Any]]:
    """JSON Lines to kept JSON Lines; process start, imports and writing included."""
    _ours(files["datatrove"], folder / "warm")  # compiles the kernels where a new build has not yet
    rows = [
        _row("whole", "tokenmill dedup run, verified", files["all"], lambda: _ours(files["all"], folder / "ours")),
        _row(
            *("whole", "tokenmill dedup run, verified, one worker", files["all"]),
            lambda: _ours(files["all"], folder / "ours1", "--workers", "1"),
        ),
        _row("whole", "rensa", files["all"], lambda: _child("rensa_run", files["all"], folder / "rensa.jsonl")),
        _row(
            *("whole", "datasketch MinHashLSH", files["datasketch"]),
            lambda: _child("datasketch_run", files["datasketch"], folder / "datasketch.jsonl"),
        ),
        _row(
            *("whole", "datatrove, four stages", files["datatrove"]),
            lambda: _child("datatrove_run", files["datatrove"].parent, folder / "datatrove"),
        ),
    ]
    if peers.text_dedup_python():
        work = lambda: peers.text_dedup_run(files["datasketch"], folder / "text-dedup", WORKERS)  # noqa: E731
        rows.append(_row("whole", "text-dedup minhash", files["datasketch"], work))
    return _with_ratios(rows, "megabytes_per_second")


def _ours(path: Path, output: Path, *options: str) -> int:
    command = [sys.executable, "-m", "flows.cli", "dedup", "run", str(path), "--output", str(output), "--json"]
    workers = [] if "--workers" in options else ["--workers", str(WORKERS)]
    done = subprocess.run([*command, *workers, *options], capture_output=True, check=True)
    return int(orjson.loads(done.stdout)["records_kept"])


def _child(function: str, path: Path, target: Path, processes: int = WORKERS) -> int:
    """A peer in a process of its own, so that its imports and its memory count as ours do."""
    code = (
        f"from pathlib import Path; from pipeline.bench import dedup_peers as p; "
        f"print('kept', p.{function}(Path({str(path)!r}), Path({str(target)!r}), {processes}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout.rsplit("kept", 1)[1])


def _row(what: str, who: str, path: Path, work: Callable[[], Any]) -> dict[str, Any]:
    size, records = text_bytes(path), path.read_bytes().count(b"\n")
    started, cpu_started = time.perf_counter(), _cpu_seconds()
    result = work()
    seconds, cpu_seconds = time.perf_counter() - started, _cpu_seconds() - cpu_started
    row = {
        "what": what,
        "who": who,
        "version": version(who.split()[0].rstrip(",")) if who.split()[0] != "text-dedup" else "0.4.0",
        "records": records,
        "megabytes": round(size / 1e6, 2),
        "seconds": round(seconds, 3),
        "megabytes_per_second": round(size / 1e6 / seconds, 2),
        "cpu_seconds": round(cpu_seconds, 3),
        "megabytes_per_cpu_second": round(size / 1e6 / cpu_seconds, 2),
    }
    row |= {"kept": result} if what == "whole" else {}
    say(orjson.dumps(row).decode())  # minutes pass between rows
    return row


def _cpu_seconds() -> float:
    """Processor time of this process and of those it has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _with_ratios(rows: list[dict[str, Any]], rate: str) -> list[dict[str, Any]]:
    for row in rows:
        row["ours_over_this"] = round(rows[0][rate] / row[rate], 2)
    return rows
