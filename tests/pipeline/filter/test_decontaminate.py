import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
import zstandard
from tokenizers import Tokenizer

from pipeline.base.errors import UserError
from pipeline.filter.decontamination.build import build_index
from pipeline.filter.decontamination.evaluation_sets import data_files, read_items
from pipeline.filter.decontamination.scan import scan
from pipeline.filter.rules.cuts import cut_text, moved
from pipeline.filter.whatif import what_if
from pipeline.lineage.explain import as_text, explain
from pipeline.lookup.locate import Located
from pipeline.run.table_files import read_table
from pipeline.run.tables import SIGNALS, TOKENS, VERDICTS
from pipeline.tokens import stage as tokens_stage
from tests.pipeline.filter.helpers import GOOD, make_run, run_filter

WORDS = [f"{a}{b}{c}" for a in "bdfglmnprst" for b in "aeiou" for c in ("n", "rd", "st", "ll", "mp", "ck")]


def prose(rng: random.Random, words: int) -> str:
    return " ".join(rng.choice(WORDS) + rng.choice(["", "", "", ",", "."]) for _ in range(words))


def index_of(folder: Path, items: list[dict], **options):
    path = folder / "set.jsonl"
    path.write_text("\n".join(json.dumps(item) for item in items))
    evaluation = {"name": "quiz", "fields": [], "id_field": None, **options}
    return build_index([evaluation], {"quiz": str(path)}, 13)


def test_a_planted_item_inside_a_long_document_is_found_and_clean_text_is_not(tmp_path: Path) -> None:
    rng = random.Random(1)
    items = [prose(rng, rng.randrange(8, 60)) for _ in range(300)]
    hosts = [prose(rng, 2000) for _ in range(300)]
    index = index_of(tmp_path, [{"question": item} for item in items])
    planted = [
        host[:5000] + "\n" + item.upper().replace(",", " --") + "\n" + host[5000:]
        for host, item in zip(hosts, items, strict=True)
    ]
    overlap, found, *_ = index.columns(pa.array(planted, pa.large_string()))
    recall = sum(value == 1.0 for value in overlap.to_pylist()) / len(items)
    assert recall >= 0.95
    assert found[7].as_py() == "set.jsonl:7"
    clean = index.columns(pa.array(hosts, pa.large_string()))[0].to_pylist()
    assert sum(value > 0 for value in clean) == 0  # false-positive rate on clean text


def test_part_of_an_item_gives_its_share(tmp_path: Path) -> None:
    words = prose(random.Random(2), 40).replace(".", "").replace(",", "").split()
    index = index_of(tmp_path, [{"question": " ".join(words), "answer": "no"}])
    text = "before it " + " ".join(words[:20]) + " and after it"
    (hit,) = index.hits([text])
    assert hit.overlap == pytest.approx(8 / 28)
    assert hit.words == [(2, 22)]


def test_cut_takes_out_just_the_shared_words(tmp_path: Path) -> None:
    item = prose(random.Random(3), 30).strip(".,")
    index = index_of(tmp_path, [{"question": item}])
    text = f"Früher stand 漢字 hier: {item} Und später das."
    spans = index.columns(pa.array([text], pa.large_string()))[2][0].as_py()
    assert cut_text(text, spans) == "Früher stand 漢字 hier:  Und später das."


