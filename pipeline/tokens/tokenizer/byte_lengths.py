"""Bytes of text that each token stands for: the denominator of bits per byte.

Taken from the token's own bytes, never from ``decode``: a token may hold part of a character, which decodes to a
replacement character of another length.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import UserError, parse_json
from pipeline.tokens.tokenizer.definition import byte_characters, vocabulary_size


def token_byte_lengths(tokenizer_json: str | Path | dict[str, Any]) -> NDArray[np.int32]:
    """Bytes of text of each token id; 0 for special tokens and for ids that nothing uses.

    Args:
        tokenizer_json: Path of a ``tokenizer.json``, or its parsed content.

    Returns:
        int32 (vocabulary size,).

    Raises:
        UserError: If the tokenizer is neither byte-level nor one with byte fallback.
    """
    definition = tokenizer_json if isinstance(tokenizer_json, dict) else parse_json(Path(tokenizer_json).read_bytes())
    lengths = np.zeros(vocabulary_size(definition), np.int32)
    for token_id, token in token_bytes(definition).items():
        lengths[token_id] = len(token)
    return lengths


def token_bytes(definition: dict[str, Any]) -> dict[int, bytes]:
    """The bytes of each token of a parsed ``tokenizer.json``; special tokens are left out.

    Raises:
        UserError: If the tokenizer is neither byte-level nor one with byte fallback.
    """
    vocabulary = definition["model"]["vocab"]
    if not isinstance(vocabulary, dict):  # Unigram: [piece, score] pairs
        vocabulary = {piece: number for number, (piece, _) in enumerate(vocabulary)}
    added = {token["content"]: token for token in definition.get("added_tokens") or ()}
    plain = {token: token_id for token, token_id in vocabulary.items() if token not in added}
    found = _decoded(definition, plain)
    for content, token in added.items():
        if not token.get("special"):
            found[token["id"]] = content.encode()
    return found


def _decoded(definition: dict[str, Any], vocabulary: dict[str, int]) -> dict[int, bytes]:
    if "ByteLevel" in _types(definition.get("decoder")) | _types(definition.get("pre_tokenizer")):
        values = {character: byte for byte, character in enumerate(byte_characters())}
        return {token_id: bytes(values[character] for character in token) for token, token_id in vocabulary.items()}
    if definition["model"].get("byte_fallback"):
        return {token_id: _fallback_bytes(token) for token, token_id in vocabulary.items()}
    raise UserError("this tokenizer is neither byte-level nor one with byte fallback: bits per byte are not defined")


def _fallback_bytes(token: str) -> bytes:
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes([int(token[3:5], 16)])
    return token.replace("\N{LOWER ONE EIGHTH BLOCK}", " ").encode()


def _types(part: Any) -> set[str]:
    """Names of a component of a ``tokenizer.json`` and of those nested in it."""
    if not isinstance(part, dict):
        return set()
    nested = [item for value in part.values() if isinstance(value, list) for item in value]
    return {str(part.get("type"))}.union(*(_types(item) for item in nested)) if nested else {str(part.get("type"))}
