"""The two ways to turn text into token ids, behind one function: Arrow text in, flat ids and offsets out.

``gigatoken`` reads the Arrow buffers and is about seventy times as fast; ``tokenizers`` defines what is right.  Both
encode text that looks like a special token as ordinary text: gigatoken is built from a definition without added tokens,
and ``tokenizers`` is told to.  Added tokens that are not special are looked for in text: a document that holds one is
encoded by ``tokenizers``.  ``choose`` compares their ids once per run.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.base.errors import RunError, in_words
from pipeline.base.words import counted
from pipeline.run.tokenizer import Tokenizer

CACHE_TEXT_BYTES = 256 << 20  # of text, after which an encoder is not kept for a further shard
LONG_TEXT = 1 << 20  # characters: ``tokenizers`` needs about a hundred times a text's size; longer ones are cut for it
# where every named pretokenizer cuts anyway: between a line feed that ends a line of text and a letter, between a word
# and the space before the next one, and between an ideograph, a kana or a syllable of Hangul and a mark
_SAFE_CUT = re.compile(
    r"(?<=\S\n)(?=[A-Za-z])|(?<=[A-Za-z])(?= [A-Za-z])"
    "|(?<=[\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3])(?=[\u3001\u3002\uff01\uff0c\uff1b\uff1f])"
)
CANNOT_LOAD = "gigatoken cannot load this tokenizer"
REFUSED = "gigatoken does not take its kind"
_FEW_IDS = 64  # special ids below it are looked for among the few ids of text that are as small


class Encoder(Protocol):
    """Encodes documents."""

    def __call__(self, texts: pa.LargeStringArray) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Flat token ids (uint32), and offsets (int64, N + 1) of the N documents in them."""


class GigatokenEncoder:
    """gigatoken on Arrow buffers, on the calling thread.

    It grows faster and larger with every word that it has seen, without bound: ``text_bytes`` says how much that was.
    """

    def __init__(self, definition: str) -> None:
        import gigatoken

        self.text_bytes = 0
        self._definition, self._plain = definition, _plain_tokens(definition)
        self._tokenizer = gigatoken.Tokenizer.from_json(_without_added_tokens(definition))

    def __call__(self, texts: pa.LargeStringArray) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """See ``Encoder``."""
        if not len(texts):
            return np.empty(0, np.uint32), np.zeros(1, np.int64)
        ids, offsets = self._fast(texts)
        rows = self._with_plain_tokens(texts)
        return self._with_rows_of_tokenizers(texts, rows, ids, offsets) if len(rows) else (ids, offsets)

    def _with_plain_tokens(self, texts: pa.LargeStringArray) -> NDArray[np.int64]:
        """Rows of the texts that hold an added token which is not special."""
        found = np.zeros(len(texts), bool)
        for token in self._plain:
            found |= pc.match_substring(texts, token).to_numpy(zero_copy_only=False)
        return np.flatnonzero(found)

    def _with_rows_of_tokenizers(
        self, texts: pa.LargeStringArray, rows: NDArray[np.int64], ids: NDArray[np.uint32], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """The ids with those of some rows as ``tokenizers`` gives them."""
        encode = TokenizersEncoder(self._definition, cut_long_texts=False)
        theirs, ends = encode(texts.take(pa.array(rows)))
        parts = np.split(ids, offsets[1:-1])
        for number, row in enumerate(rows.tolist()):
            parts[row] = theirs[ends[number] : ends[number + 1]]
        lengths = [len(part) for part in parts]
        return np.concatenate(parts), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)

    def _fast(self, texts: pa.LargeStringArray) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        import awkward

        self.text_bytes += texts.nbytes
        # awkward takes a large_string column over without a copy; gigatoken copies a bare pyarrow array
        encoded = self._tokenizer.encode_batch(awkward.from_arrow(texts), parallel=False)
        layout = encoded.layout.to_ListOffsetArray64(True)  # offsets from 0; no copy where they are so
        offsets = np.asarray(layout.offsets.data, np.int64)
        return np.asarray(layout.content.data)[: offsets[-1]], offsets


@lru_cache(maxsize=1)
def _without_added_tokens(definition: str) -> bytes:
    """The definition that gigatoken gets.

    Made once per process: parsing tens of thousands of lists costs a small shard more than building the encoder.
    """
    parsed = orjson.loads(definition)
    parsed["added_tokens"] = []
    return orjson.dumps(parsed)


def _plain_tokens(definition: str) -> list[str]:
    """The added tokens that text gives: those that are not special."""
    added = orjson.loads(definition).get("added_tokens") or ()
    return [token["content"] for token in added if not token.get("special")]


