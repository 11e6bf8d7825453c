"""Short items of evaluation sets: found with words changed, in other spellings, and in the forms that are published."""

import csv
import gzip
import io
import json
import random
import unicodedata
from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.filter.decontamination.build import build_index
from pipeline.filter.decontamination.index import Index
from pipeline.filter.decontamination.short_texts import MOST_WORDS, WORDS_AN_EDIT
from tests.pipeline.filter.helpers import GOOD, make_run, run_filter

WORDS = [f"{a}{b}{c}" for a in "bdfglmnprst" for b in "aeiou" for c in ("n", "rd", "st", "ll", "mp", "ck")]
ITEM = "Marta has twelve jars of honey and gives three of them to her aunt; how many jars remain?"


def words_of(rng: random.Random, count: int) -> list[str]:
    return [rng.choice(WORDS) for _ in range(count)]


def index_of(folder: Path, items: list[str], ngram: int = 13) -> Index:
    path = folder / "set.jsonl"
    path.write_text("\n".join(json.dumps({"question": item}) for item in items), "utf-8")
    return build_index([{"name": "quiz", "fields": [], "id_field": None}], {"quiz": str(path)}, ngram)


def edited(words: list[str], kind: str, places: list[int]) -> str:
    parts = list(words)
    for place in sorted(places, reverse=True):
        put = {"replace": ["indeed"], "insert": ["indeed", parts[place]], "delete": []}[kind]
        parts[place : place + 1] = put
    return " ".join(parts)


@pytest.mark.parametrize("kind", ["replace", "insert", "delete"])
@pytest.mark.parametrize("size", [8, 10, 13, 15, 16, 24, 26, 40, MOST_WORDS])
def test_item_is_found_wherever_its_words_are_changed(tmp_path: Path, size: int, kind: str) -> None:
    rng = random.Random(size)
    items = [words_of(rng, size) for _ in range(25)]
    hosts = [(" ".join(words_of(rng, 60)), " ".join(words_of(rng, 60))) for _ in items]
    index = index_of(tmp_path, [" ".join(item) for item in items])
    most = size // WORDS_AN_EDIT
    for edits in range(1, most + 1):
        changed = [edited(item, kind, rng.sample(range(size), edits)) for item in items]
        found = index.hits([f"{before} {item} {after}" for (before, after), item in zip(hosts, changed, strict=True)])
        assert sum(hit.row == hit.item for hit in found) >= 0.96 * len(items)  # one may lose its rarest words
        assert {hit.item for hit in found if hit.row != hit.item} == set()
        near = next(hit for hit in found if hit.row == hit.item)
        assert (1 - most / size) <= near.overlap <= 1
        assert near.words[0][0] >= 60 - most  # where first words are missing, those before them stand in their place
    assert index.hits([f"{before} {after}" for before, after in hosts]) == []


def test_question_of_one_pattern_is_not_another_one(tmp_path: Path) -> None:
    subjects = [" ".join(words_of(random.Random(k), 1)) + str(k) for k in range(60)]
    items = [f"Which of the following is true of the {subject}?" for subject in subjects[:50]]
    index = index_of(tmp_path, items)
    others = [f"Quiz: which of the following is true of the {subject}? Say so." for subject in subjects[50:]]
    assert index.hits(others) == []
    same = [f"Quiz: which of these following is true of the {subject}? Say so." for subject in subjects[:10]]
    assert [hit.item for hit in index.hits(same)] == list(range(10))


def test_overlap_counts_a_short_text_by_its_share_of_the_item(tmp_path: Path) -> None:
    rng = random.Random(5)
    question, passage = words_of(rng, 16), words_of(rng, 112)
    path = tmp_path / "set.jsonl"
    path.write_text(json.dumps({"question": " ".join(question), "context": " ".join(passage)}))
    index = build_index([{"name": "quiz", "fields": [], "id_field": None}], {"quiz": str(path)}, 13)
    (verbatim,), (near,) = index.hits([" ".join(question)]), index.hits([edited(question, "replace", [7])])
    assert verbatim.overlap == pytest.approx(4 / 104)
    assert near.overlap == pytest.approx(4 / 104 * 15 / 16)


