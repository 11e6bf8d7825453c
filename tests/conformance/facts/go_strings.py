"""String expressions of Go, as rules of gitleaks state their examples: literals, sums, lists and a few calls."""

import ast
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"//[^\n]*|/\*.*?\*/|(?P<raw>`[^`]*`)|(?P<text>\"(?:[^\"\\\n]|\\.)*\")|(?P<name>[A-Za-z_][\w.]*)"
    r"|(?P<number>\d[\d.]*)|(?P<sign>:=|\.\.\.|[^\s\w])",
    re.DOTALL,
)
_PIECE = re.compile(r"(?P<set>\[(?:[^\]\\]|\\.)+\]|\\?.)(?:\{(?P<least>\d+)(?P<comma>,\d*)?\})?")
_WORD = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"


class NotUnderstoodError(Exception):
    """An expression of another kind."""


@dataclass(frozen=True)
class Case:
    """An example, and the secret that stands in it where it is known."""

    text: str
    secret: str | None = None


Value = str | list[Case]
Tokens = list[tuple[str, str]]  # kind and text


def tokens(source: str) -> Tokens:
    """The tokens of a source without its comments."""
    return [(match.lastgroup, match[0]) for match in _TOKEN.finditer(source) if match.lastgroup]


def sampled(pattern: str, chance: random.Random) -> str:
    """A string that a regular expression matches: letters and sets of them, each so many times.

    Example:
        >>> sampled("ab[c-d]{3}", random.Random(0))
        'abccd'
    """
    if re.search(r"(?<!\\)[()|*+?]", re.sub(r"\[(?:[^\]\\]|\\.)+\]", "", pattern)):
        raise NotUnderstoodError(pattern)
    made = ""
    for piece in _PIECE.finditer(pattern):
        letters = _letters(piece["set"])
        made += "".join(chance.choices(letters, k=int(piece["least"] or 1)))
    return made


def _letters(piece: str) -> str:
    if not piece.startswith("["):
        return _WORD if piece == r"\w" else piece[-1]
    inner = piece[1:-1].replace(r"\w", _WORD)
    found = ""
    for part in re.finditer(r"\\?(.)-\\?([^\\\]])|\\?(.)", inner):
        found += part[3] or "".join(map(chr, range(ord(part[1]), ord(part[2]) + 1)))
    return found


@dataclass
class Reader:
    """Reads expressions.

    Attributes:
        calls: What the functions of the rules give, by name.
        known: Values of the variables that were read before.
    """

    calls: dict[str, Callable[..., Value]]
    known: dict[str, Value] = field(default_factory=dict)

    def lists(self, function: Tokens, names: tuple[str, ...]) -> Iterator[tuple[str, list[Case]]]:
        """What is assigned to the variables of these names in a function; of lists the elements that are understood."""
        self.known = {name: [] for name in names}
        for at in range(len(function) - 1):
            if function[at][1] in names and function[at + 1][1] in (":=", "="):
                try:
                    value, _ = self._sum(function, at + 2)
                except NotUnderstoodError:
                    continue
                self.known[function[at][1]] = value
        for name in names:
            yield name, _cases(self.known[name])

    def _sum(self, at: Tokens, place: int) -> tuple[Value, int]:
        value, place = self._term(at, place)
        while place < len(at) and at[place] == ("sign", "+"):
            other, place = self._term(at, place + 1)
            if not isinstance(value, str) or not isinstance(other, str):
                raise NotUnderstoodError("a sum of lists")
            value += other
        return value, place

    def _term(self, at: Tokens, place: int) -> tuple[Value, int]:
        kind, text = at[place]
        if kind == "raw":
            return text[1:-1], place + 1
        if kind == "text":
            return str(ast.literal_eval(text)), place + 1
        if kind == "number":
            return text, place + 1
        if text == "[" and [one for _, one in at[place : place + 4]] == ["[", "]", "string", "{"]:
            values, place = self._arguments(at, place + 4, "}")
            return [case for value in values for case in _cases(value)], place
        if kind == "name" and at[place + 1][1] == "(" and text in self.calls:
            values, place = self._arguments(at, place + 2, ")")
            return self.calls[text](*values), place
        if kind == "name" and text in self.known:
            return self.known[text], place + 1
        raise NotUnderstoodError(text)

    def _arguments(self, at: Tokens, place: int, end: str) -> tuple[list[Value], int]:
        values: list[Value] = []
        while at[place][1] != end:
            if at[place][1] in (",", "..."):
                place += 1
                continue
            value, place = self._sum(at, place)
            values.append(value)
        return values, place + 1


def _cases(value: Value) -> list[Case]:
    return [Case(value)] if isinstance(value, str) else value
