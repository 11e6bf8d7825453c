"""Which characters make words, and their lower case: tables of Unicode UNICODE_VERSION, kept in unicode_ranges.txt.

The ranges were generated once (``python -m pipeline.kernels.unicode_tables``) from Python's ``unicodedata`` and the
script properties of the ``regex`` package, and are committed: the same text gives the same words under any Python.

For each code point: its class, and how far its lower case lies from it.

- ``SEPARATOR``  everything that is in no word
- ``LETTER``     categories L, M, N, and ``_``: a run of them is a word
- ``SINGLE``     the same categories in scripts written without spaces (Han, Kana, Thai, Lao, Khmer, Myanmar):
                 each character is a word

Lower case is Unicode's simple mapping: one code point to one code point.

Layout for kernels: two stages.  ``stage1[cp >> 7]`` is the number of a block, ``stage2[block * 128 + (cp & 127)]``
holds ``delta << 2 | class``; equal blocks are stored once, so the whole is some 110 kB.
"""

import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RANGES_FILE = Path(__file__).with_name("unicode_ranges.txt")
SEPARATOR, LETTER, SINGLE = 0, 1, 2
BLOCK_BITS = 7
BLOCK = 1 << BLOCK_BITS
CODE_POINTS = 0x110000
_SPACELESS = ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar")


@dataclass(frozen=True)
class UnicodeTables:
    """The tables as a kernel wants them; shapes in the module's docstring."""

    unicode_version: str
    stage1: NDArray[np.uint8]
    stage2: NDArray[np.int32]

    def lookup(self, code_point: int) -> tuple[int, int]:
        """Class and lower-case code point of ``code_point``."""
        entry = int(self.stage2[int(self.stage1[code_point >> BLOCK_BITS]) * BLOCK + (code_point & (BLOCK - 1))])
        return entry & 3, code_point + (entry >> 2)


@cache
def unicode_tables() -> UnicodeTables:
    """Loads the committed tables, once per process."""
    version = ""
    entries = np.zeros(CODE_POINTS, np.int32)
    for line in RANGES_FILE.read_text(encoding="ascii").splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "unicode":
            version = rest
        elif kind in ("letter", "single"):
            for first, last in _parse_ranges(rest):
                entries[first : last + 1] |= LETTER if kind == "letter" else SINGLE
        elif kind == "lower":
            delta, _, ranges = rest.partition(" ")
            for item in ranges.split():
                span, _, step = item.partition("/")
                ((first, last),) = _parse_ranges(span)
                entries[first : last + 1 : int(step or 1)] += int(delta) * 4
    numbers: dict[bytes, int] = {}
    order = [numbers.setdefault(block.tobytes(), len(numbers)) for block in entries.reshape(-1, BLOCK)]
    if len(numbers) > 256:
        raise ValueError(f"{RANGES_FILE}: {len(numbers)} different blocks, more than a byte can number")
    stage1 = np.array(order, np.uint8)
    stage2 = np.frombuffer(b"".join(numbers), np.int32).copy()
    stage1.setflags(write=False)
    stage2.setflags(write=False)
    return UnicodeTables(version, stage1, stage2)


def _parse_ranges(text: str) -> Iterator[tuple[int, int]]:
    for item in text.split():
        first, _, last = item.partition("-")
        yield int(first, 16), int(last or first, 16)


# ------------------------------------------------------------------------------------------------- generation


def _simple_lower(code_point: int) -> int:
    """Unicode's simple lower case; Python has the full one, which differs for U+0130 alone."""
    lowered = chr(code_point).lower()
    return ord(lowered) if len(lowered) == 1 else ord(lowered[0])


def _is_spaceless(character: str) -> bool:
    """True for a character of a script written without spaces, or common to such scripts alone (the long vowel)."""
    import regex

    own = "".join(rf"\p{{Script={script}}}" for script in _SPACELESS)
    shared = "".join(rf"\p{{Script_Extensions={script}}}" for script in _SPACELESS)
    common = rf"[\p{{Script=Common}}\p{{Script=Inherited}}]&&[{shared}]"
    return regex.fullmatch(rf"[[{own}]||[{common}]]", character, flags=regex.V1) is not None


def _write_ranges(numbers: list[int]) -> str:
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return " ".join(f"{first:X}" if first == last else f"{first:X}-{last:X}" for first, last in spans)


def _write_steps(numbers: list[int]) -> str:
    """Ranges with a step (``100-12E/2``): upper and lower case alternate in many blocks."""
    items: list[str] = []
    start = 0
    while start < len(numbers):
        end = start + 1
        step = numbers[end] - numbers[start] if end < len(numbers) else 1
        step = step if step in (1, 2) else 1
        while end < len(numbers) and numbers[end] - numbers[end - 1] == step:
            end += 1
        first, last = numbers[start], numbers[end - 1]
        items.append(f"{first:X}" if first == last else f"{first:X}-{last:X}" + (f"/{step}" if step > 1 else ""))
        start = end
    return " ".join(items)


def generate() -> str:
    """The text of unicode_ranges.txt from this Python's ``unicodedata``."""
    letters: list[int] = []
    singles: list[int] = []
    lower: dict[int, list[int]] = {}
    for code_point in range(CODE_POINTS):
        character = chr(code_point)
        if unicodedata.category(character)[0] not in "LMN" and character != "_":
            continue
        (singles if code_point > 0x7F and _is_spaceless(character) else letters).append(code_point)
        delta = _simple_lower(code_point) - code_point
        if delta:
            lower.setdefault(delta, []).append(code_point)
    lines = [
        "# Generated by python -m pipeline.kernels.unicode_tables; hexadecimal code points. Do not edit.",
        f"unicode {unicodedata.unidata_version}",
        f"letter {_write_ranges(letters)}",
        f"single {_write_ranges(singles)}",
    ]
    lines += [f"lower {delta} {_write_steps(numbers)}" for delta, numbers in sorted(lower.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(generate())
