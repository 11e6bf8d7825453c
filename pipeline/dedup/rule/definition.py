"""What a word, a shingle and its hash are, in plain Python: the definition that the kernels must equal bit for bit.

Words: runs of letters, marks, numbers or ``_``, lower-cased; characters of Han, Kana, Thai, Lao, Khmer and Myanmar are
words each (tables of a stated Unicode version, pipeline/kernels/unicode_tables.py).  Shingles: every run of ``ngram``
words, joined by one space; a shorter text is one shingle; a text without words has none.

Hash of a shingle, 64 bits, modulo 2^64: the hashes of its words are the digits of a number in base
``SHINGLE_MULTIPLIER``, which MurmurHash3's finaliser then mixes.  ``shingle_hash`` is its upper half.
"""

from pipeline.kernels import hash_constants as constants
from pipeline.kernels.unicode_tables import SEPARATOR, SINGLE, unicode_tables
from pipeline.recipe.minhash import MINHASH

_MASK = (1 << 64) - 1


def words(text: str) -> list[str]:
    """The words of a text, lower-cased, in their order.

    Example:
        >>> words("Don't PANIC: 東京!")
        ['don', 't', 'panic', '東', '京']
    """
    tables = unicode_tables()
    found: list[str] = []
    run: list[str] = []
    for character in text:
        kind, lowered = tables.lookup(ord(character))
        if kind in (SEPARATOR, SINGLE) and run:
            found.append("".join(run))
            run = []
        if kind == SINGLE:
            found.append(chr(lowered))
        elif kind != SEPARATOR:
            run.append(chr(lowered))
    return [*found, "".join(run)] if run else found


def shingles(text: str, ngram: int = MINHASH.ngram) -> list[str]:
    """The shingles of a text in their order, repeats included.

    Args:
        text: Any text.
        ngram: Words in a shingle, >= 1.

    Raises:
        ValueError: If ``ngram`` is below 1.

    Example:
        >>> shingles("One fine day, in May", ngram=3)
        ['one fine day', 'fine day in', 'day in may']
        >>> shingles("too short")
        ['too short']
    """
    if ngram < 1:
        raise ValueError(f"ngram must be at least 1, got {ngram}")
    found = words(text)
    if not found:
        return []
    return [" ".join(found[start : start + ngram]) for start in range(max(1, len(found) - ngram + 1))]


def word_hash(word: bytes) -> int:
    """64-bit hash of a word's UTF-8 bytes."""
    state = constants.WORD_SEED
    for start in range(0, len(word), 8):
        group = int.from_bytes(word[start : start + 8], "little")
        state = ((state ^ group) * constants.WORD_MULTIPLIER) & _MASK
        state ^= state >> 32
    state = (state * constants.WORD_FINISH) & _MASK
    return state ^ (state >> 29)


def shingle_hash64(shingle: bytes) -> int:
    """64-bit hash of a shingle's UTF-8 bytes, ``b" ".join(words)``: what verification compares."""
    total = 0
    for word in shingle.split(b" "):
        total = (total * constants.SHINGLE_MULTIPLIER + word_hash(word)) & _MASK
    total ^= total >> 33
    total = (total * constants.MIX_1) & _MASK
    total ^= total >> 33
    total = (total * constants.MIX_2) & _MASK
    return total ^ (total >> 33)


def shingle_hash(shingle: bytes) -> int:
    """32-bit hash of a shingle's UTF-8 bytes: the upper half of ``shingle_hash64``.

    Usable as datasketch's ``hashfunc``:

        >>> import datasketch
        >>> sketch = datasketch.MinHash(num_perm=4, seed=1, hashfunc=shingle_hash)
        >>> sketch.update("one fine day".encode())
        >>> sketch.hashvalues.dtype
        dtype('uint32')
    """
    return shingle_hash64(shingle) >> 32
