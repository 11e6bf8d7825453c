"""The row of a line whose quotes are wrong, where only one reading of it has as many fields as the header."""

from collections import Counter
from collections.abc import Sequence

from pipeline.readers.delimited.dialect import Dialect

MAX_PIECES = 512  # of a line that is tried; each is compared with those that may end its field
MAX_JOINED = 128  # pieces more than the row has fields
MAX_QUOTED = 16  # pieces that begin, or end, with a quote


def repaired(text: str, dialect: Dialect, width: int) -> list[str] | None:
    """The fields of a line with a stray quote, or with quotes in a quoted field that are not doubled.

    The line is cut at every delimiter; a field is one piece, or the pieces from one that begins with a quote to one
    that ends with a quote.  One with a single quote, at its beginning, may also be a field by itself; but as the last
    one it may go on in the next line, and is no row.  It is the row if exactly one such reading has the header's width.

    Example:
        >>> repaired('7,"half,"an inch, more"', Dialect(","), 3)
        ['7', '"half', 'an inch, more']
        >>> repaired('7,"an "inch" more', Dialect(","), 2)
    """
    quote = dialect.quote
    if not quote or dialect.escape is not None:
        return None
    pieces = text.rstrip("\r\n").split(dialect.delimiter)
    if not width <= len(pieces) <= min(MAX_PIECES, width + MAX_JOINED):
        return None
    bare = [piece.strip(" ") if dialect.skip_space else piece for piece in pieces]
    begins = [piece.startswith(quote) for piece in bare]
    ends = [piece.endswith(quote) for piece in bare]
    if sum(begins) > MAX_QUOTED or sum(ends) > MAX_QUOTED:
        return None
    fields = _one_reading(_spans(bare, begins, ends, quote), len(pieces), width)
    if fields is None or (fields[-1][0] == len(bare) - 1 and begins[-1] and bare[-1].count(quote) == 1):
        return None
    return [_value(dialect.delimiter.join(bare[first:end]), quote) for first, end in fields]


def _spans(bare: Sequence[str], begins: Sequence[bool], ends: Sequence[bool], quote: str) -> list[list[int]]:
    """For each piece, one past the last piece of every field that may begin with it."""
    closing = [number for number, is_end in enumerate(ends) if is_end]
    spans: list[list[int]] = []
    for number, piece in enumerate(bare):
        found = [] if begins[number] else [number + 1]
        if begins[number]:
            found = [end + 1 for end in closing if end > number or (end == number and len(piece) >= 2)]
            if piece.count(quote) == 1:
                found.append(number + 1)
        spans.append(found)
    return spans


def _one_reading(spans: Sequence[Sequence[int]], pieces: int, width: int) -> list[tuple[int, int]] | None:
    """The fields of the only way to cover the pieces by so many of the spans; None where there is none, or several."""
    ways: list[Counter[int]] = [Counter() for _ in range(pieces + 1)]  # fields that are left -> ways to the end
    ways[pieces][0] = 1
    for number in range(pieces - 1, -1, -1):
        for end in spans[number]:
            for left, count in ways[end].items():
                if left < width:
                    ways[number][left + 1] += count
    if ways[0][width] != 1:
        return None
    fields: list[tuple[int, int]] = []
    number = 0
    while number < pieces:
        end = next(end for end in spans[number] if ways[end][width - len(fields) - 1])
        fields.append((number, end))
        number = end
    return fields


def _value(field: str, quote: str) -> str:
    if len(field) >= 2 and field.startswith(quote) and field.endswith(quote):
        return field[1:-1].replace(quote * 2, quote)
    return field
