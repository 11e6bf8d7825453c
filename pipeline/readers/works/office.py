"""Word (docx) and OpenDocument (odt) texts: paragraphs as lines, tables as lines with tabs; no notes of the editing."""

from xml.etree import ElementTree

from pipeline.readers.works.package import LockedError, Package

# as Word writes it, and as "Strict Open XML Document"
_WORD = (
    "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}",
    "{http://purl.oclc.org/ooxml/wordprocessingml/main}",
)
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"  # says again what the choice says
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_SKIPPED = frozenset({_FALLBACK, f"{_TEXT}tracked-changes", f"{_OFFICE}annotation", f"{_TEXT}table-of-content"})


def _named(*of_word: str, others: tuple[str, ...]) -> frozenset[str]:
    return frozenset({*(space + name for space in _WORD for name in of_word), *others})


_LINES = _named("p", "br", "cr", others=(f"{_TEXT}p", f"{_TEXT}h", f"{_TEXT}line-break"))
_TABS = _named("tab", others=(f"{_TEXT}tab",))
_CELLS = _named("tc", others=(f"{_TABLE}table-cell",))
_ROWS = _named("tr", others=(f"{_TABLE}table-row",))
_WORDS = _named("t", others=(f"{_TEXT}p", f"{_TEXT}h"))  # what holds characters of the text
_SPACES, _COUNT = f"{_TEXT}s", f"{_TEXT}c"
_MAX_SPACES = 1000
_MAIN, _PARTS = "word/document.xml", "_rels/.rels"
_MANIFEST = "META-INF/manifest.xml"
_NOTES = ("word/footnotes.xml", "word/endnotes.xml")


def docx_text(package: Package) -> str:
    """The text of a Word file, its foot- and endnotes last."""
    names = [_main_part(package), *(name for name in _NOTES if name in package.names)]
    return "\n\n".join(filter(None, (_text_of(package.read(name)) for name in names)))


def _main_part(package: Package) -> str:
    """Where the text is: nearly always in the same place, else where the list of parts says."""
    if _MAIN not in package.names and _PARTS in package.names:
        for part in ElementTree.fromstring(package.read(_PARTS)):
            if part.get("Type", "").endswith("/officeDocument"):
                return part.get("Target", _MAIN).lstrip("/")
    return _MAIN


def odt_text(package: Package) -> str:
    """The text of an OpenDocument file.

    Raises:
        LockedError: If it is encrypted.
    """
    if _MANIFEST in package.names and b":encryption-data" in package.read(_MANIFEST):
        raise LockedError("it is encrypted with a password")
    return _text_of(package.read("content.xml"))


def _text_of(xml: bytes) -> str:
    parser = ElementTree.XMLParser(target=_Words())
    parser.feed(xml)
    lines = str(parser.close()).split("\n")
    return "\n".join(line.rstrip() for line in lines).strip("\n")


class _Words:
    """Takes the events of a parser, so that no nesting is too deep, and gives the text."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._skipped = self._words = self._cells = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        self._skipped += tag in _SKIPPED
        self._words += tag in _WORDS
        self._cells += tag in _CELLS
        if self._skipped:
            return
        if tag in _TABS:
            self._pieces.append("\t")
        elif tag == _SPACES:
            count = attributes.get(_COUNT, "1")
            self._pieces.append(" " * min(int(count) if count.isdecimal() and len(count) < 9 else 1, _MAX_SPACES))

    def data(self, text: str) -> None:
        """Characters within an element."""
        if self._words and not self._skipped:
            self._pieces.append(text)

    def end(self, tag: str) -> None:
        """An element ends."""
        if not self._skipped:
            if tag in _CELLS:
                self._pieces.append("\t")
            elif tag in _ROWS or (tag in _LINES and not self._cells):
                self._pieces.append("\n")
            elif tag in _LINES:
                self._pieces.append(" ")
        self._skipped -= tag in _SKIPPED
        self._words -= tag in _WORDS
        self._cells -= tag in _CELLS

    def close(self) -> str:
        """The text."""
        return "".join(self._pieces)
