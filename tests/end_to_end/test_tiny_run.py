import json
import shutil
from pathlib import Path

import pytest

from flows.session.stages import plan
from pipeline.inspection.status import status_rows
from pipeline.inspection.verify import verify_run
from pipeline.run.folder import Run
from pipeline.run.table_files import read_table
from pipeline.run.tables import DOCUMENTS, EXCLUDED, QUARANTINE, VERDICTS
from tests.end_to_end import tiny
from tests.end_to_end.conftest import Finished

pytestmark = pytest.mark.xdist_group("end_to_end")


def rows(root: Path, folder: str, table: object) -> int:
    return sum(read_table(path, table).num_rows for path in sorted((root / folder).glob("*.arrow")))  # type: ignore[arg-type]


def test_no_record_is_lost_between_input_and_verdicts(finished: Finished) -> None:
    clean = finished.summaries["clean"]
    kinds = (rows(finished.root, "documents", DOCUMENTS), rows(finished.root, "excluded", EXCLUDED))
    quarantined = rows(finished.root, "quarantine", QUARANTINE)
    assert quarantined > 0, "the planted line that is not JSON must be quarantined"
    assert (*kinds, quarantined) == (clean["documents"], clean["excluded"], clean["quarantined"])
    assert clean["records_in"] == sum(kinds) + quarantined
    for stage in ("dedup", "filter"):
        summary = finished.summaries[stage]
        assert summary["documents_in"] == summary["kept"] + summary["dropped"]
    assert finished.summaries["dedup"]["documents_in"] == clean["documents"]
    assert finished.summaries["filter"]["documents_in"] == finished.summaries["dedup"]["kept"]


def test_every_dropped_document_has_a_reason(finished: Finished) -> None:
    dropped = 0
    for path in sorted((finished.root / "verdicts").rglob("*.arrow")):
        for row in read_table(path, VERDICTS).to_pylist():
            if row["keep"] is False:
                dropped += 1
                assert row["reasons"], f"{path.name}: {row['doc_id'].hex()} was dropped without a reason"
    assert dropped > 0


def test_tables_are_row_aligned_with_the_documents(finished: Finished) -> None:
    for path in sorted((finished.root / "documents").glob("*.arrow")):
        ids = read_table(path, DOCUMENTS)["doc_id"]
        for stage in ("dedup", "filter"):
            assert read_table(finished.root / "verdicts" / stage / path.name, VERDICTS)["doc_id"].equals(ids)


def test_training_learns_more_than_word_frequencies(finished: Finished) -> None:
    train = finished.summaries["train"]
    assert train["steps"] == 12
    assert train["validation_loss"] < 6.24, "ln 512 = 6.24 is the loss of guessing"
    assert (finished.root / train["checkpoint"] / "model.safetensors").exists()


def test_second_run_finds_nothing_to_do(finished: Finished) -> None:
    run = Run.open(str(finished.root))
    plans = plan(run, list(run.recipe.stages))
    assert [planned.line() for planned in plans if planned.state != "done"] == []


def test_every_checksum_holds(finished: Finished) -> None:
    files, damaged = verify_run(str(finished.root))
    assert files > 10
    assert damaged == []


def test_status_counts_every_stage_as_done(finished: Finished) -> None:
    found = status_rows(Run.open(str(finished.root)))
    assert {"clean", "dedup", "filter", "tokenize", "train"} <= set(found)
    assert {row["state"] for row in found.values()} == {"done"}


def test_manifests_hold_no_machine_path(finished: Finished) -> None:
    for path in (finished.root / "manifests").rglob("*.json"):
        assert str(finished.root.parent) not in path.read_text(), path


def test_report_escapes_hostile_text_and_fetches_nothing(finished: Finished) -> None:
    page = (finished.root / "report/index.html").read_text()
    assert "this page is far too short" in page, "the planted document must be among the examples"
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http://" not in page.split("<main>")[0]
    assert 'src="http' not in page


def test_one_worker_in_another_folder_writes_the_same_bytes(finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(finished.recipe.parent / "raw", tmp_path / "elsewhere/raw")
    recipe = Path(shutil.copy(finished.recipe, tmp_path / "elsewhere/tiny.toml"))
    tiny.run_all(recipe, tmp_path / "run", workers=1)
    ours, theirs = tiny.promised(finished.root), tiny.promised(tmp_path / "run")
    differing = [path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path)]
    assert [path for path in differing if path != "recipe.toml"] == []


@pytest.mark.parametrize("folder", ["documents", "signatures", "verdicts/filter", "tokens/train"])
def test_deleted_shard_is_rebuilt_to_the_same_bytes(finished: Finished, tmp_path: Path, folder: str) -> None:
    root = tmp_path / "run"
    shutil.copytree(finished.root, root)
    before = tiny.promised(root)
    victim = sorted((root / folder).glob("*.arrow"))[0]
    victim.unlink()
    tiny.run_all(finished.recipe, root)
    assert tiny.promised(root) == before


def test_changed_threshold_touches_no_text(finished: Finished, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(finished.root, root)
    before = {path.name: path.stat().st_mtime_ns for path in (root / "documents").iterdir()}
    overrides = ("filter.gopher_quality.min_words=80", "stages=['clean', 'dedup', 'filter']")
    summaries = tiny.run_all(finished.recipe, root, overrides=overrides)
    assert {path.name: path.stat().st_mtime_ns for path in (root / "documents").iterdir()} == before
    assert summaries["filter"]["kept"] < finished.summaries["filter"]["kept"]


def test_validation_lines_carry_bits_per_byte(finished: Finished) -> None:
    lines = [json.loads(line) for line in (finished.root / "metrics/train.jsonl").read_text().splitlines()]
    validation = [line for line in lines if "validation_loss" in line]
    assert validation
    assert all(0 < line["bits_per_byte"] < 20 for line in validation)
