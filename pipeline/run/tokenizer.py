"""The one door to a tokenizer: whoever turns text into ids, or ids into text, opens it here.

A ``tokenizer.json`` carries the state of whoever saved it (padding, truncation), makes a special token of text that
spells one, and adds tokens of its own around a text.  Token shards are made without any of that; so is every text that
a model of them is asked about.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.base import storage
from pipeline.base.errors import FormatError, naming, parse_json


class Tokenizer:
    """A tokenizer whose ids are those of the token shards.

    Args:
        definition: Content of a ``tokenizer.json``.

    Raises:
        ValueError: If ``tokenizers`` cannot read it.
    """

    def __init__(self, definition: str) -> None:
        import tokenizers

        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(definition)
        except Exception as error:  # its errors have no class of their own
            raise ValueError(f"not a tokenizer.json: {error}") from error
        self._tokenizer.encode_special_tokens = True  # of text that spells one: ordinary text
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    @classmethod
    def open(cls, path: str | Path) -> "Tokenizer":
        """The tokenizer of a file.

        Raises:
            FormatError: If it is missing or damaged.
        """
        try:
            with naming(str(path)):
                definition = Path(path).read_text(encoding="utf-8")
            return cls(definition)
        except (FileNotFoundError, ValueError) as error:
            raise damaged(path, error) from error

    def ids(self, text: str) -> list[int]:
        """The ids of a text."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def ids_of(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text."""
        return [found.ids for found in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """The ids of a text, and the range of characters that each stands for."""
        found = self._tokenizer.encode(text, add_special_tokens=False)
        return found.ids, found.offsets

    def text(self, ids: Sequence[int], *, special: bool = True) -> str:
        """The text of ids; ``special``: with the special tokens among them."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=not special))

    def vocabulary(self) -> dict[str, int]:
        """Id of each entry."""
        return dict(self._tokenizer.get_vocab())


def special_tokens(path: str | Path) -> dict[str, int]:
    """The special tokens of a ``tokenizer.json`` and their ids, in the order in which it names them.

    Raises:
        FormatError: If it is missing or damaged.
    """
    try:
        definition = parse_json(storage.read_bytes(str(path)))
        definition["model"]  # every tokenizer.json has one
        return special_ids(definition)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, error) from error


def special_ids(definition: Mapping[str, Any]) -> dict[str, int]:
    """The special tokens of a parsed ``tokenizer.json`` and their ids."""
    return {token["content"]: token["id"] for token in definition.get("added_tokens") or () if token.get("special")}


def damaged(path: str | Path, error: Exception) -> FormatError:
    """What is said of a ``tokenizer.json`` that cannot be read."""
    return FormatError(
        f"{path}: expected a tokenizer.json, found {error!r}; `tokenmill verify RUN` names what to rebuild"
    )
