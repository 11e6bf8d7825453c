"""A text as the package's model reads it: small letters and their marks, in words; and the scripts of its letters.

The ranges are fixed here and not asked of ``unicodedata``, so that the model sees the same under every Python.
"""

import re
from bisect import bisect_right
from collections import Counter

_SPACED = "".join(chr(code) if chr(code).isalpha() else " " for code in range(128))
_ASCII = bytes(_SPACED, "ascii") + bytes(range(128, 256))
# beyond ASCII, what is no letter and no mark of one: signs, digits, punctuation, blanks
_NO_LETTERS = re.compile(
    "["
    "\x80-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7\u02c2-\u02c5\u02d2-\u02df\u0375\u037e\u0387\u0482"
    "\u055a-\u055f\u0589\u058a\u05be\u05c0\u05c3\u05c6\u05f3\u05f4\u0600-\u060f\u061b-\u061f\u0640\u0660-\u066d"
    "\u06d4\u06dd\u06de\u06e9\u06f0-\u06f9\u06fd\u06fe\u0700-\u070f\u07c0-\u07c9\u0964-\u0970\u09e6-\u09ef"
    "\u09f2-\u09fb\u0a66-\u0a6f\u0ae6-\u0af1\u0b66-\u0b6f\u0be6-\u0bfa\u0c66-\u0c7f\u0ce6-\u0cef\u0d58-\u0d5e"
    "\u0d66-\u0d79\u0de6-\u0def\u0df4\u0e3f\u0e4f-\u0e5b\u0ed0-\u0ed9\u0f01-\u0f17\u0f1a-\u0f34\u0f3a-\u0f3d"
    "\u104a-\u104f\u1040-\u1049\u10fb\u1360-\u137c\u1390-\u1399\u166d\u166e\u16eb-\u16ed\u17d4-\u17d6"
    "\u17d8-\u17db\u17e0-\u17f9\u1800-\u180a\u1810-\u1819\u2000-\u2070\u2074-\u207e\u2080-\u208e\u20a0-\u20bf"
    "\u2100-\u2bff\u2e00-\u3004\u3007-\u3020\u3030\u3036-\u303f\u30fb\u3200-\u33ff\u4dc0-\u4dff\ua830-\ua839"
    "\ufd3e\ufd3f\ufe10-\ufe1f\ufe30-\ufe6f\ufeff-\uff20\uff3b-\uff40\uff5b-\uff65\uffe0-\uffff"
    "\U0001d000-\U0001faff]+"
)
# where a script begins in Unicode, in the order of its blocks; "" where it has none that a label is written in
_SCRIPTS = (
    (0x0, "Latn"), (0x370, "Grek"), (0x400, "Cyrl"), (0x530, "Armn"), (0x590, "Hebr"), (0x600, "Arab"),
    (0x700, "Syrc"), (0x750, "Arab"), (0x780, "Thaa"), (0x7C0, ""), (0x8A0, "Arab"), (0x900, "Deva"), (0x980, "Beng"),
    (0xA00, "Guru"), (0xA80, "Gujr"), (0xB00, "Orya"), (0xB80, "Taml"), (0xC00, "Telu"), (0xC80, "Knda"),
    (0xD00, "Mlym"), (0xD80, "Sinh"), (0xE00, "Thai"), (0xE80, "Laoo"), (0xF00, "Tibt"), (0x1000, "Mymr"),
    (0x10A0, "Geor"), (0x1100, "Hang"), (0x1200, "Ethi"), (0x13A0, "Cher"), (0x1400, "Cans"),
    (0x1680, ""), (0x1780, "Khmr"), (0x1800, "Mong"),
    (0x18B0, ""), (0x1C80, "Cyrl"), (0x1C90, "Geor"), (0x1CC0, ""), (0x1D00, "Latn"), (0x1F00, "Grek"),
    (0x2000, ""), (0x2C60, "Latn"), (0x2C80, ""), (0x2D00, "Geor"), (0x2D30, ""), (0x2D80, "Ethi"), (0x2DE0, "Cyrl"),
    (0x2E00, "Hani"), (0x3040, "Kana"), (0x3100, "Hani"), (0x3130, "Hang"), (0x3190, "Hani"), (0x31F0, "Kana"),
    (0x3200, "Hani"), (0xA000, ""), (0xA640, "Cyrl"), (0xA6A0, ""), (0xA720, "Latn"), (0xA800, ""), (0xAB00, "Ethi"),
    (0xAB30, "Latn"), (0xAB70, "Cher"), (0xABC0, ""), (0xAC00, "Hang"), (0xD800, ""), (0xF900, "Hani"),
    (0xFB00, "Latn"),
    (0xFB13, "Armn"), (0xFB1D, "Hebr"), (0xFB50, "Arab"), (0xFE00, ""), (0xFE70, "Arab"), (0xFF00, "Latn"),
    (0xFF66, "Kana"), (0x10000, ""), (0x20000, "Hani"),
)  # fmt: skip
_STARTS = [start for start, _ in _SCRIPTS]
LOOKED_AT = 12  # letters of a text, evenly spread, by which its scripts are told


def letters(text: str) -> str:
    """The words of a text in small letters; all else is a blank.

    Example:
        >>> letters("«Déjà vu», 3 times?").split(), letters("कि, और").split()
        (['déjà', 'vu', 'times'], ['कि', 'और'])
    """
    if text.isascii():
        return text.lower().translate(_SPACED)
    plain = text.lower().encode("utf-8", "replace").translate(_ASCII).decode("utf-8")
    return _NO_LETTERS.sub(" ", plain)


def script(character: str) -> str:
    """The script of a letter by its block; an empty word where no label is written in it.

    Example:
        >>> [script(letter) for letter in "aжあ字ꀀ"]
        ['Latn', 'Cyrl', 'Kana', 'Hani', '']
    """
    return _SCRIPTS[bisect_right(_STARTS, ord(character)) - 1][1]


def scripts(words: str) -> Counter[str]:
    """How many of a text's letters, as ``letters`` has them, are of which script; of a few, evenly spread."""
    if words.isascii():
        return Counter(Latn=1)
    together = words.replace(" ", "")
    return Counter(script(letter) for letter in together[:: max(1, len(together) // LOOKED_AT)])
