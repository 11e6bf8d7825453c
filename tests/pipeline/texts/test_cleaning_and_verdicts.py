"""Texts in memory are cleaned and judged as the stages of a run do it."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.base.errors import UserError
from pipeline.recipe.load import load_recipe
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.rows import shard_names
from pipeline.run.table_files import read_table
from pipeline.run.tables import DOCUMENTS, SIGNALS, VERDICTS
from pipeline.texts.cleaning import CleanText, clean
from pipeline.texts.verdicts import verdict
from tests.pipeline.lineage.conftest import run_stages, write_inputs

MORE = """
decontamination = { action = "cut", max_overlap = 0.5, sets = [{ name = "quiz", path = "FOLDER/set.jsonl" }] }
rules = ["gopher_repetition", "fineweb", "datatrove.pipeline.filters.GopherQualityFilter"]
[filter.classifiers.quality]
positive = ["source=prose"]
negative = ["source=web"]
min_score = 0.5
epochs = 30
learning_rate = 0.5
dimension = 8
[filter.length]
min_characters = 757
[filter.url]
deny_domains = ["twin.example.com"]
[filter.datatrove."datatrove.pipeline.filters.GopherQualityFilter"]
min_doc_words = 60
min_stop_words = 0
"""


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Run:
    """A run with every kind of rule, of texts with personal data and invisible characters among them."""
    folder = tmp_path_factory.mktemp("texts")
    recipe = write_inputs(folder, sample)
    path = folder / "raw/prose.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records[::3]:
        record["text"] = f"\ufeffMail to bob.{len(record['text'])}@corp.de\r\n{record['text']}"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    item = " ".join(max((record["text"] for record in records), key=len).split()[40:60])
    (folder / "set.jsonl").write_text(json.dumps({"question": item}) + "\n")
    text = (
        recipe.read_text()
        .replace('pii = "off"', 'pii = "replace"')
        .replace('["clean", "dedup", "filter", "tokenize"]', '["clean", "filter"]')
    )
    head, _, tail = text.partition('rules = ["gopher_repetition"]\n')
    recipe.write_text(head + MORE.replace("FOLDER", str(folder)) + tail)
    run_stages(Run(str(folder / "run"), load_recipe(recipe)))
    return Run.open(folder / "run")


def tables(run: Run) -> list[dict[str, Any]]:
    """Rows of documents/ with signals and verdicts, and the text that each was made from."""
    raw = [
        json.loads(line)
        for name in ("prose", "web")
        for line in (Path(run.root).parent / f"raw/{name}.jsonl").read_text().splitlines()
    ]
    rows = []
    for shard in shard_names(run):
        parts = [(layout.documents(shard), DOCUMENTS), (layout.signals(shard), SIGNALS)]
        parts.append((layout.verdicts("filter", shard), VERDICTS))
        read = [read_table(run.local(path), table).to_pylist() for path, table in parts]
        rows += [{**document, "signals": signals, **judged} for document, signals, judged in zip(*read, strict=True)]
    return [{**row, "raw": record} for row, record in zip(rows, raw, strict=True)]


def test_texts_are_cleaned_as_the_stage_has_done_it(judged: Run) -> None:
    rows = tables(judged)
    found = clean([row["raw"]["text"] for row in rows], judged.recipe)
    assert [text.text for text in found] == [row["text"] for row in rows]
    assert [text.language for text in found] == [row["language"] for row in rows]
    assert pa.array([text.language_score for text in found], pa.float32()).to_pylist() == [
        row["language_score"] for row in rows
    ]
    assert [text.pii.get("email", 0) for text in found] == [row["pii_email"] for row in rows]
    assert sum(text.pii.get("email", 0) for text in found) > 10


def test_verdicts_reasons_and_signals_are_those_of_the_run(judged: Run) -> None:
    rows = tables(judged)
    found = verdict(
        [row["raw"]["text"] for row in rows],
        judged,
        url=[row["raw"]["url"] for row in rows],
        licence=[row["raw"].get("licence") for row in rows],
    )
    assert [one.keep for one in found] == [row["keep"] for row in rows]
    assert [one.reasons for one in found] == [row["reasons"] for row in rows]
    for one, row in zip(found, rows, strict=True):
        assert one.signals == {name: value for name, value in row["signals"].items() if name != "doc_id"}
    reasons = {reason.partition(".")[0] for row in rows for reason in row["reasons"]}
    assert reasons >= {"length", "url", "classifier", "GopherQualityFilter"}, reasons
    cut = [one for one in found if one.keep and one.text != one.document.text]
    assert len(cut) == sum(bool(row["cut_spans"]) for row in rows) > 0


def test_rules_say_value_and_threshold() -> None:
    one = verdict("Buy milk.", rules=["gopher_quality"], gopher_quality={"min_words": 3})
    (words,) = [rule for rule in one.rules if rule["rule"] == "gopher_quality.min_words"]
    assert words == {
        **{"rule": "gopher_quality.min_words", "signal": "word_count", "value": 2, "bound": "min"},
        **{"threshold": 3, "failed": True},
    }
    assert not one.keep
    assert one.text == ""


def test_broken_characters_are_judged() -> None:
    texts = ["The mill \ufffd\ufffd stands still in winter.", "The mill stands still in winter."]
    broken, whole = verdict(texts, rules=[], min_language_score=0, max_replaced_share=0.02)
    assert (broken.reasons, whole.reasons) == (["text.max_replaced_share"], [])
    (rule,) = [rule for rule in broken.rules if rule["rule"] == "text.max_replaced_share"]
    assert rule["value"] == pytest.approx(2 / len(texts[0]))


def test_recipe_file_and_several_texts_are_taken(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(
        '[[sources]]\nname = "s"\npaths = ["x"]\n[clean]\npii = "off"\n[filter]\nrules = []\nmin_language_score = 0.0\n'
    )
    found = verdict(["bob@corp.de", " "], tmp_path / "r.toml")
    assert [(one.keep, one.reasons, one.text) for one in found] == [
        (True, [], "bob@corp.de"),
        (False, ["clean.empty"], ""),
    ]


def test_stated_language_and_url_lists_count() -> None:
    assert clean("Hallo Welt", language="German") == CleanText("Hallo Welt", "de", None, {})
    found = clean(["a page", "a page"], url=["https://bad.example.org/x", None], url_block=["example.org"])
    assert [text.excluded for text in found] == ["url_list", None]


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown rule set 'goper'; there are gopher_quality, "):
        verdict("a", rules=["goper"])
    with pytest.raises(UserError, match=r"filter\.min_wrds: unknown key"):
        verdict("a", min_wrds=3)
    with pytest.raises(UserError, match="no such file"):
        verdict("a", tmp_path / "no.toml")
    with pytest.raises(UserError, match="2 values for 1 texts"):
        verdict(["a"], url=["b", "c"])
    with pytest.raises(UserError, match="a recipe and pii: give the one or the other"):
        clean("a", tmp_path / "no.toml", pii="off")
    with pytest.raises(UserError, match="is trained from the documents of a run"):
        verdict("a", classifiers={"quality": {"positive": ["source=a"], "negative": ["source=b"]}})
