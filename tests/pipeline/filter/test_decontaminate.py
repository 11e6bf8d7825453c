import json
import random
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import UserError
from pipeline.filter.decontaminate import build_index, cut_spans
from pipeline.filter.evaluation_sets import data_files, read_items
from pipeline.filter.scan import scan
from pipeline.tables import SIGNALS, VERDICTS, read_table
from tests.pipeline.filter.helpers import make_run, run_filter
from tests.pipeline.filter.test_rules import GOOD

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
    overlap, found, _ = index.columns(pa.array(planted, pa.large_string()))
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
    assert cut_spans(text, spans) == "Früher stand 漢字 hier:  Und später das."


def test_overlap_columns_and_reason_of_a_run_and_a_later_scan(tmp_path: Path) -> None:
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
    with pytest.raises(UserError, match="not a Parquet file"):
        list(read_items("quiz", data_files(str(tmp_path / "set.parquet")), [], None))


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
