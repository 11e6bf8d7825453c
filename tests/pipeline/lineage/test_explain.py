import json
import re
import shutil
from pathlib import Path

import pytest

from flows.cli.app import main
from flows.cli.questions import lineage as cli
from pipeline.base.errors import RunError, UserError
from pipeline.base.pool import Pool
from pipeline.clean.stage import run as clean
from pipeline.lineage.explain import as_text, explain
from pipeline.lineage.trace import trace
from pipeline.lineage.training import Training
from pipeline.lookup.locate import DocIndex, Located, one_by_key
from pipeline.lookup.near_text import by_text
from pipeline.recipe.load import load_recipe
from pipeline.run.context import Context
from pipeline.run.folder import Run
from tests.pipeline.lineage.conftest import STEPS_DONE
from tests.pipeline.lineage.helpers import documents


def trained(run: Run) -> Located:
    """A document that some step has read."""
    training, index = Training(run), DocIndex(run)
    doc_id = training.dataset.documents(3, training.sequences)[0]
    return index.find(doc_id)


def found_document(run: Run, row: dict[str, object]) -> Located:
    """Where a document of the run stands."""
    return DocIndex(run).find(row["doc_id"].hex())  # type: ignore[attr-defined]


def test_every_document_is_found_by_its_doc_id_and_by_a_prefix(run: Run) -> None:
    index, rows = DocIndex(run), documents(run)
    assert len(rows) == 123
    for row in rows:
        name = row["doc_id"].hex()  # type: ignore[attr-defined]
        assert index.find(name) == index.find(name[:12]) == Located(row["doc_id"], row["shard"], row["row"])  # type: ignore[arg-type]


def test_document_is_found_by_url_id_and_text(run: Run, tmp_path: Path) -> None:
    row = documents(run)[7]
    expected = Located(row["doc_id"], row["shard"], row["row"])  # type: ignore[arg-type]
    assert one_by_key(run, "url", str(row["url"])) == expected
    assert one_by_key(run, "id", str(row["id"])) == expected
    (tmp_path / "same.txt").write_text(str(row["text"]))
    assert by_text(run, tmp_path / "same.txt") == (expected, 1.0)
    (tmp_path / "near.txt").write_text(str(row["text"]) + " One word more.")
    found, similarity = by_text(run, tmp_path / "near.txt")
    assert found == expected
    assert 0.7 < similarity < 1.0


def test_url_and_id_are_found_without_the_key_index(run: Run) -> None:
    row = documents(run)[7]
    Path(run.url("index/keys.arrow")).unlink()
    Path(run.url("index/doc_id.arrow")).unlink()
    assert one_by_key(run, "url", str(row["url"])).row == row["row"]
    assert DocIndex(run).find(row["doc_id"].hex()).row == row["row"]  # type: ignore[attr-defined]


def test_steps_and_tokens_equal_a_replay_of_the_whole_order(run: Run) -> None:
    training, located = Training(run), trained(run)
    replayed: dict[int, int] = {}
    for step in range(STEPS_DONE):
        for position in range(step * training.sequences, (step + 1) * training.sequences):
            for part in training.window_parts(position):
                if part.doc_id == located.doc_id:
                    replayed[step] = replayed.get(step, 0) + part.stop - max(part.start, 1)
    found = explain(run, located)["training"]
    assert len(replayed) >= 1
    assert found["steps"] == sorted(replayed)
    assert found["tokens"] == sum(replayed.values())


def test_removed_twin_shows_what_was_kept_in_its_place(run: Run) -> None:
    found = explain(run, one_by_key(run, "id", "exact twin"))
    twin = found["duplicates"]["kept_twin"]
    assert twin["rule"] == "exact"
    assert twin["similarity"] == 1.0
    assert found["verdicts"][0]["keep"] is False
    assert found["tokens"] is None
    kept = explain(run, DocIndex(run).find(twin["kept_id"]))
    assert (twin["kept_path"], twin["kept_offset"]) == (kept["record"]["path"], kept["record"]["offset"])
    assert f"kept in its place: {twin['kept_id']}, web.jsonl at {twin['kept_offset']:,} (web)" in as_text(found)
    assert {other["path"] for other in kept["duplicates"]["removed_in_its_favour"]} == {"web.jsonl"}
    assert kept["duplicates"]["removed_twins"] == 2
    assert "removed in its favour" in as_text(kept)


