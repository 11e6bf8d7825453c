"""The tables behind the tokens: what each code point is, and the words that are split by exception.

``token_tables.npz`` is written by tests/tools/make_token_tables.py from spaCy's English rules (MIT licence, see
NOTICE), datatrove's punctuation sets and Unicode 14.0 (Python 3.11's); a parity test writes it again and compares.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.spans import MIX

UNICODE_VERSION = "14.0.0"

# what a code point is, one bit each
SPACE = 1 << 0  # str.isspace
LETTER = 1 << 1  # str.isalpha
SYMBOL = 1 << 2  # in datatrove's PUNCTUATION_SET
ALPHA = 1 << 3  # spaCy's ALPHA
ALPHA_LOWER = 1 << 4
ALPHA_UPPER = 1 << 5
PREFIX = 1 << 6  # split off at the start of a word
SUFFIX = 1 << 7  # split off at its end
INFIX = 1 << 8  # split off inside it
BEFORE_DOT = 1 << 9  # a dot after it is split off at the end of a word
QUOTE = 1 << 10  # may stand beside an infix dot
CURRENCY = 1 << 11  # split off after a digit
PUNCTUATION = 1 << 12  # general category P
SENTENCE_END = 1 << 13  # ends a sentence
TERMINAL = 1 << 14  # in datatrove's TERMINAL_PUNCTUATION
LINE_END = 1 << 15  # str.splitlines
WORD = 1 << 16  # \\w
DECIMAL = 1 << 17  # \\d
UNSPACED = 1 << 18  # scripts written without spaces: Han, Kana, Thai, Lao, Khmer, Myanmar


class TokenTables(NamedTuple):
    """The tables as the kernels take them.

    ``classes`` has the bits of each code point.  The exceptions are sorted by the hash of their bytes; exception i is
    split into pieces of ``piece_bytes[piece_starts[i]:piece_starts[i + 1]]`` bytes.  Where ``match_starts`` gives it a
    range of ``match_bytes``, tokens of just these sizes inside a word are joined to the exception again.
    ``units`` are the hashes of the units that are split off after a digit.  ``exception_bits`` says of 16 bits of a
    hash whether an exception has them, ``exception_sizes`` whether one has that many bytes, ``exception_edges`` whether
    one has this size, first and last byte (``edge_index``): most words need no search.
    """

    classes: NDArray[np.uint32]
    exception_hashes: NDArray[np.uint64]
    piece_starts: NDArray[np.int32]
    piece_bytes: NDArray[np.uint8]
    match_starts: NDArray[np.int32]
    match_bytes: NDArray[np.uint8]
    units: NDArray[np.uint64]
    exception_bits: NDArray[np.bool_]
    exception_sizes: NDArray[np.bool_]
    exception_edges: NDArray[np.bool_]


def edge_index(size: int, first: int, last: int) -> int:
    """Place in ``exception_edges`` of words of this size, first and last byte; few share one."""
    return ((first << 8) ^ last ^ (size * 0x1F35)) & 0xFFFF


STORED = TokenTables._fields[1:-3]


@cache
def load_tables() -> TokenTables:
    """Reads the committed tables, once per process."""
    with np.load(Path(__file__).with_name("token_tables.npz")) as stored:
        classes = np.repeat(stored["class_values"], np.diff(stored["class_starts"], append=0x110000))
        loaded = {name: stored[name] for name in STORED}
        edges = np.zeros(1 << 16, np.bool_)
        edges[stored["exception_edges"]] = True
    bits = np.zeros(1 << 16, np.bool_)
    bits[(loaded["exception_hashes"] * MIX) >> np.uint64(48)] = True
    sizes = np.zeros(256, np.bool_)
    sizes[np.add.reduceat(loaded["piece_bytes"].astype(np.int64), loaded["piece_starts"][:-1])] = True
    classes = np.ascontiguousarray(classes, dtype=np.uint32)
    return TokenTables(classes, **loaded, exception_bits=bits, exception_sizes=sizes, exception_edges=edges)
