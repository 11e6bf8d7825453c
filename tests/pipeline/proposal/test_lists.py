import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.proposal.text_fields import text_fields
from pipeline.readers.parts.inputs import list_inputs

TEXT = "The harbour of our town was dug by hand, and two hundred men worked on it."
CHAT = [{"role": "user", "content": TEXT}, {"role": "assistant", "content": "Yes."}]
PAGE = {"id": "1", "url": "https://example.org/1", "body": {"value": f"<p>{TEXT}</p>"}}


def fields(folder: Path, name: str, text: str) -> dict[str, str]:
    """What is proposed for a file."""
    (folder / name).write_text(text)
    inputs = list_inputs("s", [str(folder / name)])
    return text_fields(inputs, inputs.files[0])[0]


@pytest.mark.parametrize(
    ("records", "proposed"),
    [
        ([{"key": "1", "messages": CHAT}] * 3, {"messages": "messages", "id": "key"}),
        ([{"talk": json.dumps(CHAT)}] * 3, {"messages": "talk"}),
        ([{"parts": [{"text": TEXT}, {"text": TEXT}]}] * 3, {"text": "parts.text"}),
        ([{"text": TEXT, "messages": CHAT}] * 3, {}),
        ([{"text": TEXT, "meta": {"source_url": "https://a.example/1", "n": 1}}] * 3, {"url": "meta.source_url"}),
        ([{"text": TEXT, "url": "https://a.example/1", "meta": {"source_url": "x"}}] * 3, {}),
        (
            [{"text": TEXT, "meta": {"lang": "en"}}, {"text": TEXT, "meta": {"lang": "German"}}],
            {"language": "meta.lang"},
        ),
        ([{"body": TEXT, "language": "pt-BR"}] * 3, {"text": "body", "language": "language"}),
        ([{"text": TEXT, "language": "Python"}, {"text": TEXT, "language": "en"}], {}),
        ([{"text": TEXT, "lang": None}, {"text": TEXT, "lang": None}, {"text": TEXT, "lang": "en"}], {}),
        ([{"tags": [{"name": "short"}]}] * 3, {}),
        ([{"numbers": [1, 2]}] * 3, {}),
    ],
)
def test_fields_of_json_lines_whose_text_lies_in_lists(
    tmp_path: Path, records: list[dict[str, Any]], proposed: dict[str, str]
) -> None:
    assert fields(tmp_path, "a.jsonl", "".join(json.dumps(record) + "\n" for record in records)) == proposed


def test_fields_of_a_dump_make_a_document_of_each_page(tmp_path: Path) -> None:
    dump = {"space": "ENG", "pages": [PAGE, PAGE]}
    assert fields(tmp_path, "a.json", json.dumps(dump)) == {
        "html": "pages.body.value",
        "id": "pages.id",
        "url": "pages.url",
    }
    plain = {"data": [{"id": "1", "paragraphs": [{"context": TEXT}]}]}
    assert fields(tmp_path, "b.json", json.dumps(plain)) == {"text": "data[].paragraphs.context", "id": "data.id"}
