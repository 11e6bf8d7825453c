"""The words in which two texts differ, for a page that shows them side by side."""

import difflib
import re
from dataclasses import dataclass

from pipeline.base.words import visible

MAX_CHARACTERS = 2_000
_WORDS = re.compile(r"\s+|\S+")


@dataclass(frozen=True)
class Piece:
    """A run of text, and whether the other side has it too."""

    text: str
    same: bool


def side_by_side(left: str, right: str) -> tuple[list[Piece], list[Piece]]:
    """Splits the heads of two texts into pieces that they share and pieces that they do not.

    Args:
        left: One text; its first ``MAX_CHARACTERS`` are compared.
        right: The other.

    Returns:
        The pieces of each side; joined they give the compared head back.

    Example:
        >>> a, b = side_by_side("the old cat sat", "the new cat sat")
        >>> [piece.text for piece in a if not piece.same], [piece.text for piece in b if not piece.same]
        (['old'], ['new'])
    """
    words = [_WORDS.findall(visible(text[:MAX_CHARACTERS])) for text in (left, right)]
    matcher = difflib.SequenceMatcher(None, words[0], words[1], autojunk=False)
    sides: tuple[list[Piece], list[Piece]] = ([], [])
    for kind, left_from, left_to, right_from, right_to in matcher.get_opcodes():
        for side, text in zip(
            sides, ("".join(words[0][left_from:left_to]), "".join(words[1][right_from:right_to])), strict=True
        ):
            if text:
                side.append(Piece(text, kind == "equal"))
    return sides