def test_overlap_columns_and_reason_of_a_run_and_a_later_scan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    item = prose(random.Random(4), 30)
    (tmp_path / "set.jsonl").write_text(json.dumps({"question": item}) + "\n")
    rows = [{"text": f"{GOOD} {item} {GOOD}"}, {"text": GOOD}]
    options = 'rules = []\ndecontamination = { sets = [{ name = "quiz", path = "set.jsonl" }] }'
    context = make_run(tmp_path, {"00000": rows}, options)
    summary = run_filter(context)
    signals = read_table(context.run.local("signals/00000.arrow"), SIGNALS)
    assert signals["quiz_overlap"].to_pylist() == [1.0, 0.0]
    assert signals["quiz_item"].to_pylist() == ["set.jsonl:0", None]
    verdicts = read_table(context.run.local("verdicts/filter/00000.arrow"), VERDICTS)
    assert verdicts["reasons"].to_pylist() == [["decontamination.quiz"], []]
    assert summary["reasons"] == {"decontamination.quiz": 1}
    result = scan(context.root, {"later": str(tmp_path / "set.jsonl")}, [], 13)
    assert (result["documents"], result["documents_touched"]) == (2, 1)
    (hit,) = result["hits"]
    assert rows[0]["text"].encode()[hit["start"] : hit["end"]].decode().strip(".") == item.strip(".,")
    capsys.readouterr()
    (tmp_path / "short.jsonl").write_text('{"question": "one two three"}\n' + json.dumps({"question": item}) + "\n")
    scan(context.root, {"later": str(tmp_path / "short.jsonl")}, [], 13)
    said = capsys.readouterr().err
    assert "evaluation set later: 1 of 2 items not looked for: fewer than 8 words in each field" in said
    with pytest.raises(UserError, match="--ngram 0: expected 4 to 50"):
        scan(context.root, {"later": str(tmp_path / "set.jsonl")}, [], 0)


SET = 'sets = [{ name = "quiz", path = "set.jsonl" }]'
CUT = f'rules = []\ndecontamination = {{ action = "cut", max_overlap = 0.5, {SET} }}'
SMALL = "[tokenize]\nvocabulary_size = 300\nvalidation_share = 0.0"


def test_cut_keeps_the_document_and_takes_the_span_out_of_its_tokens(tmp_path: Path) -> None:
    """documents/ stays whole; tokens, the tokenizer, explain and a later scan see the text without the item."""
    rng = random.Random(5)
    item, other = prose(rng, 30).rstrip(".,"), prose(rng, 40)
    (tmp_path / "set.jsonl").write_text("".join(json.dumps({"question": text}) + "\n" for text in (item, other)))
    some = " ".join(other.split()[:15])  # 3 of 28 n-grams: below max_overlap
    rows = [
        {"text": f"Früher 漢字 {GOOD} {item} {GOOD} {item} Ende."},
        {"text": f"{GOOD} {some} 2"},
        {"text": f"{GOOD} 3"},
        {"text": f"Quiz: {item}"},
    ]
    context = make_run(tmp_path, {"00000": rows}, CUT, tokenize=SMALL)
    summary = run_filter(context)
    assert (summary["kept"], summary["cut"], summary["dropped"]) == (3, 1, 1)
    verdicts = read_table(context.run.local("verdicts/filter/00000.arrow"), VERDICTS).to_pylist()
    assert [row["keep"] for row in verdicts] == [True, True, True, False]
    assert verdicts[3]["reasons"] == ["decontamination.quiz"], "little but the item: nothing worth keeping is left"
    assert [bool(row["cut_spans"]) for row in verdicts] == [True, False, False, False]
    tokens_stage.run(context)
    tokenizer = Tokenizer.from_file(str(context.run.local("tokenizer/tokenizer.json")))
    table = read_table(context.run.local("tokens/train/00000.arrow"), TOKENS)
    texts = {row["doc_id"]: tokenizer.decode(row["tokens"][:-1]) for row in table.to_pylist()}
    first = verdicts[0]["doc_id"]
    assert texts[first] == f"Früher 漢字 {GOOD}  {GOOD}  Ende."
    assert texts[verdicts[1]["doc_id"]] == rows[1]["text"]

    later, *more = scan(context.root, {"again": str(tmp_path / "set.jsonl")}, [], 13)["hits"]
    assert later["doc_id"] == first.hex()
    assert later["token_start"] == later["token_end"], "what was cut has no tokens"
    touched = next(hit for hit in more if hit["doc_id"] == verdicts[1]["doc_id"].hex())
    ids = table["tokens"][touched["token_row"]].as_py()[touched["token_start"] : touched["token_end"]]
    assert tokenizer.decode(ids).strip().strip(".,") == some.strip(".,")
    located = Located(first, "00000", 0)
    assert "cut out" in as_text(explain(context.run, located))


