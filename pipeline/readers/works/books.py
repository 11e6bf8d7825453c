"""EPUB: the pages of a book in the order of its spine."""

import posixpath
from collections.abc import Iterator
from urllib.parse import unquote
from xml.etree import ElementTree

from pipeline.readers.works.package import LockedError, Package, PaperError

_CONTAINER = "META-INF/container.xml"
_PAGES = frozenset({"application/xhtml+xml", "text/html"})


def page_names(package: Package) -> list[str]:
    """Names of the parts that are chapters, in reading order.

    A book that was packed with the folder around it is read as if that folder were the whole.

    Raises:
        PaperError: If the book has no list of its pages, or they are encrypted.
        ParseError: If the list is no XML.
    """
    names = []
    around = _folder_around(package)
    container = ElementTree.fromstring(package.read(around + _CONTAINER))
    opf = around + _first(container, "rootfile").get("full-path", "")
    root = ElementTree.fromstring(package.read(opf))
    items = {item.get("id"): item for item in _all(root, "item")}
    folder = posixpath.dirname(opf)
    for reference in _all(root, "itemref"):
        item = items.get(reference.get("idref"))
        if item is None or item.get("media-type") not in _PAGES or "nav" in (item.get("properties") or "").split():
            continue
        names.append(posixpath.normpath(posixpath.join(folder, unquote(item.get("href", "")))))
    if not _encrypted(package, around).isdisjoint(names):
        raise LockedError("its pages are encrypted")
    return names


def _encrypted(package: Package, around: str) -> set[str]:
    """Names of the parts that are encrypted: in most books that have such a list, the fonts."""
    listed = f"{around}META-INF/encryption.xml"
    if listed not in package.names:
        return set()
    references = _all(ElementTree.fromstring(package.read(listed)), "CipherReference")
    return {posixpath.normpath(around + unquote(one.get("URI", ""))) for one in references}


def _folder_around(package: Package) -> str:
    """The folder with its slash that holds the whole book; nothing where the book is at the top, as it should be."""
    tops = {name.partition("/")[0] for name in package.names} - {"mimetype"}
    top = f"{next(iter(tops))}/" if len(tops) == 1 else ""
    return top if f"{top}{_CONTAINER}" in package.names else ""


def _all(root: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (element for element in root.iter() if str(element.tag).rpartition("}")[2] == name)


def _first(root: ElementTree.Element, name: str) -> ElementTree.Element:
    found = next(_all(root, name), None)
    if found is None:
        raise PaperError(f"no {name} in {_CONTAINER}")
    return found
