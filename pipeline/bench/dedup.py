"""``tokenmill bench dedup``: signatures on one core, the whole job with two workers, and what verification saves.

Input: the texts below ``$TOKENMILL_BENCH_CORPUS``/text, else those of data/sample.  Ours, rensa and datasketch read all
of it; the slower peers read an even sample, which ours reads too, and every rate is over what that row has read.
"""

import gzip
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from pipeline.base.console import say
from pipeline.bench import dedup_peers as peers
from pipeline.bench.corpus import sample_jsonl
from pipeline.bench.program import WORKERS, dedup_summary
from pipeline.bench.rates import timed

SAMPLES = {"whole sample": 32_000, "signature sample": 8_000, "datatrove signature sample": 2_000}
PIECES = 8  # files of a sample for datatrove, whose tasks share files, not lines


def run() -> list[dict[str, Any]]:
    """Rows: what, who, megabytes, seconds, rates, and our rate over theirs."""
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as name:
        folder = Path(name)
        files = write_inputs(folder)
        return signature_rows(folder, files) + whole_rows(folder, files) + verification_rows(folder, files["all"])


def write_inputs(folder: Path) -> dict[str, Path]:
    """All texts as one JSON Lines file, and even samples of them."""
    packed = folder / "all.jsonl.gz"
    sample_jsonl(packed, 1 << 40)
    lines = gzip.decompress(packed.read_bytes()).splitlines(keepends=True)
    packed.unlink()
    files = {"all": _write_lines(folder, "all", lines)}
    for label, count in SAMPLES.items():
        files[label] = _write_lines(folder, label, lines[:: max(1, len(lines) // count)][:count])
    return files


def _write_lines(folder: Path, label: str, lines: list[bytes]) -> Path:
    path = folder / label.replace(" ", "-") / "texts.jsonl"
    path.parent.mkdir()
    path.write_bytes(b"".join(lines))
    return path


def _pieces(path: Path) -> Path:
    """A folder with the lines of a file in several files."""
    lines, folder = path.read_bytes().splitlines(keepends=True), path.parent / "pieces"
    folder.mkdir(exist_ok=True)
    for number in range(PIECES):
        (folder / f"{number}.jsonl").write_bytes(b"".join(lines[number::PIECES]))
    return folder


def text_bytes(path: Path) -> int:
    """UTF-8 bytes of the texts of a file."""
    return sum(len(orjson.loads(line)["text"].encode()) for line in path.read_bytes().splitlines())


# --- signatures, one core


def signature_rows(folder: Path, files: dict[str, Path]) -> list[dict[str, Any]]:
    """Signatures of texts in memory; datatrove's stage 1 reads and writes files, as it cannot do otherwise."""
    import rensa

    from pipeline.dedup.rule.signing import Signer

    signer = Signer(peers.NGRAM, peers.PERMUTATIONS, peers.SEED)
    array = pa.array(peers.read_texts(files["all"]), pa.large_string())
    signer.sign(array.slice(0, 10))  # loads the kernel
    texts = peers.read_texts(files["signature sample"])
    tokens = peers.token_sets(texts)
    rows = [
        _row("signatures", "tokenmill", files["all"], lambda: signer.sign(array)),
        _row("signatures", "tokenmill, with shingle sets", files["all"], lambda: signer.sign_and_hash(array)),
        _row("signatures", "rensa", files["signature sample"], lambda: peers.rensa_signatures(texts)),
        _row(
            *("signatures", "rensa, tokens given", files["signature sample"]),
            lambda: rensa.RMinHash.digest_matrix_from_token_sets(tokens, peers.PERMUTATIONS, peers.SEED),
        ),
        _row("signatures", "datasketch", files["signature sample"], lambda: peers.datasketch_signatures(texts)),
        _row(
            *("signatures", "datatrove, stage 1", files["datatrove signature sample"]),
            lambda: _child("datatrove_signatures", files["datatrove signature sample"].parent, folder / "stage1", 1),
        ),
    ]
    return _with_ratios(rows, "megabytes_per_cpu_second")


# --- what verification saves


def verification_rows(folder: Path, path: Path) -> list[dict[str, Any]]:
    """Records removed by components of unverified candidates, by verified selection, and by the estimate."""
    removed, largest = _unverified_components(peers.read_texts(path))
    rows = [{"who": "components of unverified candidates", "removed": removed, "largest_component": largest}]
    for who, options in (("tokenmill dedup run", []), ("tokenmill dedup run --no-verify", ["--no-verify"])):
        found = dedup_summary(path, folder / f"saved{len(rows)}", *options)
        counts = {name: found[f"records_removed_{name}"] for name in ("exact", "near")}
        row = {"who": who, "removed": sum(counts.values()), **counts, "largest_component": found["largest_cluster"]}
        rows.append(row)
    return [{"what": "removed", **row} for row in rows]


def _unverified_components(texts: list[str]) -> tuple[int, int]:
    """Records beyond one of each component of records that share a text or a band key, and the largest component."""
    from pipeline.base.arrow import text_hashes
    from pipeline.bench.dedup_accuracy import components_of
    from pipeline.dedup.rule.signing import Signer, band_keys

    signatures_NP, sets = Signer(peers.NGRAM, peers.PERMUTATIONS, peers.SEED).sign_and_hash(texts)
    has_words = np.diff(sets.offsets) > 0
    columns = [(keys_N, has_words) for keys_N in band_keys(signatures_NP, peers.BANDS)]
    columns.append((text_hashes(texts)[:, 0], np.ones(len(texts), bool)))
    left, right = [], []
    for keys_N, wanted in columns:
        chosen = np.flatnonzero(wanted)
        by_key = chosen[np.argsort(keys_N[chosen])]
        same = keys_N[by_key[1:]] == keys_N[by_key[:-1]]
        left.append(by_key[:-1][same])
        right.append(by_key[1:][same])
    sizes = np.bincount(components_of(len(texts), np.concatenate(left), np.concatenate(right)))
    return len(texts) - len(sizes), int(sizes.max())


# --- the whole job


def whole_rows(folder: Path, files: dict[str, Path]) -> list[dict[str, Any]]:
    """JSON Lines to kept JSON Lines; process start, imports and writing included."""
    whole, sample = files["all"], files["whole sample"]
    pieces = _pieces(sample)
    _ours(files["signature sample"], folder / "warm")  # compiles the kernels where a new build has not yet
    works: list[tuple[str, Path, Callable[[], Any]]] = [
        ("tokenmill dedup run, verified", whole, lambda: _ours(whole, folder / "ours")),
        ("tokenmill dedup run, verified, one worker", whole, lambda: _ours(whole, folder / "ours1", workers=1)),
        ("rensa", whole, lambda: _child("rensa_run", whole, folder / "rensa.jsonl")),
        ("datasketch MinHashLSH", whole, lambda: _child("datasketch_run", whole, folder / "datasketch.jsonl")),
        ("tokenmill dedup run, verified, the sample", sample, lambda: _ours(sample, folder / "ours2")),
        ("datatrove, four stages", sample, lambda: _child("datatrove_run", pieces, folder / "datatrove")),
    ]
    if peers.text_dedup_python():
        run_it = lambda: peers.text_dedup_run(sample, folder / "text-dedup", WORKERS)  # noqa: E731
        works.append(("text-dedup minhash", sample, run_it))
    rows = [_row("whole", who, path, work) for who, path, work in works]
    on_sample = next(row for row in rows if row["who"].endswith("the sample"))
    for row in rows:
        if row["records"] == on_sample["records"]:
            rate = on_sample["megabytes_per_second"] / row["megabytes_per_second"]
            row["ours_on_the_sample_over_this"] = round(rate, 2)
    return _with_ratios(rows, "megabytes_per_second")


def _ours(path: Path, output: Path, workers: int = WORKERS) -> int:
    return int(dedup_summary(path, output, workers=workers)["records_kept"])


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
    result, seconds, cpu_seconds = timed(work)
    name = who.split()[0].rstrip(",")
    row = {
        "what": what,
        "who": who,
        "version": peers.text_dedup_version() if name == "text-dedup" else version(name),
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


def _with_ratios(rows: list[dict[str, Any]], rate: str) -> list[dict[str, Any]]:
    for row in rows:
        row["ours_over_this"] = round(rows[0][rate] / row[rate], 2)
    return rows