class TokenizersEncoder:
    """``tokenizers`` on Python strings.

    Args:
        definition: Content of a ``tokenizer.json``.
        cut_long_texts: Whether its pretokenizer is one of those that always cut before a line's first letter.
    """

    def __init__(self, definition: str, *, cut_long_texts: bool) -> None:
        self._tokenizer = Tokenizer(definition)
        self._cut_long_texts = cut_long_texts

    def __call__(self, texts: pa.LargeStringArray) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """See ``Encoder``."""
        parts: list[NDArray[np.uint32]] = []
        lengths: list[int] = []
        for start in range(0, len(texts), 256):
            for text in texts.slice(start, 256).to_pylist():
                ids = self._encode(text)
                parts.append(ids)
                lengths.append(len(ids))
        flat = np.concatenate([np.empty(0, np.uint32), *parts])
        return flat, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)

    def _encode(self, text: str) -> NDArray[np.uint32]:
        pieces = cut(text, LONG_TEXT) if self._cut_long_texts else [text]
        encoded = [self._tokenizer.ids(piece) for piece in pieces]
        return np.concatenate([np.asarray(ids, np.uint32) for ids in encoded])


def cut(text: str, length: int) -> list[str]:
    """Cuts a text into pieces of about ``length`` characters, only where it does not change its tokens."""
    pieces, start = [], 0
    while len(text) - start > length:
        found = _SAFE_CUT.search(text, start + length)
        if found is None:
            break
        pieces.append(text[start : found.start()])
        start = found.start()
    return [*pieces, text[start:]]


@dataclass(frozen=True)
class Choice:
    """The engine of a run, and why it is this one."""

    engine: str  # gigatoken | tokenizers
    version: str
    reason: str

    @property
    def in_words(self) -> str:
        """The reason without what a library says of itself, which stands in the tokenizer's report."""
        return REFUSED if self.reason.startswith(f"{CANNOT_LOAD}: ") else self.reason


def choose(definition: str, samples: Sequence[str], asked: str, *, cut_long_texts: bool) -> Choice:
    """Decides which engine encodes a run: gigatoken, where it gives the ids of ``tokenizers`` on every sample.

    Args:
        definition: Content of a ``tokenizer.json``.
        samples: Texts of the corpus, from every source.
        asked: ``auto`` or ``tokenizers``.
        cut_long_texts: As in ``TokenizersEncoder``.
    """
    if asked == "tokenizers":
        return Choice("tokenizers", version("tokenizers"), "asked for by tokenize.engine")
    texts = pa.array(samples, pa.large_string())
    try:
        ids, offsets = GigatokenEncoder(definition)(texts)
    except Exception as error:  # noqa: BLE001  whatever it refuses, the run goes on with ``tokenizers`` and says so
        return Choice("tokenizers", version("tokenizers"), f"{CANNOT_LOAD}: {_first_line(error)}")
    expected, expected_offsets = TokenizersEncoder(definition, cut_long_texts=cut_long_texts)(texts)
    if np.array_equal(offsets, expected_offsets) and np.array_equal(ids, expected):
        reason = (
            f"gives the ids of tokenizers {version('tokenizers')} on {counted(len(samples), 'document')} of this corpus"
        )
        return Choice("gigatoken", version("gigatoken"), reason)
    number = next(
        n
        for n in range(len(samples))
        if not np.array_equal(ids[offsets[n] : offsets[n + 1]], expected[expected_offsets[n] : expected_offsets[n + 1]])
    )
    reason = f"gigatoken {version('gigatoken')} gives other ids on document {number + 1} of {len(samples):,} samples"
    return Choice("tokenizers", version("tokenizers"), reason)


def _first_line(error: BaseException) -> str:
    return in_words(error).splitlines()[0][:200]


def make_encoder(engine: str, definition: str, *, cut_long_texts: bool) -> Encoder:
    """A new encoder: ``gigatoken`` or ``tokenizers``."""
    if engine == "gigatoken":
        return GigatokenEncoder(definition)
    return TokenizersEncoder(definition, cut_long_texts=cut_long_texts)


@lru_cache(maxsize=1)
def _kept_encoder(definition: str) -> GigatokenEncoder:
    """The encoder that goes on from one job of a worker process to the next, which a job cannot hand on itself.

    A new one has no word in its cache yet, and costs a small shard more than its text.
    """
    return GigatokenEncoder(definition)


def shard_encoder(engine: str, definition: str, *, cut_long_texts: bool) -> Encoder:
    """The encoder for a shard: that of the shard before it in this process, until it has seen ``CACHE_TEXT_BYTES``.

    Every id is the same with any encoder; only its speed and memory depend on what it has seen.
    """
    if engine != "gigatoken":
        return make_encoder(engine, definition, cut_long_texts=cut_long_texts)
    if _kept_encoder(definition).text_bytes >= CACHE_TEXT_BYTES:
        forget_encoder()
    return _kept_encoder(definition)


def forget_encoder() -> None:
    """Frees the encoder that is kept for the next shard."""
    _kept_encoder.cache_clear()


def check_no_special(ids: NDArray[Any], special: Mapping[str, int]) -> None:
    """Text must never give a special token: such a document would end, or command, where it only quotes.

    Args:
        ids: Token ids of text.
        special: The special tokens and their ids.

    Raises:
        RunError: Naming the token.
    """
    bound = max(special.values(), default=-1)
    low = ids[ids <= bound] if bound < _FEW_IDS else ids  # one pass where special ids come first, as in trained ones
    for token, token_id in special.items():
        if (low == token_id).any():
            raise RunError(
                f"text of a document was encoded as the special token {token!r}: this tokenizer's vocabulary gives it "
                "for ordinary text; name special tokens that text cannot hold"
            )
