"""Odd bytes through the other kernels, as ``scanners`` has it; compiling these takes two minutes."""

import random
from functools import cache
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels import (
    html_blocks,
    html_chains,
    html_features,
    html_runs,
    kept_blocks,
    lines,
    minhash,
    overlap,
    signals,
    tokens,
    verify,
    words,
)
from pipeline.kernels.token_tables import load_tables
from pipeline.tokens.tokenizer.merges import learn_vocabulary
from pipeline.tokens.tokenizer.pretokens import PretokenCounts
from tests.fuzz.scanners import HTML, TEXT, Complaints, Trial, as_array, as_column, some_bytes, some_texts

_word_tables = cache(words.word_tables)


@cache
def _hashers() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    return minhash.permutations(16, 1)


def _words(generator: random.Random) -> Complaints:
    texts = some_texts(generator)
    data, offsets = as_column(texts)
    hashes, counts = np.zeros(len(data) // 2 + len(texts) + 1, np.uint64), np.zeros(len(texts) + 1, np.int64)
    total = words.hash_words(data, offsets, _word_tables(), hashes, counts)
    for text, start, end in zip(texts, counts[:-1], counts[1:], strict=True):
        own, one = np.zeros(len(text) // 2 + 2, np.uint64), np.zeros(2, np.int64)
        words.hash_words(*as_column([text]), _word_tables(), own, one)
        if own[: one[1]].tolist() != hashes[start:end].tolist():
            yield f"other words alone than in {texts!r}"
        ends = overlap.word_ends(as_array(text), _word_tables(), int(one[1]))
        if len(ends) != one[1] or np.any(np.diff(ends) < 0) or (len(ends) and ends[-1] > len(text)):
            yield f"{one[1]} words end at {ends.tolist()} in {text!r}"
    if total != counts[-1]:
        yield f"{total} words, the last text ends at {counts[-1]}"


def _ngrams(generator: random.Random) -> Complaints:
    sizes = [generator.randrange(12) for _ in range(3)]
    offsets, n = np.cumsum([0, *sizes]).astype(np.int64), generator.randrange(1, 8)
    values = np.array([generator.randrange(4) for _ in range(sum(sizes))], np.uint64)
    every = [overlap.ngram_hashes(values[a:b], n) for a, b in pairwise(offsets)]
    known = np.unique(np.concatenate(every))
    bits, room = np.full(generator.choice((2, 64)), 0xFF, np.uint8), generator.randrange(20)  # every flag is set
    rows, places, slots = (np.zeros(room, np.int64) for _ in range(3))
    found = overlap.find_ngrams(values, offsets, n, bits, known, rows, places, slots)
    if found != sum(map(len, every)):
        yield f"{found} of {sum(map(len, every))} n-grams of {sizes} words, n = {n}"


def _signatures(generator: random.Random) -> Complaints:
    texts, ngram = some_texts(generator), generator.randrange(1, 9)
    data, offsets = as_column(texts)
    a, b = _hashers()
    signed, both = (np.zeros((len(texts), 16), np.uint32) for _ in range(2))
    minhash.sign(data, offsets, ngram, _word_tables(), a, b, signed)
    hashes, ends = np.zeros(len(data) // 2 + len(texts) + 2, np.uint64), np.zeros(len(texts) + 1, np.int64)
    scratch = np.zeros(generator.choice((64, 1 << 10)), np.uint64)
    minhash.sign_and_hash(data, offsets, ngram, _word_tables(), a, b, both, hashes, ends, scratch)
    if signed.tolist() != both.tolist():
        yield f"other signatures with hashes than without: {texts!r}, {ngram}"
    sets = [hashes[first:last] for first, last in pairwise(ends)]
    if any(len(np.unique(one)) != len(one) for one in sets):
        yield f"a set has a value twice: {texts!r}, {ngram}"


@cache
def _tables() -> tuple[Any, Any, NDArray[np.uint64]]:
    return load_tables(), tokens.new_cache(), np.zeros((1, signals.STOP_SLOTS), np.uint64)


def _tokens(generator: random.Random) -> Complaints:
    tables, cached, _ = _tables()
    data, apart = as_array(some_bytes(generator, TEXT, 60)), generator.random() < 0.5
    start = generator.randrange(len(data) + 1) if generator.random() < 0.3 else 0
    found, count, _, _ = tokens.tokenize(data, start, len(data), tables, cached, tokens.new_tokens(16), apart)
    starts, sizes = found.start[:count].astype(np.int64), found.size[:count].astype(np.int64)
    ends = starts + sizes
    if count and (
        sizes.min() < 1 or starts.min() < 0 or ends.max() > len(data) - start or np.any(starts[1:] < ends[:-1])
    ):
        yield f"tokens from {starts.tolist()} to {ends.tolist()} of {len(data) - start}: {data.tobytes()!r}"


def _signals(generator: random.Random) -> Complaints:
    tables, cached, stop = _tables()
    texts = some_texts(generator)

    def measured(some: list[bytes]) -> NDArray[np.float64]:
        rows = np.full(len(some), generator.choice((-1, 0)), np.int64)
        apart = np.zeros(len(some), np.bool_)
        return np.asarray(signals.measure_texts(*as_column(some), rows, stop, apart, tables, cached))

    together = measured(texts)
    alone = np.concatenate([measured([text]) for text in texts], axis=1)
    if together.tolist() != alone.tolist():
        column = int(np.flatnonzero((together != alone).any(axis=1))[0])
        yield f"{signals.COLUMNS[column]}: alone {alone[column]}, together {together[column]}: {texts!r}"


def _selection(generator: random.Random) -> Complaints:
    """Random sets in random buckets: two that are kept and share a bucket are less alike than the threshold."""
    nodes, bands, threshold = (
        generator.randrange(1, 12),
        generator.randrange(1, 4),
        generator.choice((0.3, 0.5, 0.8, 1.0)),
    )
    raw = [np.array(generator.choices(range(1, 9), k=generator.randrange(1, 9)), np.uint64) for _ in range(nodes)]
    offsets, sorted_offsets = np.cumsum([0, *map(len, raw)]).astype(np.int64), np.zeros(nodes + 1, np.int64)
    hashes = np.concatenate(raw)
    filled = verify.sort_sets(hashes, offsets, sorted_offsets)
    hashes = hashes[:filled].copy()
    in_band = [[generator.randrange(-1, 3) for _ in range(bands)] for _ in range(nodes)]
    bucket_of_nB = np.array(
        [[-1 if b < 0 else 3 * band + b for band, b in enumerate(row)] for row in in_band], np.int32
    )
    members = [[n for n in range(nodes) if bucket_of_nB[n, b // 3] == b] for b in range(3 * bands)]
    bucket_offsets = np.cumsum([0, *map(len, members)]).astype(np.int64)
    large = np.array([generator.random() < 0.3 for _ in members], np.bool_)
    wanted = np.array([any(b >= 0 and large[b] for b in row) for row in bucket_of_nB], np.bool_)
    counters = np.zeros(generator.choice((4, 64)), np.int64)
    prefix_offsets, elements = np.zeros(nodes + 1, np.int64), np.zeros(filled + 1, np.int64)
    entries = verify.find_prefixes(hashes, sorted_offsets, wanted, threshold, counters, prefix_offsets, elements)
    keepers, *_, components, _ = verify.select(
        (hashes, sorted_offsets, np.empty((nodes, 0), np.uint32)),
        (bucket_of_nB, bucket_offsets, np.array([*chain(*members)], np.int64), large),
        (prefix_offsets, elements[:entries].copy(), np.array([len(counters)])),
        *(np.arange(nodes), 0, 1, threshold),
    )
    sets = [set(hashes[a:b].tolist()) for a, b in pairwise(sorted_offsets)]
    for left, right in ((x, y) for x in range(nodes) for y in range(x) if keepers[x] < 0 and keepers[y] < 0):
        shared, both = len(sets[left] & sets[right]), len(sets[left] | sets[right])
        near = both and any(a == b >= 0 for a, b in zip(bucket_of_nB[left], bucket_of_nB[right], strict=True))
        if near and shared / both >= threshold:
            yield f"{left} and {right} of {sets} are kept, at {shared}/{both} and {threshold}"
    if any(not 0 <= component <= node for node, component in enumerate(components.tolist())):
        yield f"components {components.tolist()}"


def _surveyed_lines(generator: random.Random) -> Complaints:
    data = as_array(some_bytes(generator, TEXT, 40))
    places = np.zeros(len(data) + 1, np.int64)
    _, feeds = lines.survey(data, 0, len(data), places)
    if places[:feeds].tolist() != [at for at, byte in enumerate(data) if byte == 0x0A] or places[feeds] != len(data):
        yield f"line feeds {places.tolist()} in {data.tobytes()!r}"


TREE = (
    *HTML,
    *b'class=\'|nav menu|id="|hidden|style="display: none|&lt;|&nbsp;|&am|<pre>|</pre>|</b>|<br>'.split(b"|"),
    *TEXT,
)


def _blocks(generator: random.Random) -> Complaints:
    page = some_bytes(generator, TREE, 80)
    layout = html_blocks.read_blocks(page)
    blocks, nodes = layout.blocks, layout.nodes
    if np.any(blocks[1:, html_blocks.FROM] < blocks[:-1, html_blocks.TO]) or np.any(
        blocks[:, html_blocks.TO] > len(page)
    ):
        yield f"blocks at {blocks[:, 1:3].tolist()} of {page!r}"
    if np.any(nodes[1:, html_blocks.PARENT] >= np.arange(1, len(nodes))):
        yield f"an element before its parent: {page!r}"
    rows = html_features.features(layout, np.zeros(len(html_features.FACTS), np.float32))
    if len(rows) != len(blocks) or not np.all(np.isfinite(rows)):
        yield f"features that are no numbers: {page!r}"
    wanted = np.arange(len(blocks))
    around = html_chains.chains(nodes, blocks, wanted)
    if any(chain != sorted(chain) for chain in around):
        yield f"chains {around} of {page!r}"
    keep = np.array([generator.random() < 0.7 for _ in wanted], np.bool_)
    if np.any(kept_blocks.kinds_of_kept(nodes, blocks, keep)[~keep]):
        yield f"a block that is not kept has a kind: {page!r}"
    data, text = as_array(page), np.zeros(len(page), np.uint8)
    for start, end in blocks[:, [html_blocks.FROM, html_blocks.TO]].tolist():
        plain, code = generator.random() < 0.5, generator.random() < 0.5
        if html_runs.text_of_run(data, start, end, plain, code, text) > end - start:
            yield f"a text longer than its run {start}:{end} of {page!r}"
    html_chains.repeated_parts(nodes, layout.signs, blocks[:, html_blocks.NODE], blocks[:, html_blocks.UNITS], 2, 0.5)


def _merges(generator: random.Random) -> Complaints:
    texts = [text.decode(errors="replace") for text in some_texts(generator)]
    special = generator.choice(([], ["Ġ", "a"], ["in", "<|end|>", "日"]))
    # little room, so that it is made again and again; between two trials of one process the classes stay known
    together, alone = (PretokenCounts("cl100k", generator.choice((1, 2, 64))) for _ in range(2))
    together.add(texts)
    for text in texts:
        alone.add([text])
    names, merges = learn_vocabulary(together, 256 + generator.randrange(80), special)
    if len(set(names)) != len(names) or not {left + right for left, right in merges} <= {*names}:
        yield f"{names} by {merges} of {texts!r}"
    if (together.contents.tobytes(), together.counts.tolist()) != (alone.contents.tobytes(), alone.counts.tolist()):
        yield f"other pre-tokens one by one than together of {texts!r}"


KERNELS: dict[str, Trial] = {
    "html_blocks": _blocks,
    "lines": _surveyed_lines,
    "merges": _merges,
    "minhash": _signatures,
    "overlap": _ngrams,
    "signals": _signals,
    "tokens": _tokens,
    "verify": _selection,
    "words": _words,
}
