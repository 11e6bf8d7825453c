"""What a rule is given and what it finds; and what stands around a place, as text."""

import unicodedata
from collections.abc import Callable

Span = tuple[int, int, str]  # first byte, one past the last, kind
Rule = Callable[[bytes, int, int, int], Span | None]  # text, first byte, one past the last, end of a card or 0

LOOK_BACK = 72  # bytes; a label such as "номер телефона: " has two bytes a letter
LOOK_AHEAD = 24


def before(text: bytes, first: int) -> str:
    """What stands before a place."""
    return text[max(0, first - LOOK_BACK) : first].decode("utf-8", "ignore")


def after(text: bytes, last: int) -> str:
    """What stands after a place."""
    return text[last : last + LOOK_AHEAD].decode("utf-8", "ignore")


def plain(run: bytes) -> str:
    r"""A number in ASCII: digits of any script, spaces and dashes of any kind, full-width signs.

    Example:
        >>> plain("＋８１－３\u00a05550".encode())
        '+81-3 5550'
    """
    text = run.decode()
    if text.isascii():
        return text
    return "".join(map(_plain_character, text))


def _plain_character(character: str) -> str:
    if character.isascii():
        return character
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    folded = unicodedata.normalize("NFKC", character)
    if folded in "+()/-. ":
        return folded
    return "." if character == "\u00b7" else "-"  # what is left of the kernel's separators are dashes
