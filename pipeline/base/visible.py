"""Text of strangers, made fit to be shown: what it is stays, what it could do to the page does not.

The template escapes markup.  What is left are characters that act without being markup: control characters, and those
that turn the direction of the text around them.
"""

import re
from urllib.parse import urlsplit

_ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls but tab and line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction marks, embeddings, overrides, isolates
    "\ufff9-\ufffb\U000e0000-\U000e007f\ufeff]"  # annotations, tags, byte order mark
)


def visible(text: str) -> str:
    """``text`` with every acting character replaced by U+FFFD; CR LF becomes LF.

    Example:
        >>> visible("a" + chr(27) + "[31m" + chr(0x202E) + "b") == "a" + chr(0xFFFD) + "[31m" + chr(0xFFFD) + "b"
        True
    """
    return _ACTING.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def head(text: str, characters: int) -> str:
    """The first ``characters`` of a text, visible, with an ellipsis where more follows."""
    shown = visible(text[:characters])
    return f"{shown}…" if len(text) > characters else shown


def host(url: str) -> str:
    """The host of a URL, or "" where there is none to be read."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
