"""A bounded sample of a text on one line, by which its language is told: its start, middle and end."""

NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
WIDER = 8  # times: so much text is looked at for a piece that is mostly blanks
FEW = 8  # characters of which two are no more than a quarter
FIRST_CAPITALS = 24  # characters of which none is a small letter where a text is in capitals


def sample(text: str, characters: int) -> str:
    """A third of the characters from the start, the middle and the end of a text, cut at spaces.

    Where blanks take much of a piece (indented code, what was columns) it goes on for as many characters more.

    Example:
        >>> sample("a b" + chr(10) + "c", 100)
        'a b c'
    """
    if len(text) > characters:
        third = characters // 3
        middle = len(text) // 2
        pieces = (_piece(text, 0, third), _piece(text, middle, third), _last_piece(text, third))
        text = " ".join((_cut_end(pieces[0]), _cut_start(_cut_end(pieces[1])), _cut_start(pieces[2])))
    return text.replace("\n", " ").replace(NO_BREAK_SPACE, " ")  # which fastText takes for a letter


def without_capitals(text: str) -> str:
    """A text in capitals in small letters: models have hardly seen any capitals, and take them for other languages.

    Example:
        >>> without_capitals("THE PARTIES AGREE"), without_capitals("The Parties agree")
        ('the parties agree', 'The Parties agree')
    """
    if not text[:FIRST_CAPITALS].isupper():
        return text
    words = text.split()
    return text.lower() if 2 * sum(map(str.isupper, words)) > len(words) else text


def _piece(text: str, start: int, characters: int) -> str:
    piece = text[start : start + characters]
    if not _is_much_blank(piece):
        return piece
    return " ".join(text[start : start + WIDER * characters].split())[:characters]


def _last_piece(text: str, characters: int) -> str:
    piece = text[-characters:]
    return " ".join(text[-WIDER * characters :].split())[-characters:] if _is_much_blank(piece) else piece


def _is_much_blank(piece: str) -> bool:
    """Whether a quarter of it is blanks beyond one between two words."""
    if "  " not in piece and len(piece) >= FEW and piece.isprintable():  # at most the first and last blank go
        return False
    return 4 * len(" ".join(piece.split())) < 3 * len(piece)


def _cut_end(piece: str) -> str:
    head, space, _ = piece.rpartition(" ")
    return head if space and len(head) > len(piece) // 2 else piece


def _cut_start(piece: str) -> str:
    _, space, tail = piece.partition(" ")
    return tail if space and len(tail) > len(piece) // 2 else piece