SPELLINGS = {
    "NFD": (ITEM.replace("honey", "miel d'été"), lambda text: unicodedata.normalize("NFD", text)),
    "soft hyphens": (ITEM, lambda text: text.replace("twelve", "twel\u00adve").replace("remain", "re\u00admain")),
    "no-break spaces": (ITEM, lambda text: text.replace(" ", "\u00a0")),
    "cut at line ends": (ITEM, lambda text: text.replace("twelve", "twel-\nve").replace("many", "ma-\n  ny")),
    "zero-width": (ITEM, lambda text: text.replace("honey", "ho\u200bney")),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_item_in_another_spelling_is_the_same_item(tmp_path: Path, spelling: str) -> None:
    """Documents are normalised by the clean stage; words that are cut at line ends stay cut there."""
    text, write = SPELLINGS[spelling]
    assert write(text) != text
    (hit,) = index_of(tmp_path, [write(text)]).hits([f"Before. {text} After."])
    assert hit.overlap == 1.0


def test_words_cut_at_line_ends_in_a_document_are_put_together(tmp_path: Path) -> None:
    rng = random.Random(8)
    long = " ".join(words_of(rng, 60))
    index = index_of(tmp_path, [ITEM, long, "A well-known mill by the upper river has three wheels and a bell"])
    cut = long.replace("st ", "s-\nt ").replace("rd ", "-\nrd ")
    texts = [
        f"Früher \u2013 well-\nknown. {ITEM.replace('twelve', 'twel-' + chr(10) + 've')} End.",
        f"{GOOD} {cut} {GOOD}",
        "It says: a well-\nknown mill by the upper river has three wheels and a bell.",
    ]
    spans = index.columns(index_texts(texts))[2].to_pylist()
    found = {hit.row: hit for hit in index.hits(texts)}
    assert [found[row].overlap for row in range(3)] == [1.0, 1.0, 1.0]
    raw = texts[0].encode()
    assert raw[spans[0][0] : spans[0][1]].decode() == ITEM.rstrip("?").replace("twelve", "twel-\nve") + "?"
    assert texts[1].encode()[spans[1][0] : spans[1][1]].decode().replace("-\n", "") == long


def index_texts(texts: list[str]):
    import pyarrow as pa

    return pa.array(texts, pa.large_string())


def test_scripts_without_spaces_ask_for_twice_as_many_characters(tmp_path: Path) -> None:
    short, long = "水車小屋の鐘は朝に鳴る", "川の上流にある古い水車小屋では毎朝三つの鐘が鳴らされる"
    index = index_of(tmp_path, [short, long])
    assert [hit.item for hit in index.hits([f"前に{short}後に"])] == [0]
    assert index.hits([f"前に{short.replace('朝', '夜')}後に"]) == []
    assert [hit.item for hit in index.hits([f"前に{long.replace('古', '新')}後に"])] == [1]


QUESTION = "Why do the wheels of the mill on the upper river stand still in winter?"
ROW = [QUESTION, "ice", "the law", "no corn", "no miller", "A"]


def as_csv(rows: list[list[str]]) -> bytes:
    sink = io.StringIO()
    csv.writer(sink).writerows(rows)
    return sink.getvalue().encode()


def as_lines(*rows: object) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


SQUAD = {"title": "Mill", "paragraphs": [{"context": "short", "qas": [{"id": "q", "question": QUESTION}]}]}
PUBLISHED = {
    "mmlu_test.csv": as_csv([ROW, [QUESTION.replace("Why", "When"), *ROW[1:5], "C"]]),
    "mmlu_long_test.csv": as_csv([[QUESTION * 4, *ROW[1:]], ROW]),
    "mmlu_header.csv": as_csv([["question", "A", "B", "C", "D", "answer"], ROW]),
    "squad.json": json.dumps({"version": "1.1", "data": [SQUAD]}).encode(),
    "gsm8k.jsonl": as_lines({"question": QUESTION, "answer": "Ice. #### 1"}),
    "HumanEval.jsonl.gz": gzip.compress(
        as_lines({"task_id": "HumanEval/0", "prompt": f'def f(x):\n    """{QUESTION}"""\n', "test": "assert f"})
    ),
    "ARC-Easy-Test.jsonl": as_lines(
        {"id": "M1", "question": {"stem": QUESTION, "choices": [{"text": "ice", "label": "A"}]}, "answerKey": "A"}
    ),
    "hellaswag_val.jsonl": as_lines({"ind": 4, "ctx_a": QUESTION, "ctx_b": "", "ctx": QUESTION, "endings": ["a", "b"]}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_sets_are_read_in_the_form_in_which_they_are_published(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(PUBLISHED[name])
    index = build_index([{"name": "quiz", "fields": [], "id_field": None}], {"quiz": str(tmp_path / name)}, 13)
    hits = index.hits([f"A page. {QUESTION} The end.", GOOD])
    assert {hit.row for hit in hits} == {0}
    assert max(hit.overlap for hit in hits) > 0.2


def test_table_without_names_of_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_bytes(as_csv([["1", QUESTION, "2.5"], ["2", QUESTION, "3.5"]]))
    with pytest.raises(UserError, match="none of the usual fields; name its fields with text, of col_0, col_1, col_2"):
        build_index([{"name": "quiz", "fields": [], "id_field": None}], {"quiz": str(tmp_path / "set.csv")}, 13)


def test_run_says_what_of_a_set_is_too_short(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_bytes(as_lines({"question": "Who?"}, {"question": ITEM}))
    options = 'rules = []\ndecontamination = { sets = [{ name = "quiz", path = "set.jsonl" }] }'
    context = make_run(tmp_path, {"00000": [{"text": f"{GOOD} {ITEM.replace('honey', 'jam')} {GOOD}"}]}, options)
    summary = run_filter(context)
    assert summary["evaluation_sets"] == {"quiz": {"items": 2, "out_of_reach": 1}}
    (note,) = summary["notes"]
    assert note == "evaluation set quiz: 1 of 2 items not looked for: fewer than 8 words in each field"
    assert summary["reasons"] == {"decontamination.quiz": 1}
