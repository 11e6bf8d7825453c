"""Jupyter notebooks: the text of their cells, code between fences, without outputs."""

from typing import Any

import orjson

from pipeline.readers.works.package import PaperError


def notebook_text(data: bytes) -> str:
    """The cells in order.

    Raises:
        PaperError: If it is no notebook.
    """
    try:
        value = orjson.loads(data)
    except ValueError as error:
        raise PaperError(f"no JSON: {error}") from error
    cells = _cells(value)
    if cells is None:
        raise PaperError("no list of cells in it")
    language = _language(value)
    return "\n\n".join(text for cell in cells if (text := _cell(cell, language)))


def _cells(value: Any) -> list[Any] | None:
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("cells"), list):
        return list(value["cells"])
    sheets = value.get("worksheets")  # notebooks of before 2015
    if not isinstance(sheets, list):
        return None
    return [cell for sheet in sheets if isinstance(sheet, dict) for cell in sheet.get("cells") or ()]


def _language(value: dict[str, Any]) -> str:
    metadata = value.get("metadata")
    info = metadata.get("language_info") if isinstance(metadata, dict) else None
    name = info.get("name") if isinstance(info, dict) else None
    return name if isinstance(name, str) else "python"


def _cell(cell: Any, language: str) -> str:
    if not isinstance(cell, dict):
        return ""
    source = cell.get("source", cell.get("input", ""))
    text = "".join(map(str, source)) if isinstance(source, list) else str(source or "")
    text = text.strip("\n")
    if not text.strip():
        return ""
    return f"```{language}\n{text}\n```" if cell.get("cell_type") == "code" else text