def test_what_if_counts_cuts_and_tokens_without_them(tmp_path: Path) -> None:
    item = prose(random.Random(6), 30)
    (tmp_path / "set.jsonl").write_text(json.dumps({"question": item}) + "\n")
    context = make_run(tmp_path, {"00000": [{"text": f"{GOOD} {item}"}, {"text": GOOD}]}, CUT)
    run_filter(context)
    found = what_if(context.root, ["filter.decontamination.max_overlap=1.0"])
    assert (found["before"]["cut"], found["after"]["cut"]) == (1, 0)
    assert found["after"]["tokens_estimated"] > found["before"]["tokens_estimated"]
    found = what_if(context.root, ["filter.decontamination.action=drop"])
    assert (found["after"]["dropped"], found["after"]["cut"]) == (1, 0)


def test_offsets_move_by_what_was_cut_before_them() -> None:
    spans = [2, 4, 10, 13]
    assert [moved(at, spans) for at in (0, 2, 3, 4, 9, 10, 12, 13, 20)] == [0, 2, 2, 2, 7, 8, 8, 8, 15]
    text = "äb" + "x" * 20
    assert cut_text(text, [2, 3]) == "ä" + "x" * 20


def test_set_without_the_named_field_says_which_it_has(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no field 'prompt'; it has q, a"):
        index_of(tmp_path, [{"q": "x", "a": "y"}], fields=["prompt"])
    with pytest.raises(UserError, match="none of the usual fields"):
        index_of(tmp_path, [{"q": "x", "a": "y"}])
    with pytest.raises(UserError, match="has no field 'key'"):
        index_of(tmp_path, [{"question": "x"}], id_field="key")


def test_damaged_set_is_named(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_text('{"question": "a"}\n{oops\n')
    with pytest.raises(UserError, match=r"set\.jsonl, line 2 is not JSON"):
        list(read_items("quiz", data_files(str(tmp_path / "set.jsonl")), [], None))
    (tmp_path / "set.parquet").write_text("no")
    with pytest.raises(UserError, match=r"set\.parquet cannot be read: corrupt_file"):
        list(read_items("quiz", data_files(str(tmp_path / "set.parquet")), [], None))


PASSAGES = [
    "Seven brothers kept the ferry on the upper river for a long time",
    "The keel of a medieval barge lay below",
]
QUESTIONS = [
    "Who kept the ferry on the upper river for three generations?",
    "What lay below the millstones of the canal?",
]
ARTICLES = [
    {"title": f"T{n}", "paragraphs": [{"context": PASSAGES[n], "qas": [{"id": "q", "question": QUESTIONS[n]}]}]}
    for n in range(2)
]
PUBLISHED = {
    "squad": ({"version": "1.1", "data": ARTICLES}, [*PASSAGES, *QUESTIONS]),
    "articles": (ARTICLES, [PASSAGES[0], QUESTIONS[0], PASSAGES[1], QUESTIONS[1]]),
    "bigbench": ({"name": "t", "canary": "x", "examples": [{"input": p, "target": "y"} for p in PASSAGES]}, PASSAGES),
    "by-key": ({str(n): {"prompt": text} for n, text in enumerate(PASSAGES)}, PASSAGES),
    "columns": ({"prompt": {str(n): text for n, text in enumerate(PASSAGES)}}, PASSAGES),
    "lists": ({"prompt": PASSAGES, "answer": ["a", "b"]}, PASSAGES),
    "flat": ([{"context": text} for text in PASSAGES], PASSAGES),
    "strings": (PASSAGES, PASSAGES),
    "stem": (
        [{"answerKey": "A", "id": "1", "question": {"stem": PASSAGES[0], "choices": [{"label": "A"}]}}],
        PASSAGES[:1],
    ),
}


def texts_of(path: Path) -> list[str]:
    return [text for _, texts in read_items("quiz", data_files(str(path)), [], None) for text in texts]


@pytest.mark.parametrize("form", PUBLISHED)
def test_items_are_found_in_the_forms_in_which_sets_are_published(tmp_path: Path, form: str) -> None:
    value, texts = PUBLISHED[form]
    (tmp_path / "set.json").write_text(json.dumps(value))
    assert texts_of(tmp_path / "set.json") == texts
    ids = [item for item, _ in read_items("quiz", data_files(str(tmp_path / "set.json")), [], None)]
    assert len(set(ids)) == len(ids)


def test_named_fields_are_looked_for_inside_too(tmp_path: Path) -> None:
    (tmp_path / "set.json").write_text(json.dumps(PUBLISHED["squad"][0]))
    files = data_files(str(tmp_path / "set.json"))
    assert [texts for _, texts in read_items("quiz", files, ["context"], None)] == [[text] for text in PASSAGES]
    with pytest.raises(UserError, match="has no field 'answers'; it has version, data"):
        list(read_items("quiz", files, ["answers"], None))


def test_set_of_which_nothing_can_be_looked_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"quiz: none of 2 items \(set\.jsonl:0\) can be looked for: fewer than 8 words"
    ):
        index_of(tmp_path, [{"question": "too short"}, {"question": "this one too"}])
    with pytest.raises(UserError, match="quiz: its files hold no item"):
        index_of(tmp_path, [])


@pytest.mark.parametrize("mark", [" ", "\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c"])
def test_line_of_a_set_ends_at_a_line_feed_alone(tmp_path: Path, mark: str) -> None:
    item = f"Seven brothers kept the ferry{mark}and never asked for money"
    (tmp_path / "set.txt").write_text(f"{item}\r\nAnother line\n", encoding="utf-8", newline="")
    assert texts_of(tmp_path / "set.txt") == [item, "Another line"]
    (tmp_path / "set.jsonl").write_text(json.dumps({"question": item}, ensure_ascii=False) + "\n", encoding="utf-8")
    assert texts_of(tmp_path / "set.jsonl") == [item]


def test_set_is_read_in_its_encoding_format_and_compression(tmp_path: Path) -> None:
    row = {"question": PASSAGES[0]}
    line = json.dumps(row).encode()
    table = f"id,question\n1,{PASSAGES[0]}\n".encode()
    files = {
        **{"a.jsonl": b"\xef\xbb\xbf" + line, "b.txt": (PASSAGES[0] + "\n").encode("utf-16"), "c.csv": table},
        **{"d.json.gz": gzip.compress(line), "e.jsonl.zst": zstandard.ZstdCompressor().compress(line)},
        **{"f.jsonl": PASSAGES[0].join(['{"question": "', '"}']).encode("utf-16"), "README.md": b"about the set"},
        **{"g.tsv": table.replace(b",", b"\t")},
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "h.parquet")
    feather.write_feather(pa.Table.from_pylist([row]), tmp_path / "i.arrow")
    assert list(data_files(str(tmp_path))) == [*sorted(files.keys() - {"README.md"}), "h.parquet", "i.arrow"]
    assert texts_of(tmp_path) == [PASSAGES[0]] * 9
    (tmp_path / "e.jsonl.zst").write_bytes(files["e.jsonl.zst"][:-9])
    with pytest.raises(UserError, match=r"e\.jsonl\.zst is damaged: truncated"):
        texts_of(tmp_path)


def test_lm_eval_task_file_names_its_data_and_fields(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text('{"stem": "what is it", "gold": "that", "note": "n"}\n')
    (tmp_path / "task.yaml").write_text(
        "task: t\ndataset_kwargs:\n  data_files: {test: items.jsonl}\n"
        'doc_to_text: "Q: {{stem}}"\ndoc_to_target: "{{ gold }}"\nprocess_docs: !function utils.f\n'
    )
    files = data_files(str(tmp_path / "task.yaml"))
    assert list(read_items("t", files, [], None)) == [("items.jsonl:0", ["what is it", "that"])]
    (tmp_path / "remote.yaml").write_text("task: t\ndataset_path: some/where\n")
    with pytest.raises(UserError, match="names no data on this disk"):
        data_files(str(tmp_path / "remote.yaml"))
