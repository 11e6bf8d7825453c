"""Texts to signals: one call of the kernels per batch, and the stop words that it needs."""

import fcntl
from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base.arrow import text_buffers
from pipeline.filter.rules.stop_words import UNSPACED_LANGUAGES, stop_words
from pipeline.kernels import kernel_cache_folder
from pipeline.kernels.signals import COLUMNS, STOP_SLOTS, measure_texts
from pipeline.kernels.spans import MIX
from pipeline.kernels.token_tables import load_tables
from pipeline.kernels.tokens import ChunkCache, hash_bytes, new_cache
from pipeline.run.tables import SIGNALS

_MASK = 0xFFFFFFFFFFFFFFFF


def measure(texts: pa.Array | Sequence[str], language: str | pa.Array | None = "en") -> pa.Table:
    """Measures texts; the public form is ``pipeline.filter.signals``.

    Raises:
        ValueError: If the texts are no several strings, or there are not as many languages as texts.
    """
    array = large_strings(texts)
    languages = _languages(language, len(array))
    names = sorted({name for name in languages if stop_words(name)})
    sets = {name: number for number, name in enumerate(names)}
    tables = np.stack([_stop_table(name) for name in names]) if names else np.zeros((1, STOP_SLOTS), np.uint64)
    offsets, data = text_buffers(array)
    _compile()
    measured = measure_texts(
        data,
        offsets,
        np.array([sets.get(name, -1) for name in languages], dtype=np.int64),
        tables,
        np.array([name in UNSPACED_LANGUAGES for name in languages], dtype=bool),
        load_tables(),
        _cache(),
    )
    without = np.array([name not in sets for name in languages], dtype=bool)
    return pa.table({name: _column(name, measured[row], without) for row, name in enumerate(COLUMNS)})


def _column(name: str, values: NDArray[np.float64], without_stop_words: NDArray[np.bool_]) -> pa.Array:
    kind = SIGNALS.schema.field(name).type
    mask = without_stop_words if name == "stop_word_count" else None
    return pa.array(values.astype(kind.to_pandas_dtype()), type=kind, mask=mask)


def large_strings(texts: pa.Array | Sequence[str]) -> pa.Array:
    """The texts as one large_string array without nulls, all of it UTF-8."""
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if not isinstance(texts, pa.Array):
        if isinstance(texts, str) or (wrong := [text for text in texts if not isinstance(text, str | None)]):
            got = "one; put it into a list" if isinstance(texts, str) else f"{type(wrong[0]).__name__} among them"
            raise ValueError(f"texts must be several strings, got {got}")
        encoded = [(text or "").encode("utf-8", "replace") for text in texts]
        return pa.array(encoded, pa.large_binary()).cast(pa.large_string())
    if texts.null_count:
        texts = texts.fill_null("")
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        raw = texts.cast(pa.large_binary()).to_pylist()
        return pa.array([value.decode("utf-8", "replace") for value in raw], pa.large_string())
    return texts.cast(pa.large_string())


def _languages(language: str | pa.Array | None, count: int) -> list[str]:
    if language is None or isinstance(language, str):
        return [language or ""] * count
    labels = [label or "" for label in language.to_pylist()]
    if len(labels) != count:
        raise ValueError(f"{len(labels)} languages for {count} texts; give one label, or one per text")
    return labels


@cache
def _compile() -> None:
    """Compiles or loads the kernels, one process at a time: the second one then loads what the first one compiled."""
    with open(kernel_cache_folder() / "signals.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        nothing = np.zeros(0, np.int64), np.zeros((1, STOP_SLOTS), np.uint64), np.zeros(0, bool)
        measure_texts(np.zeros(0, np.uint8), np.zeros(1, np.int64), *nothing, load_tables(), _cache())


@cache
def _cache() -> ChunkCache:
    return new_cache()


@cache
def _stop_table(language: str) -> NDArray[np.uint64]:
    """The stop words of a language as an open-addressing set of hashes."""
    table = np.zeros(STOP_SLOTS, np.uint64)
    for word in sorted(stop_words(language)):
        key = hash_bytes(word.encode())
        slot = (((key * int(MIX)) & _MASK) >> 32) & (STOP_SLOTS - 1)
        while table[slot]:
            slot = (slot + 1) & (STOP_SLOTS - 1)
        table[slot] = key
    return table
