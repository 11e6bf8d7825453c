"""The peers of ``bench dedup``: each does the whole job as its own documentation shows it, with our settings.

JSON Lines in, kept JSON Lines out; word 5-grams, 112 permutations, 14 bands of 8, two processes where it can use them.
None of them verifies a pair.
"""

import multiprocessing
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from pipeline.recipe.minhash import MINHASH

NGRAM, BANDS, ROWS, SEED = MINHASH.ngram, MINHASH.bands, MINHASH.rows, MINHASH.seed
PERMUTATIONS = MINHASH.permutations
CHUNK = 256
_WORD = re.compile(r"\w+")


def token_sets(texts: Sequence[str]) -> list[list[str]]:
    """Word 5-grams of each text, as a user of datasketch or rensa makes them."""
    found = []
    for text in texts:
        words = _WORD.findall(text.lower())
        found.append([" ".join(words[i : i + NGRAM]) for i in range(max(1, len(words) - NGRAM + 1))] if words else [])
    return found


def read_texts(path: Path) -> list[str]:
    """The texts of a JSON Lines file."""
    return [orjson.loads(line)["text"] for line in path.read_bytes().splitlines()]


def _chunks(texts: list[str]) -> Iterator[list[str]]:
    return (texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK))


def _write(path: Path, target: Path, keep: Sequence[bool]) -> int:
    lines = path.read_bytes().splitlines(keepends=True)
    with open(target, "wb") as file:
        file.writelines(line for line, kept in zip(lines, keep, strict=True) if kept)
    return sum(keep)


def _in_processes(work: Callable[[list[str]], Any], texts: list[str], processes: int) -> list[Any]:
    if processes == 1:
        return [work(chunk) for chunk in _chunks(texts)]
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        return pool.map(work, _chunks(texts), chunksize=4)


def datasketch_signatures(texts: list[str]) -> Any:
    """Signature values of texts."""
    import datasketch
    import xxhash

    return [
        _filled(
            datasketch.MinHash(num_perm=PERMUTATIONS, seed=SEED, hashfunc=xxhash.xxh32_intdigest), tokens
        ).hashvalues
        for tokens in token_sets(texts)
    ]


def _filled(sketch: Any, tokens: list[str]) -> Any:
    if tokens:
        sketch.update_batch([token.encode() for token in tokens])
    return sketch


def datasketch_run(path: Path, target: Path, processes: int) -> int:
    """datasketch: MinHash, MinHashLSH, the first of each bucket is kept."""
    import datasketch

    texts = read_texts(path)
    lsh = datasketch.MinHashLSH(params=(BANDS, ROWS), num_perm=PERMUTATIONS)
    keep = []
    values = [row for chunk in _in_processes(datasketch_signatures, texts, processes) for row in chunk]
    for number, row in enumerate(values):
        sketch = datasketch.LeanMinHash(seed=SEED, hashvalues=row, scheme="affine32")
        keep.append(not lsh.query(sketch))
        if keep[-1]:
            lsh.insert(str(number), sketch)
    return _write(path, target, keep)


def rensa_signatures(texts: list[str]) -> Any:
    """Signatures of texts as one matrix, rensa's fast path."""
    import rensa

    return rensa.RMinHash.digest_matrix_from_token_sets(token_sets(texts), PERMUTATIONS, SEED)


def rensa_run(path: Path, target: Path, processes: int) -> int:
    """rensa: R-MinHash objects from tokens, its deduplicator with LSH; its Rust code uses threads by itself."""
    import rensa

    texts = read_texts(path)
    found = rensa.RMinHashDeduplicator(threshold=0.8, num_perm=PERMUTATIONS, use_lsh=True, num_bands=BANDS, seed=SEED)
    keep: list[bool] = []
    for tokens in _in_processes(token_sets, texts, processes):
        sketches = rensa.RMinHash.from_token_sets(tokens, PERMUTATIONS, SEED)
        start = len(keep)
        keep += found.add_pairs([(str(start + number), sketch) for number, sketch in enumerate(sketches)])
    return _write(path, target, keep)


