"""What the kept blocks of a page are: paragraphs, headings, items, code, tables; and in which lists and quotes."""

import re
from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.extraction.inline import InlineTexts
from pipeline.extraction.page_tree import PageTree
from pipeline.kernels.html_blocks import FROM, INDEX, NODE_TAG, PARENT, START, TO
from pipeline.kernels.html_chains import chains
from pipeline.kernels.html_names import TAGS

_START_NUMBER = re.compile(rb'\b(?:start|value)="(-?\d{1,9})"')
_CLASSES = re.compile(r'\bclass="([^"]*)"')
_LANGUAGE = re.compile(r"^(?:language|lang|highlight-source|highlight|brush:?|sourceCode)-?:?([A-Za-z][\w+#.-]{0,20})$")
_NO_LANGUAGE = frozenset(
    ("none", "text", "plaintext", "plain", "highlight", "default", "nohighlight", "notranslate", "code")
)
_NUMBERS = re.compile(r"\s*\d+(?:\s+\d+)+\s*")
_LISTS, _CELLS = ("ul", "ol", "menu"), ("td", "th")
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_TAG_BYTES = 2000  # of a start tag that is looked at
# beyond these a table holds a page's layout, not data
_CELL_CHARACTERS, _CELL_BLOCKS, _COLUMNS = 600, 6, 60


@dataclass(slots=True)
class Shape:
    """One piece of text.

    Attributes:
        kind: paragraph, heading, code, table, term, definition or caption.
        text: Of a table, empty.
        blocks: Numbers of the blocks that it is made of.
        around: Lists' items and quotes that it stands in, from the outermost: ("li", element) or ("quote", element).
        level: Of a heading.
        language: Of code.
        rows: Of a table: cells by column.
        has_header: Its first row is one.
    """

    kind: str
    text: str
    blocks: list[int]
    around: list[tuple[str, int]]
    level: int = 0
    language: str = ""
    rows: list[dict[int, str]] = field(default_factory=list)
    has_header: bool = False


def shapes_of(tree: PageTree, kept: NDArray[np.int64], *, markdown: bool) -> Iterator[Shape]:
    """The pieces of text that the kept blocks make, in their order; each is made when it is asked for."""
    return _Reader(tree, kept, markdown).shapes()


