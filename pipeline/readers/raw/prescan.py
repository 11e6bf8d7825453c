"""The encoding that a page declares in a ``<meta>`` tag, found as the HTML standard finds it (13.2.3.2, prescan).

What stands in a comment, in another tag, or in a ``content`` without ``http-equiv="content-type"`` declares nothing.
"""

import re
from collections.abc import Callable

_SPACE = "\t\n\f\r "
_META = re.compile(rb"meta[\t\n\f\r /]", re.IGNORECASE)
_ATTRIBUTE = re.compile(  # a name may begin with "=", and a quote that is never closed goes on to the end
    rb"[\t\n\f\r /]*([^\t\n\f\r />][^\t\n\f\r />=]*)[\t\n\f\r ]*"
    rb"(?:=[\t\n\f\r ]*(?:\"([^\"]*)\"?|'([^']*)'?|([^\t\n\f\r >]*)))?"
)
_TAG = re.compile(  # any other tag, with its attributes
    rb"/?[a-zA-Z][^\t\n\f\r >]*"
    rb"(?:[\t\n\f\r /]*[^\t\n\f\r />][^\t\n\f\r />=]*[\t\n\f\r ]*"
    rb"(?:=[\t\n\f\r ]*(?:\"[^\"]*\"?|'[^']*'?|[^\t\n\f\r >]*))?)*"
)
_IN_CONTENT = re.compile(
    rb"charset[\t\n\f\r ]*=[\t\n\f\r ]*(?:\"([^\"]*)\"|'([^']*)'|([^\t\n\f\r ;\"']+))", re.IGNORECASE
)


def declared_charset(head: bytes, known: Callable[[str], bool] = bool) -> str | None:
    """The label of the first declaration; None where there is none.

    Args:
        head: What a page begins with.
        known: Whether a label means an encoding; a declaration of another one declares nothing.

    Example:
        >>> declared_charset(b'<!-- <meta charset=koi8-r> --><meta charset="iso-8859-2">')
        'iso-8859-2'
    """
    position = 0
    while (position := head.find(b"<", position)) >= 0:
        inner = position + 1
        if head.startswith(b"!--", inner):
            end = head.find(b"-->", inner + 1)
            position = end + 3 if end >= 0 else len(head)
        elif _META.match(head, inner):
            attributes, position = _attributes(head, inner + 4)
            charset = _charset(attributes)
            if charset is not None and known(charset):
                return charset
        elif tag := _TAG.match(head, inner):
            position = tag.end()
        elif head[inner : inner + 1] in (b"!", b"/", b"?"):
            end = head.find(b">", inner)
            position = end + 1 if end >= 0 else len(head)
        else:
            position = inner
    return None


def _charset(attributes: dict[bytes, bytes]) -> str | None:
    label = attributes.get(b"charset")
    if label is None and attributes.get(b"http-equiv", b"").lower() == b"content-type":
        found = _IN_CONTENT.search(attributes.get(b"content", b""))
        label = next(group for group in found.groups() if group is not None) if found else None
    name = (label or b"").decode("ascii", "replace").strip(_SPACE).lower()
    if name.startswith("utf-16"):
        return "utf-8"  # what could be read as ASCII is not in UTF-16
    return "windows-1252" if name == "x-user-defined" else name or None


def _attributes(head: bytes, position: int) -> tuple[dict[bytes, bytes], int]:
    """The attributes of a tag, the first of each name, by name in lower case; and where they end."""
    found: dict[bytes, bytes] = {}
    while (attribute := _ATTRIBUTE.match(head, position)) is not None:
        name, *values = attribute.groups()
        found.setdefault(name.lower(), next((value for value in values if value is not None), b""))
        position = attribute.end()
    return found, position
