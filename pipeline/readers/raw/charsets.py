"""The encoding of bytes by its name, or by the bytes."""

import codecs


def known_encoding(name: str | None) -> str | None:
    """Python's codec for a label, by the WHATWG names and UTF-32; None where there is no such text encoding."""
    if not name:
        return None
    plain = name.lower().replace("_", "-")
    if plain in ("utf-8", "utf8"):
        return "utf-8"
    if plain in ("utf-32", "utf-32-le", "utf-32-be"):
        return plain
    from resiliparse.parse.encoding import map_encoding_to_html5

    mapped = map_encoding_to_html5(name, False)
    if mapped is None:
        return None
    try:
        return codecs.lookup(mapped).name if codecs.lookup(mapped)._is_text_encoding else None
    except LookupError:
        return None


def detected_encoding(body: bytes) -> str:
    """The encoding that bytes which are not UTF-8 are most likely in."""
    from resiliparse.parse.encoding import detect_encoding

    name = known_encoding(detect_encoding(body)) or "cp1252"
    if name in ("utf-8", "ascii"):  # it is not: single stray bytes in UTF-8, or windows-1252
        return "utf-8" if _mostly_utf8(body) else "cp1252"
    return name


def _mostly_utf8(body: bytes) -> bool:
    """Whether most of the characters beyond ASCII are valid UTF-8."""
    text = body.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    right = sum(1 for character in text[:20000] if character > "\x7f" and character != "\ufffd")
    return right > 4 * wrong
