"""Formulas as TeX: from the annotation that MathML carries, or else from its elements."""

import re
from html import unescape

_ANNOTATION = re.compile(
    r"<annotation\b[^>]*encoding=\"(?:application/x-tex|text/x-tex|latex|tex)\"[^>]*>(.*?)</annotation>",
    re.IGNORECASE | re.DOTALL,
)
_ALT = re.compile(r'<math\b[^>]*\balttext="([^"]*)"', re.IGNORECASE)
_PART = re.compile(r"<(/?)([A-Za-z][\w:-]*)([^>]*)>|([^<]+)")
_STYLE = re.compile(r"^\{\\(?:display|text)style\s*(.*)\}$", re.DOTALL)
_DEEPEST, _LONGEST = 40, 20_000
_NO_TEXT = ("annotation", "annotation-xml")
_OPERATORS = {"−": "-", "×": r"\times ", "·": r"\cdot ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "∞": r"\infty ",
              "∑": r"\sum ", "∏": r"\prod ", "∫": r"\int ", "→": r"\to ", "∈": r"\in ", "±": r"\pm ", "π": r"\pi ",
              "\u2061": "", "\u2062": "", "\u2063": ",", "\u2064": "+"}  # fmt: skip


def tex_of(math: str) -> str:
    """TeX of a ``<math>`` element; empty where there is nothing in it."""
    if found := _ANNOTATION.search(math):
        return cleaned(unescape(found.group(1)))
    if (found := _ALT.search(math)) and "\\" in found.group(1):
        return cleaned(unescape(found.group(1)))
    return cleaned(_converted(math[:_LONGEST]))


def cleaned(tex: str) -> str:
    """TeX without the style that a converter wraps it in, on one line."""
    tex = " ".join(tex.split())
    if found := _STYLE.match(tex):
        tex = found.group(1).strip()
    return tex.strip("$").strip() if not tex.endswith(r"\$") else tex


def _converted(math: str) -> str:
    """Follows the elements of presentation MathML, and joins what their children become."""
    open_elements: list[tuple[str, list[str]]] = [("", [])]
    ignored = 0
    for found in _PART.finditer(math):
        closing, name, attributes, text = found.groups()
        if text is not None:
            if not ignored and (said := unescape(text).strip()):
                open_elements[-1][1].append(_symbols(said, open_elements[-1][0]))
            continue
        name = name.rpartition(":")[2].lower()
        if name in _NO_TEXT:
            ignored += -1 if closing and ignored else 0 if closing else 1
        elif closing:
            if len(open_elements) > 1:
                made = _joined(*open_elements.pop())
                open_elements[-1][1].append(made)
        elif not attributes.endswith("/") and len(open_elements) < _DEEPEST:
            open_elements.append((name, []))
    while len(open_elements) > 1:
        made = _joined(*open_elements.pop())
        open_elements[-1][1].append(made)
    return "".join(open_elements[0][1])


def _symbols(text: str, name: str) -> str:
    if name == "mtext":
        return rf"\text{{{text}}}"
    return "".join(_OPERATORS.get(character, character) for character in text)


def _joined(name: str, parts: list[str]) -> str:
    """What an element becomes of what its children have become."""
    first, second, third = (*parts, "", "", "")[:3]
    shapes = {
        "msup": f"{first}^{_group(second)}",
        "msub": f"{first}_{_group(second)}",
        "msubsup": f"{first}_{_group(second)}^{_group(third)}",
        "munder": f"{first}_{_group(second)}",
        "mover": f"{first}^{_group(second)}",
        "munderover": f"{first}_{_group(second)}^{_group(third)}",
        "mfrac": rf"\frac{{{first}}}{{{second}}}",
        "mroot": rf"\sqrt[{second}]{{{first}}}",
        "msqrt": rf"\sqrt{{{''.join(parts)}}}",
        "mtd": "".join(parts),
        "mtr": " & ".join(parts),
        "mtable": r" \\ ".join(parts),
    }
    return shapes.get(name, "".join(parts))


def _group(text: str) -> str:
    return text if len(text) == 1 else f"{{{text}}}"