def test_signals_stand_next_to_their_thresholds(run: Run) -> None:
    found = explain(run, trained(run))
    rule = next(rule for rule in found["rules"] if rule["rule"] == "gopher_repetition.max_top_2gram_char_ratio")
    assert rule["threshold"] == 0.2
    assert rule["value"] == found["signals"]["top_2gram_char_ratio"]
    assert found["record"]["licence_evidence"] in ("recipe", "record", None)
    sure = found["rules"][0]
    assert (sure["rule"], sure["threshold"]) == ("language.min_language_score", 0.65)
    assert sure["value"] == found["record"]["language_score"]
    assert "language.min_language_score" in as_text(found)


def test_unknown_doc_id_names_the_nearest_one(run: Run) -> None:
    known = documents(run)[0]["doc_id"].hex()  # type: ignore[attr-defined]
    wrong = known[:8] + ("0" if known[8] != "0" else "1") + known[9:]
    with pytest.raises(UserError, match=rf"nearest doc_id is {known} \(first 8 digits"):
        DocIndex(run).find(wrong)


def test_ambiguous_id_lists_the_candidates(run: Run) -> None:
    with pytest.raises(UserError, match="2 documents have the id web 0; ask for one of them by its doc_id"):
        one_by_key(run, "id", "web 0")


def test_ambiguous_url_lists_the_candidates(run: Run) -> None:
    with pytest.raises(UserError, match=r"2 documents have the url https://news\.example\.net/0; ask for one"):
        one_by_key(run, "url", "https://news.example.net/0")


def test_ambiguous_prefix_lists_the_candidates(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.lookup.locate.SHORTEST_PREFIX", 1)
    digits = [row["doc_id"].hex()[0] for row in documents(run)]  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"doc_ids begin with .; ask for one of them by its doc_id"):
        DocIndex(run).find(max(digits, key=digits.count))


def test_run_whose_documents_are_newer_than_its_index_is_answered_clearly(run: Run) -> None:
    located = trained(run)
    path = Path(run.url(f"documents/{located.shard}.arrow"))
    other = next(p for p in sorted(path.parent.glob("*.arrow")) if p != path)
    path.write_bytes(other.read_bytes())
    with pytest.raises(RunError, match="its index is behind its documents: the run is being written, or was stopped"):
        explain(run, located)
    with pytest.raises(RunError, match="its index is behind its documents"):
        trace(run, 0, STEPS_DONE - 1)


def test_run_that_is_being_written_tells_what_there_is(run: Run) -> None:
    for folder in ("tokens", "index", "verdicts/tokenize", "verdicts/filter", "checkpoints", "metrics"):
        shutil.rmtree(run.url(folder))
    row = documents(run)[7]
    with run.lock():  # another process holds it: reading needs no lock
        found = explain(run, found_document(run, row))
    assert [verdict["stage"] for verdict in found["verdicts"]] == ["dedup"]
    assert found["tokens"] is None
    assert "tokens: not known: " in as_text(found)  # they were there: their manifests are
    with pytest.raises(RunError, match=r"tokens/train/00000\.arrow: missing"):
        trace(run, 0, 0)
    for folder in ("manifests/tokenize", "manifests/tokenize.restored"):
        shutil.rmtree(run.url(folder), ignore_errors=True)
    Path(run.url("manifests/tokenize.json")).unlink()
    assert "not in the training or validation set" in as_text(explain(run, found_document(run, row)))
    with pytest.raises(UserError, match="no token shards"):
        trace(run, 0, 0)
    shutil.rmtree(run.url("documents"))
    with pytest.raises(UserError, match="no documents yet"):
        DocIndex(run)


@pytest.mark.parametrize(("asked", "message"), [("xyz", "not a doc_id"), ("ab", "not a doc_id")])
def test_what_is_no_doc_id_is_refused(run: Run, asked: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        DocIndex(run).find(asked)


def test_unknown_url_is_refused(run: Run) -> None:
    with pytest.raises(UserError, match="no document has the url"):
        one_by_key(run, "url", "https://nowhere.example/")


def test_command_prints_one_json_object(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explain", run.root, "--url", "https://www.example.org/page/7", "--json"])
    assert ended.value.code == 0
    assert json.loads(capfd.readouterr().out)["record"]["id"] == "record 7"


def test_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explain", str(tmp_path), "abcd"])
    assert ended.value.code == 2


def test_example_of_the_help_names_a_document_of_the_demo(repository: Path, tmp_path: Path) -> None:
    example = re.search(r"explain runs/demo ([0-9a-f]+)\n", cli.explain_document.__doc__ or "")
    assert example
    recipe = load_recipe(repository / "configs/demo.toml")
    books = [source for source in recipe.sources if source.name == "books"]
    run = Run(str(tmp_path), recipe.model_copy(update={"sources": books}))
    with Pool(1) as pool:
        clean(Context(run, pool))
    DocIndex(run).find(example[1])