def datatrove_config() -> Any:
    """The settings of datatrove's MinHash that are ours."""
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.utils.hashing import HashConfig

    # its default, xxhash, fails with xxhash 4; SHA-1 of 64 bits is what FineWeb's own configuration names
    hashing = HashConfig(precision=64, hash_fc="sha1")
    return MinhashConfig(n_grams=NGRAM, num_buckets=BANDS, hashes_per_bucket=ROWS, seed=SEED, hash_config=hashing)


def _stage(steps: list[Any], tasks: int, workers: int, logs: Path) -> None:
    from datatrove.executor import LocalPipelineExecutor

    LocalPipelineExecutor(pipeline=steps, tasks=tasks, workers=workers, logging_dir=str(logs)).run()


def datatrove_signatures(folder: Path, scratch: Path, processes: int) -> int:
    """Datatrove's stage 1 over a folder of JSON Lines files."""
    from datatrove.pipeline.dedup.minhash import MinhashDedupSignature
    from datatrove.pipeline.readers import JsonlReader

    steps = [JsonlReader(str(folder)), MinhashDedupSignature(str(scratch / "signatures"), config=datatrove_config())]
    _stage(steps, processes, processes, scratch / "logs1")
    return 0


def datatrove_run(folder: Path, target: Path, processes: int) -> int:
    """Datatrove's four stages; ``target`` becomes a folder."""
    from datatrove.pipeline.dedup.minhash import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    config = datatrove_config()
    names = {name: str(target / name) for name in ("signatures", "buckets", "remove", "kept")}
    datatrove_signatures(folder, target, processes)
    _stage([MinhashDedupBuckets(names["signatures"], names["buckets"], config=config)], BANDS, processes, target / "l2")
    _stage([MinhashDedupCluster(names["buckets"], names["remove"], config=config)], 1, 1, target / "l3")
    writer = JsonlWriter(names["kept"], compression=None)
    steps = [JsonlReader(str(folder)), MinhashDedupFilter(names["remove"]), writer]
    _stage(steps, processes, processes, target / "l4")
    return sum(path.read_bytes().count(b"\n") for path in Path(names["kept"]).glob("*.jsonl"))


def text_dedup_python() -> str | None:
    """An interpreter that has text-dedup (its pins do not go with ours): ``$TOKENMILL_BENCH_TEXT_DEDUP``."""
    return os.environ.get("TOKENMILL_BENCH_TEXT_DEDUP")


def text_dedup_version() -> str:
    """The version that interpreter has."""
    return _text_dedup("-c", "import importlib.metadata as m; print(m.version('text-dedup'))").strip()


def text_dedup_run(path: Path, target: Path, processes: int, *options: str) -> int:
    """text-dedup's minhash command; it writes a folder in the format of ``datasets``.  Returns the records kept."""
    shown = _text_dedup(
        *("-m", "text_dedup.minhash", "--path", "json", "--data_files", str(path), "--split", "train"),
        *("--cache_dir", str(target.with_name("text-dedup-cache")), "--output", str(target), "--column", "text"),
        *("--batch_size", "10000", "--ngram", str(NGRAM), "--min_length", "0", "--num_perm", str(PERMUTATIONS)),
        *("--b", str(BANDS), "--r", str(ROWS), "--hash_func", "xxh3", "--hash_bits", "32"),
        *("--num_proc", str(processes), *options),
    )
    after = re.search(r"After\s*:\s*(\d+)", shown)
    assert after is not None, f"text-dedup did not say how many records it keeps: {shown[-2000:]}"
    return int(after.group(1))


def text_dedup_clusters(path: Path, target: Path) -> list[int]:
    """The record that text-dedup keeps in place of each record of a file, itself where it stays."""
    text_dedup_run(path, target, 1, "--debug")
    count = path.read_bytes().count(b"\n")
    code = (
        f"import pickle; u = pickle.load(open({str(target / 'uf.pkl')!r}, 'rb')); print([*map(u.find, range({count}))])"
    )
    found: list[int] = orjson.loads(_text_dedup("-c", code))
    return found


def _text_dedup(*arguments: str) -> str:
    """What a call of that interpreter prints."""
    python = text_dedup_python()
    assert python is not None
    command = [python, "-W", "ignore", *arguments]
    wide = {**os.environ, "COLUMNS": "300"}  # it breaks its lines to the width of the terminal
    return subprocess.run(command, capture_output=True, text=True, check=True, env=wide).stdout