class _Reader:
    def __init__(self, tree: PageTree, kept: NDArray[np.int64], markdown: bool) -> None:
        self.tree, self.kept = tree, array("q", kept.astype(np.int64).tobytes())
        self.texts = InlineTexts(tree.html, markdown=markdown)
        layout = tree.layout
        # a page may have half a million blocks: numbers, not Python's objects of them
        self.starts, self.ends = (array("i", layout.blocks[kept, column].tobytes()) for column in (FROM, TO))
        self.chains = chains(layout.nodes, layout.blocks, kept)
        used = sorted({node for chain in self.chains for node in chain})
        self.tags = dict(zip(used, (TAGS[tag] for tag in layout.nodes[used, NODE_TAG].tolist()), strict=True))
        self.index = dict(zip(used, layout.nodes[used, INDEX].tolist(), strict=True))

    def shapes(self) -> Iterator[Shape]:
        data_tables = self._data_tables()
        place = 0
        while place < len(self.kept):
            table = self._innermost(place, "table")
            if table in data_tables:
                end = place
                while end < len(self.kept) and self._innermost(end, "table") == table:
                    end += 1
                yield from self._table(table, range(place, end))
                place = end
            else:
                shape = self._piece(place)
                if shape is not None:
                    yield shape
                place += 1

    def _innermost(self, place: int, tag: str) -> int:
        return next((node for node in reversed(self.chains[place]) if self.tags[node] == tag), -1)

    def _data_tables(self) -> set[int]:
        """Tables whose cells are data: several columns of short text, and nothing but text in them."""
        places: dict[int, list[int]] = defaultdict(list)
        layout_tables = set()
        for place, chain in enumerate(self.chains):
            tables = [node for node in chain if self.tags[node] == "table"]
            if tables:
                places[tables[-1]].append(place)
                layout_tables.update(tables[:-1])
                below = chain[chain.index(tables[-1]) :]
                if any(self.tags[node] in ("pre", "h1", "h2", "h3", "h4") for node in below):
                    layout_tables.add(tables[-1])
        return {table for table, of in places.items() if table not in layout_tables and self._is_data(of)}

    def _is_data(self, places: list[int]) -> bool:
        cells: dict[int, list[int]] = defaultdict(list)
        rows: dict[int, set[int]] = defaultdict(set)
        for place in places:
            cell = max(self._innermost(place, "td"), self._innermost(place, "th"))
            if cell >= 0:
                cells[cell].append(place)
                rows[self._innermost(place, "tr")].add(cell)
        if not any(len(row) > 1 for row in rows.values()):
            return False
        sizes = [sum(self.ends[place] - self.starts[place] for place in of) for of in cells.values()]
        longest = (
            max(sum(len(self._text(place)) for place in of) for of in cells.values())
            if max(sizes) > _CELL_CHARACTERS
            else 0
        )
        return longest <= _CELL_CHARACTERS and max(map(len, cells.values())) <= _CELL_BLOCKS

    def _text(self, place: int, *, code: bool = False) -> str:
        return self.texts.of(self.starts[place], self.ends[place], code=code)

    def _table(self, table: int, places: range) -> list[Shape]:
        """A table, and its caption before it."""
        found: list[Shape] = []
        around = self._around(self.chains[places[0]][: self.chains[places[0]].index(table)])
        rows: dict[int, dict[int, str]] = {}
        used, header_cells, first_row = [], 0, -1
        for place in places:
            cell = max(self._innermost(place, "td"), self._innermost(place, "th"))
            text = " ".join(self._text(place).split())
            if cell < 0:
                found.append(Shape("caption", text, [self.kept[place]], around))
                continue
            row = self._innermost(place, "tr")
            first_row = row if first_row < 0 else first_row
            header_cells += row == first_row and self.tags[cell] == "th"
            column = min(self.index[cell], _COLUMNS)
            cells = rows.setdefault(row, {})
            cells[column] = f"{cells[column]} {text}" if column in cells else text
            used.append(self.kept[place])
        has_header = header_cells > 1 or (header_cells == 1 and len(rows[first_row]) == 1)
        return [*found, Shape("table", "", used, around, rows=list(rows.values()), has_header=has_header)]

    def _piece(self, place: int) -> Shape | None:
        chain = self.chains[place]
        if not chain:  # as most
            text = self._text(place)
            return Shape("paragraph", text, [self.kept[place]], []) if text else None
        tags = [self.tags[node] for node in chain]
        around, blocks = self._around(chain), [self.kept[place]]
        if "pre" in tags:
            text = self._text(place, code=True)
            if _are_line_numbers(text):
                return None
            return Shape("code", text, blocks, around, language=self._language(chain[tags.index("pre")], place))
        text = self._text(place)
        if not text:
            return None
        heading = next((tag for tag in reversed(tags) if tag in _HEADINGS), None)
        if heading is not None:
            return Shape("heading", " ".join(text.split()), blocks, around, level=_HEADINGS[heading])
        kinds = {"dt": "term", "dd": "definition", "caption": "caption", "figcaption": "caption"}
        innermost = next((tag for tag in reversed(tags) if tag in kinds or tag in ("li", "table")), None)
        return Shape(kinds.get(innermost or "", "paragraph"), text, blocks, around)

    def _around(self, chain: list[int]) -> list[tuple[str, int]]:
        names = {"li": "li", "blockquote": "quote"}
        return [(names[self.tags[node]], node) for node in chain if self.tags[node] in names]

    def _start_tag(self, node: int) -> str:
        start = int(self.tree.layout.nodes[node, START])
        end = self.tree.html.find(b">", start, start + _TAG_BYTES)
        return self.tree.html[start : max(end, start)].decode("utf-8", "ignore")

    def _language(self, pre: int, place: int) -> str:
        """What the classes of the code's elements call its language."""
        start, end = self.starts[place], self.ends[place]
        above = int(self.tree.layout.nodes[pre, PARENT])
        tags = [
            self.tree.html[start : min(end, start + 300)].decode("utf-8", "ignore").partition(">")[0],
            self._start_tag(pre),
        ]
        for _ in range(2):
            if above > 0:
                tags.append(self._start_tag(above))
                above = int(self.tree.layout.nodes[above, PARENT])
        for tag in tags:
            if (found := _CLASSES.search(tag)) is None:
                continue
            for name in found.group(1).replace("brush: ", "brush:").split():
                if (said := _LANGUAGE.match(name)) and said.group(1).lower() not in _NO_LANGUAGE:
                    return said.group(1).lower()
        return ""


def _are_line_numbers(text: str) -> bool:
    """Whether a piece of code is only the numbers beside the lines of another: each one more than that before."""
    if not _NUMBERS.fullmatch(text):
        return False
    numbers = [int(number) for number in text.split()]
    return all(after == before + 1 for before, after in pairwise(numbers))


def marker_of(tree: PageTree, item: int) -> str:
    """What stands before an item of a list: a number where its list has numbers, else a hyphen."""
    nodes = tree.layout.nodes
    above = int(nodes[item, PARENT])
    if above < 0 or TAGS[nodes[above, NODE_TAG]] != "ol":
        return "- "
    own, first = _number(tree, item), _number(tree, above)
    number = own if own is not None else (1 if first is None else first) + int(nodes[item, INDEX]) - 1
    return f"{max(number, 0)}. "


def _number(tree: PageTree, node: int) -> int | None:
    start = int(tree.layout.nodes[node, START])
    end = tree.html.find(b">", start, start + _TAG_BYTES)
    found = _START_NUMBER.search(tree.html, start, max(end, start))
    return int(found.group(1)) if found else None
