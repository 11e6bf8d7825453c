"""What a tokenizer is made of: how text is cut, which tokens are special, and a ``tokenizer.json`` from a vocabulary.

Three ways to cut text into pre-tokens are known by name.  ``gpt2`` is the one built into ``tokenizers``; ``cl100k`` and
``qwen2`` are regular expressions, published with those models (tiktoken's ``openai_public.py``, MIT; Qwen2's
``tokenizer.json``, Apache-2.0).
"""

import base64
import binascii
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError
from pipeline.run.tokenizer import special_ids

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CL100K = _WORDS + r"\p{N}{1,3}" + _REST
_QWEN2 = _WORDS + r"\p{N}" + _REST
PATTERNS = {"cl100k": _CL100K, "qwen2": _QWEN2}
# ids that the published encodings give to their special tokens, by (pretokenizer, entries of the file)
_PUBLISHED_SPECIAL = {
    ("gpt2", 50_256): {"<|endoftext|>": 50_256},
    ("cl100k", 100_256): {
        "<|endoftext|>": 100_257,
        "<|fim_prefix|>": 100_258,
        "<|fim_middle|>": 100_259,
        "<|fim_suffix|>": 100_260,
        "<|endofprompt|>": 100_276,
    },
}


def pre_tokenizer(name: str) -> dict[str, Any]:
    """The ``pre_tokenizer`` of a ``tokenizer.json``: ``gpt2``, ``cl100k`` or ``qwen2``."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": name == "gpt2"}
    if name == "gpt2":
        return byte_level
    split = {"type": "Split", "pattern": {"Regex": PATTERNS[name]}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [split, byte_level]}


def tokenizer_json(
    vocabulary: dict[str, int],
    merges: list[tuple[str, str]],
    special: dict[str, int],
    pretokenizer: str,
    *,
    ignore_merges: bool = False,
) -> str:
    """A byte-level BPE ``tokenizer.json``.

    Args:
        vocabulary: Byte-level characters of each token -> id, special tokens included.
        merges: Pairs in order of rank.
        special: Special tokens -> id.
        pretokenizer: ``gpt2``, ``cl100k`` or ``qwen2``.
        ignore_merges: A pre-token that is itself in the vocabulary is taken whole, as tiktoken does.
    """
    added = [
        {
            "id": token_id,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for token, token_id in sorted(special.items(), key=lambda item: item[1])
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": ignore_merges,
        "vocab": dict(sorted(vocabulary.items(), key=lambda item: item[1])),
        "merges": [list(pair) for pair in merges],
    }
    whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": pre_tokenizer(pretokenizer),
        "post_processor": None,
        "decoder": byte_level,
        "model": model,
    }
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def byte_characters() -> list[str]:
    """The printable character that stands for each byte in a byte-level vocabulary (GPT-2's table)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    characters = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        if byte not in characters:
            characters[byte] = chr(0x100 + len(characters) - len(printable))
    return [characters[byte] for byte in range(256)]


def vocabulary_size(definition: dict[str, Any]) -> int:
    """One more than the largest id of a parsed ``tokenizer.json``."""
    vocabulary = definition["model"]["vocab"]
    ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else list(range(len(vocabulary)))
    added = [int(token["id"]) for token in definition.get("added_tokens") or ()]
    return 1 + max(int(token_id) for token_id in ids + added)


def special_id(definition: dict[str, Any], token: str, key: str) -> int:
    """The id of a special token that the recipe names under ``key``.

    Raises:
        UserError: If the tokenizer has no such special token; those it has are named.
    """
    special = special_ids(definition)
    if token not in special:
        raise UserError(
            f"{key} = {token!r} is no special token of this tokenizer; it has {', '.join(map(repr, special)) or 'none'}"
        )
    return special[token]


def further_special(config: Mapping[str, Any]) -> list[str]:
    """The special tokens beside the one that ends a document: the one that begins it, if any, and reserved ones."""
    return [*filter(None, [config.get("begin_of_text")]), *config["special_tokens"]]


def from_tiktoken(path: Path, pretokenizer: str, end_of_text: str, further: list[str]) -> str:
    """A ``tokenizer.json`` from a ``.tiktoken`` file of mergeable ranks.

    Special tokens keep their published ids where the file is a published encoding; else they follow the last rank.

    Raises:
        UserError: If the file is not one of ranks.
    """
    ranks = _read_ranks(path)
    table = byte_characters()
    names = {token: "".join(table[byte] for byte in token) for token in ranks}
    special = dict(_PUBLISHED_SPECIAL.get((pretokenizer, len(ranks)), {}))
    for token in (end_of_text, *further):
        special.setdefault(token, 1 + max([*ranks.values(), *special.values()]))
    merges = [
        (names[left], names[right])
        for token, rank in sorted(ranks.items(), key=lambda item: item[1])
        for left, right in _last_merge(token, rank, ranks)
    ]
    vocabulary = {names[token]: rank for token, rank in ranks.items()} | special
    return tokenizer_json(vocabulary, merges, special, pretokenizer, ignore_merges=True)


def _read_ranks(path: Path) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error) as error:
            raise UserError(f"{path}: line {number} is not `<base64 token> <rank>`: {error}") from error
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise UserError(f"{path}: no token for {len(missing)} of the 256 bytes; it cannot encode every text")
    return ranks


def _last_merge(token: bytes, rank: int, ranks: dict[bytes, int]) -> list[tuple[bytes, bytes]]:
    """The pair that the ranks below ``rank`` leave of a token; none for a byte, or where more parts are left."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        pairs = [(ranks.get(a + b, rank), place) for place, (a, b) in enumerate(itertools.pairwise(parts))]
        best, place = min(pairs)
        if best >= rank:
            return []
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return [(parts[0], parts[1])] if len(parts) == 2 else []
