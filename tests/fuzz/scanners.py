"""Odd bytes through the kernels that look at foreign bytes first, with Numba's bounds check on.

Compiled code reads beyond an array without a word, so these run in processes with ``NUMBA_BOUNDSCHECK=1``, which
compile kernels of their own (pipeline/kernels/__init__.py).  Beside the check, each kernel has laws: places lie within
the bytes, and what a text gives does not depend on what lies before or behind it in its column.
"""

import os
import random
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels import html_scan, json_scan, line_hash, page_words, pii_scan, text_scan

Bytes = NDArray[np.uint8]
Complaints = Iterator[str]
Trial = Callable[[random.Random], Complaints]

HTML = (
    *b"<script |<script>|</script|<title|</title>|<html |<head>|</head>|<svg>|<b>|</b>|<math|<table>|</table>".split(
        b"|"
    ),
    *b"<h1>|<p|<div class=|</div>|<br/>|<meta |<g/>|<link rel=|rel='license'| rel = |licen|'ld+json|type=".split(b"|"),
    *b"<figure>|</figure>|<table class=\"infobox|<footer|<time |<abbr|itemprop=|property='|dct:license|noai".split(
        b"|"
    ),
    *b"datePublished|tdm-reservation|".split(b"|"),
    *b"application/ld+json|<textarea|='|=\"|'|\"|>|/>|<|</|<!|<!--|-->|--|<?|=| |/|\n".split(b"|"),
)
JSON = (b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"\\u00e9", b'{"text": "words"}', b"\n")
TEXT = (
    *b"the|Miller's|don't|e.g.|U.S.|:-)|http://mill.example/a?b#c|a@b.example|C$5|5km".split(b"|"),
    *b"lorem ipsum|javascript|use cookies|...|....|-- |#|[edit]|[1]|[citation needed]|+1 202 555 0143".split(b"|"),
    *b"10.0.0.1|255.255.255.255|2001:db8::1|::1".split(b"|"),
    *b"(030) 12 34-56|GB82 WEST 1234|DE89370400440532013000|4111 1111 1111 1111|AKIA|sk-|-----BEGIN|eyJ|0|1.|@|{".split(
        b"|"
    ),
    *"é ü ß İ ﬀ 中 文 カ ー ไทย שלום … • “ ” ’ — \u200b \ufeff \U0001f600 \u0301 Ã© Ã Â» вЂ €".encode().split(b" "),
    *" |  |\n|\n\n|\r\n|\t|\x0b|\x0c|\x1c|\u2028|\u2029|\x85|.|!|?|,|-".encode().split(b"|"),
    *(b"\xc2", b"\xe2\x80", b"\xf0\x9f", b"\x80", b"\xff", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\0", b"x" * 70),
)


def some_bytes(generator: random.Random, pieces: tuple[bytes, ...], most: int = 24) -> bytes:
    """Pieces one after the other; the last one may be cut, and some bytes are others."""
    data = bytearray(b"".join(generator.choices(pieces, k=generator.randrange(most))))
    for _ in range(generator.choice((0, 0, 0, 1, 2)) if data else 0):
        data[generator.randrange(len(data))] = generator.randrange(256)
    return bytes(data[: generator.randrange(len(data) + 1)] if generator.random() < 0.5 else data)


def as_array(data: bytes) -> Bytes:
    """An array of exactly these bytes: one more lies beyond its end."""
    return np.frombuffer(data, np.uint8).copy()


def as_column(texts: list[bytes]) -> tuple[Bytes, NDArray[np.int64]]:
    return as_array(b"".join(texts)), np.cumsum([0, *map(len, texts)]).astype(np.int64)


def some_texts(generator: random.Random) -> list[bytes]:
    return [some_bytes(generator, TEXT, 60) for _ in range(generator.choice((1, 1, 2, 3)))]


def _html(generator: random.Random) -> Complaints:
    page = some_bytes(generator, HTML)
    depth = generator.choice((1, 3, 1000))
    seen = html_scan.scan(page, depth)
    if not 0 <= seen.depth <= depth + 1 or seen.cost < 0:
        yield f"depth {seen.depth}, cost {seen.cost} of {page!r}"
    if any(not -1 <= at < len(page) for at in (seen.footer, *seen.apart[:, 0].tolist())):
        yield f"places of elements {seen.apart.tolist()}, {seen.footer} of {page!r}"
    if any(not 0 <= start <= end <= len(page) for _, start, end in seen.notes):
        yield f"notes {seen.notes} of {len(page)} bytes: {page!r}"
    data, start = as_array(page), generator.randrange(len(page) + 1)
    ends = [html_scan._skip_attributes(data, start)[0], html_scan._name(data, start)[1]]
    ends += [html_scan._find(data, start, 0x3E), html_scan._skip_raw_text(data, start, 0)]
    if start + 1 < len(page):
        ends.append(html_scan._skip_markup(data, start, data[start + 1]))
    if any(not start <= end <= len(page) for end in ends):
        yield f"places {ends} from {start} on in {len(page)} bytes: {page!r}"


def _json(generator: random.Random) -> Complaints:
    data, base = as_array(some_bytes(generator, JSON, 40)), generator.choice((0, 1))
    cut = generator.randrange(len(data) + 1)
    whole, parts = (np.array([base, 0, 0], np.int64) for _ in range(2))
    ends = json_scan.value_ends(data, whole, base)
    first = json_scan.value_ends(data[:cut].copy(), parts, base)
    second = json_scan.value_ends(data[cut:].copy(), parts, base) + cut
    if [*first, *second] != [*ends] or [*whole] != [*parts]:
        yield f"cut at {cut} the ends are {[*first, *second]}, whole {[*ends]}: {data.tobytes()!r}"
    if len(ends) and not 0 <= ends[0] <= ends[-1] <= len(data):
        yield f"ends {ends.tolist()} of {len(data)} bytes"


def _pii(generator: random.Random) -> Complaints:
    texts = some_texts(generator)
    found = pii_scan.anchors(*as_column(texts))
    for number, text in enumerate(texts):
        alone = pii_scan.anchors(*as_column([text]))[:, 1:]
        if found[found[:, 0] == number, 1:].tolist() != alone.tolist():
            yield f"alone {alone.tolist()}, beside others {found.tolist()}: {texts!r}"
        if any(not 0 <= first < last <= len(text) or card > len(text) for _, first, last, card in alone.tolist()):
            yield f"anchors {alone.tolist()} of {len(text)} bytes: {text!r}"


def _flags(generator: random.Random) -> Complaints:
    texts = some_texts(generator)
    together = text_scan.flag_texts(*as_column(texts)).tolist()
    alone = [int(text_scan.flag_texts(*as_column([text]))[0]) for text in texts]
    if together != alone:
        yield f"alone {alone}, together {together}: {texts!r}"


def _hashed_lines(generator: random.Random) -> Complaints:
    data = some_bytes(generator, (*TEXT, b"\n", b"#", b" \r\n"))
    wanted = {line.rstrip(b"\r ") for line in data.split(b"\n")}
    expected = {line_hash.hash_bytes(line) for line in wanted if line and not line.startswith(b"#")}
    # the first byte decides, also of a line of which nothing else is left
    if set(line_hash.hash_lines(data).tolist()) != expected:
        yield f"other hashes than line by line: {data!r}"


WANTED = page_words.words((b"<meta ", b"type="), (b"licen", b"</title>"))
TELL = page_words.telling({html_scan.META: (b"type", b"rel"), html_scan.LINK: (b"licen",)})


def _page_words(generator: random.Random) -> Complaints:
    page = some_bytes(generator, (*HTML, b"2021", b"x" * 300), 60)
    data = as_array(page)
    found = page_words._places(data, *WANTED).tolist()
    if any(page[at : at + 4].lower() not in (b"<met", b"type", b"lice", b"</ti") for at, _ in found):
        yield f"places {found} of {page!r}"
    if any(not 0 < first <= at < last < len(page) for first, at, last in page_words._years(data, 60, 40).tolist()):
        yield f"years of {page!r}"
    notes = html_scan._scan(data, 100)[3]
    if len(page_words.holding(data, notes, TELL)) > len(notes):
        yield f"more notes than there were of {page!r}"


def kernel_complaints(trials: dict[str, Trial], number: int) -> Complaints:
    """What a number's bytes show to be wrong, in words; nothing where all is well."""
    if os.environ.get("NUMBA_BOUNDSCHECK") != "1":
        raise RuntimeError("kernels are tried with NUMBA_BOUNDSCHECK=1, as tests/fuzz/run.py does")
    name = sorted(trials)[number % len(trials)]
    try:
        for complaint in trials[name](random.Random(number)):
            yield f"{name}: {complaint}"
    except (IndexError, SystemError) as error:  # the latter is raised by kernels without Numba's runtime
        yield f"{name}: {type(error).__name__}: {error}"


SCANNERS: dict[str, Trial] = {
    "html_scan": _html,
    "json_scan": _json,
    "line_hash": _hashed_lines,
    "page_words": _page_words,
    "pii_scan": _pii,
    "text_scan": _flags,
}
