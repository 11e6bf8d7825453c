"""The summary as a Word document, through python-docx (extra ``docx``): fields in tables, as the template has them."""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.base.words import visible
from pipeline.disclosure.page import Block, Choice, Field, Open, Said, Summary, Table

LABEL_CM, BLOCKS_CM = 5.5, 11.5  # of A4 with margins of 2 cm
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def write_docx(summary: Summary, path: Path) -> None:
    """Writes the document."""
    import docx
    from docx.shared import Cm

    document = docx.Document()
    document.core_properties.title, document.core_properties.author = summary.title, ""
    document.core_properties.comments = ""  # of python-docx's own template
    page = document.sections[0]
    page.page_width, page.page_height = Cm(21.0), Cm(29.7)
    page.left_margin = page.right_margin = page.top_margin = page.bottom_margin = Cm(2.0)
    document.add_heading(_text(summary.title), 0)
    document.add_paragraph(style="Intense Quote").add_run(_text(summary.note))
    for section in summary.sections:
        if section.title:
            document.add_heading(_text(section.title), section.level)
        if section.fields:
            _fields(document, section.fields)
    packed = io.BytesIO()  # a disk that is full ends in one error here; the archive would tell of it once more
    document.save(packed)
    path.write_bytes(packed.getvalue())


def _fields(document: Any, fields: tuple[Field, ...]) -> None:
    """A table with a row for each field: its label, and what stands there."""
    table = document.add_table(rows=0, cols=2, style="Table Grid")
    _set_widths(table, (LABEL_CM, BLOCKS_CM))
    for found in fields:
        cells = table.add_row().cells
        cells[0].paragraphs[0].add_run(_text(found.label)).bold = True
        for number, block in enumerate(found.blocks):
            _block(cells[1], block, first=number == 0)
    document.add_paragraph()


def _block(cell: Any, block: Block, *, first: bool) -> None:
    if isinstance(block, Table):
        _table(cell, block, first=first)
        return
    paragraph = cell.paragraphs[0] if first else cell.add_paragraph()
    match block:
        case Said(text):
            paragraph.add_run(_text(text))
        case Open(text):
            from docx.enum.text import WD_COLOR_INDEX

            run = paragraph.add_run(f"[TO WRITE: {_text(text)}]")
            run.bold, run.font.highlight_color = True, WD_COLOR_INDEX.YELLOW
        case Choice(boxes):
            paragraph.add_run("   ".join(f"{'☒' if chosen else '☐'} {_text(name)}" for name, chosen in boxes))


def _table(cell: Any, block: Table, *, first: bool) -> None:
    """A table within a field; Word wants a paragraph after it, which python-docx adds."""
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.shared import Pt

    table = cell.add_table(rows=0, cols=len(block.head))
    table.style = "Table Grid"
    _set_widths(table, _widths(block))
    for number, row in enumerate((block.head, *block.rows)):
        for column, (place, text) in enumerate(zip(table.add_row().cells, row, strict=True)):
            run = place.paragraphs[0].add_run(_text(text))
            run.font.size, run.bold = Pt(8), number == 0
            if column in block.numbers:
                place.paragraphs[0].alignment = WD_ALIGN_PARAGRAPH.RIGHT
    if first:  # the empty paragraph that every cell begins with stands above the table
        begin = cell.paragraphs[0]._element
        begin.getparent().remove(begin)


def _set_widths(table: Any, widths_cm: Sequence[float]) -> None:
    """Fixes the widths of the columns; rows that are added later take them over."""
    from docx.shared import Cm

    table.autofit = False
    for column, width in zip(table.columns, widths_cm, strict=True):
        column.width = Cm(width)


def _widths(block: Table) -> list[float]:
    """Widths of a table's columns, in cm, by their longest text; a column of words takes no more than 40 characters."""
    longest = [max(9, *(min(40, len(row[n])) for row in (block.head, *block.rows))) for n in range(len(block.head))]
    return [(BLOCKS_CM - 0.5) * length / sum(longest) for length in longest]


def _text(text: str) -> str:
    """Text that XML can hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", visible(text))
