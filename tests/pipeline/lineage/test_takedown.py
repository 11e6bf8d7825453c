import contextlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.cli.app import main
from flows.cli.questions.lineage import takedown_text
from flows.session.stages import plan
from model.data.batches import TokenDataset
from pipeline.base.errors import RunError, UserError
from pipeline.inspection.verify import verify_run
from pipeline.lineage.explain import explain
from pipeline.lineage.licences import licences
from pipeline.lineage.trace import trace, window_text
from pipeline.lineage.training import Training
from pipeline.lookup.locate import DocIndex, by_key, one_by_key
from pipeline.order.corpus import open_train
from pipeline.run import ledger
from pipeline.run.context import Context
from pipeline.run.folder import Run
from pipeline.run.manifest import total_counts
from pipeline.run.table_files import read_table
from pipeline.run.tables import VERDICTS
from pipeline.takedown.choose import Choice
from pipeline.takedown.takedown import take_down
from tests.conftest import REPOSITORY
from tests.pipeline.lineage.conftest import run_stages
from tests.pipeline.lineage.helpers import Killed, mentions, publications, read_document, tree


def test_nothing_of_the_text_is_left_in_the_run_folder(run: Run) -> None:
    document = read_document(run)
    words = [document["text"][20:60].encode(), document["url"].encode() + b"'", document["url"].encode() + b'"']
    words += [f'"{document["id"]}"'.encode()]
    (Path(run.root) / "report").mkdir()
    (Path(run.root) / "report/index.html").write_text(document["text"])
    assert f"documents/{document['shard']}.arrow" in mentions(Path(run.root), words)
    take_down(run, Choice(ids=(document["doc_id"],)))
    assert mentions(Path(run.root), words) == []
    assert not (Path(run.root) / "metrics/samples.jsonl").exists()


def test_tokens_are_end_of_text_at_the_same_place_and_nothing_else_changed(run: Run) -> None:
    document = read_document(run)
    before = Training(run)
    place = before.token_range(DocIndex(run).find(document["doc_id"]))
    assert place is not None
    old = np.concatenate([b.tokens for b in _mapped(run, place.path)])
    take_down(run, Choice(ids=(document["doc_id"],)))
    new = np.concatenate([b.tokens for b in _mapped(run, place.path)])
    end = before.dataset.data.format.end_of_text
    inside = slice(place.start, place.start + place.tokens)
    assert (new[inside] == end).all()
    assert (old[inside] != end).any()
    assert (np.delete(old, np.r_[inside]) == np.delete(new, np.r_[inside])).all()
    assert Training(run).token_range(DocIndex(run).find(document["doc_id"])) == place


def _mapped(run: Run, path: str) -> Any:
    from pipeline.tokens.shards.token_shard import map_batches

    return map_batches(run.local(path))


def test_traces_of_old_steps_stay_valid(run: Run) -> None:
    document = read_document(run)
    before = trace(run, 0, 39)
    take_down(run, Choice(ids=(document["doc_id"],)))
    after = trace(run, 0, 39)
    assert [row["doc_id"] for row in after["documents"]] == [row["doc_id"] for row in before["documents"]]
    assert [row["tokens"] for row in after["documents"]] == [row["tokens"] for row in before["documents"]]
    gone = next(row for row in after["documents"] if row["doc_id"] == document["doc_id"])
    assert gone["taken_down"]
    assert after["tokens_taken_down"] == gone["tokens"] > 0
    assert licences(run)["tokens_since_taken_down"] == gone["tokens"]
    shown = window_text(run, 3, 0)["parts"][0]
    assert (shown["doc_id"], shown["text"]) == (document["doc_id"], "")


def test_taken_down_tokens_are_not_scored(run: Run) -> None:
    document = read_document(run)
    sequences = Training(run).sequences
    take_down(run, Choice(ids=(document["doc_id"],)))
    training = Training(run)
    unscored = trace(run, 3, 3)["tokens_taken_down"]
    dataset = open_train(run, training.context_length, TokenDataset)
    _, targets = dataset.batch(3, sequences)
    assert int((targets == -100).sum()) == unscored > 0
    masked = dataset.masked_batch(3, sequences)
    assert int((masked.targets == -100).sum()) >= unscored


def test_manifests_stay_consistent_and_nothing_is_rebuilt(run: Run) -> None:
    document = read_document(run)
    take_down(run, Choice(ids=(document["doc_id"],)))
    files, damaged = verify_run(run.root)
    assert files > 10
    assert damaged == []
    assert [planned.state for planned in plan(run, list(run.recipe.stages))] == ["done"] * 4
    counts = total_counts(Context(run, dry=True).manifests("dedup").values())
    assert counts["kept"] + counts["dropped"] == 123
    assert counts["reasons.takedown"] == 1


def test_again_is_nothing_to_do_also_by_the_old_url(run: Run) -> None:
    document = read_document(run)
    take_down(run, Choice(ids=(document["doc_id"],)))
    before = tree(run)
    again = take_down(run, Choice(ids=(document["doc_id"],)))
    assert (again["status"], again["already_taken_down"]) == ("nothing to do", [document["doc_id"]])
    by_url = take_down(run, Choice(urls=(document["url"],), ids=(document["id"],)))
    assert by_url["already_taken_down"] == [document["doc_id"]]
    assert tree(run) == before
    assert explain(run, one_by_key(run, "url", document["url"]))["takedown"]["documents"] == 1


def test_dry_run_writes_nothing(run: Run) -> None:
    before = tree(run)
    found = take_down(run, Choice(ids=(read_document(run)["doc_id"],)), dry_run=True)
    assert (found["status"], len(found["documents"])) == ("planned", 1)
    assert tree(run) == before


def test_dry_run_and_run_find_the_same_and_both_name_the_raw_inputs(run: Run) -> None:
    choice = Choice(domains=("news.example.net",))
    planned = take_down(run, choice, dry_run=True)
    done = take_down(run, choice)
    assert (planned.pop("status"), done.pop("status")) == ("planned", "done")
    assert planned == done
    documents = sum(row["documents"] for row in planned["raw_inputs"])
    assert documents == len(planned["documents"]) > 0
    assert {(row["source"], row["path"]) for row in planned["raw_inputs"]} == {("web", "web.jsonl")}
    for found, status in ((planned, "planned"), (done, "done")):
        text = takedown_text({**found, "status": status}, [])
        assert "the raw inputs still hold the text: web.jsonl (web)" in text


@pytest.mark.parametrize(("answer", "code"), [("n\n", 2), ("yes\n", 0)])
def test_on_a_terminal_it_shows_what_it_will_do_and_asks(run: Run, answer: str, code: int) -> None:
    before, doc_id = tree(run), read_document(run)["doc_id"]
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "flows.cli", "takedown", run.root, "--ids", doc_id]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=REPOSITORY) as process:
        os.close(slave)
        told = b""
        while b"[y/N]" not in told:
            told += os.read(master, 4096)
        assert b"1 document would be taken down" in told
        assert tree(run) == before
        os.write(master, answer.encode())
        with contextlib.suppress(OSError):  # the terminal is gone once the process is
            while True:
                told += os.read(master, 4096)
        os.close(master)
    assert process.returncode == code, told.decode()
    assert (tree(run) == before) == (code != 0)


def test_killed_at_every_publication_ends_byte_identical(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy(name: str) -> Run:
        shutil.copytree(finished, tmp_path / name)
        return Run.open(tmp_path / name)

    whole = copy("whole")
    ids = tuple(read_document(whole, step)["doc_id"] for step in (3, 4))
    with monkeypatch.context() as patched:
        done = publications(patched, None)
        take_down(whole, Choice(ids=ids))
        total = len(done)
    assert total > 20
    points_of_no_return = 0
    # every other publication of the plan, the ledger and the blanked files; few of the many manifests; SIGKILL at every
    # change: test_killed.py
    for stop in [*range(0, 12, 2), *range(12, total, 16), total - 1]:
        run = copy(f"killed-{stop}")
        with monkeypatch.context() as patched:
            publications(patched, stop)
            with pytest.raises(Killed):
                take_down(run, Choice(ids=ids))
        if ledger.digest(run.root):
            points_of_no_return += 1
            if points_of_no_return == 2:
                with pytest.raises(RunError, match="a takedown was interrupted"):
                    plan(run, list(run.recipe.stages))
            take_down(run, Choice())  # without a choice: finishes what is recorded
        take_down(run, Choice(ids=ids))
        assert tree(run) == tree(whole), f"stopped before publication {stop} of {total}"
        shutil.rmtree(run.root)
    assert points_of_no_return > 4


def outputs_of(run: Run) -> list[str]:
    names = [path for path in tree(run) if path.endswith(".arrow") and not path.startswith("quarantine")]
    return [name for name in names if name.split("/")[0] not in ("excluded", "clusters", "index")]


def test_rebuilt_shards_are_blank_and_have_the_same_bytes(run: Run) -> None:
    document = read_document(run)
    text = document["text"][20:60].encode()
    take_down(run, Choice(ids=(document["doc_id"],)))
    take_down(run, Choice(ids=(read_document(run, 9)["doc_id"],)))  # a second one, in the same files perhaps
    before = tree(run)
    rebuilt = 0
    for path in outputs_of(run):
        Path(run.url(path)).unlink()
        rebuilt += run_stages(run)
        assert tree(run)[path] == before[path], path
        assert mentions(Path(run.root), [text]) == []
    assert rebuilt >= 8


def test_all_files_deleted_and_rebuilt_do_not_bring_the_text_back(run: Run) -> None:
    document = read_document(run)
    text = document["text"][20:60].encode()
    take_down(run, Choice(ids=(document["doc_id"],)))
    for folder in ("documents", "signatures", "signals", "verdicts", "tokens", "index", "manifests", "clusters"):
        shutil.rmtree(run.url(folder))
    assert run_stages(run) > 10
    assert mentions(Path(run.root), [text]) == []
    assert explain(run, DocIndex(run).find(document["doc_id"]))["verdicts"][0]["reasons"] == ["takedown"]


def test_everything_rebuilt_after_a_takedown_has_the_same_bytes(run: Run) -> None:
    kept = explain(run, one_by_key(run, "id", "exact twin"))["duplicates"]["kept_twin"]["kept_id"]
    take_down(run, Choice(ids=(kept,), urls=("https://twin.example.com/near",)))
    take_down(run, Choice(ids=(read_document(run, 9)["doc_id"],)))
    before = tree(run)
    assert explain(run, one_by_key(run, "id", "exact twin"))["tokens"] is None
    Path(run.url("clusters/evidence.arrow")).unlink()
    assert run_stages(run) >= 1
    assert tree(run) == before, "the twins of what was taken down stay where they were"
    for folder in ("documents", "signatures", "signals", "verdicts", "tokens", "index", "manifests", "clusters"):
        shutil.rmtree(run.url(folder))
    # the tokenizer was trained, and leakage measured, on text that is gone: both stay as they are
    kept_files = (
        "manifests/tokenize.survey",
        "manifests/tokenize.tokenizer",
        "manifests/tokenize.leakage",
        "tokens/leakage.json",
    )
    for name, data in before.items():
        if name.startswith(kept_files):
            Path(run.url(name)).parent.mkdir(parents=True, exist_ok=True)
            Path(run.url(name)).write_bytes(data)
    run_stages(run)
    assert tree(run) == before


def test_documents_near_a_validation_document_that_went_do_not_come_back(held_out: Path, tmp_path: Path) -> None:
    shutil.copytree(held_out, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    held, near = [], 0
    for path in sorted(Path(run.root).glob("verdicts/tokenize/*.arrow")):
        rows = read_table(path, VERDICTS).to_pylist()
        held += [row["doc_id"].hex() for row in rows if row["split"] == "validation"]
        near += sum(row["keep"] is False for row in rows)
    assert near > 5
    take_down(run, Choice(ids=tuple(held[: len(held) * 3 // 4])))
    assert len(ledger.load(run.root).near_validation) > 3
    before = tree(run)
    shutil.rmtree(run.url("verdicts/tokenize"))
    run_stages(run)
    assert tree(run) == before


def test_twins_stay_away_under_another_recipe_too(run: Run) -> None:
    kept = explain(run, one_by_key(run, "id", "exact twin"))["duplicates"]["kept_twin"]["kept_id"]
    take_down(run, Choice(ids=(kept,)))
    recipe = Path(run.url("recipe.toml"))
    recipe.write_text(
        recipe.read_text(encoding="utf-8").replace("threshold = 0.8", "threshold = 0.7"), encoding="utf-8"
    )
    changed = Run.open(run.root)
    assert changed.recipe.dedup.threshold == 0.7
    run_stages(changed)
    for twin in ("exact twin", "near twin"):
        assert explain(changed, one_by_key(changed, "id", twin))["verdicts"][0]["keep"] is False
    counts = total_counts(Context(changed, dry=True).manifests("dedup.clusters").values())
    assert (counts["removed_exact"] >= 1, counts["removed_near"] >= 1) == (True, True)


def test_lost_ledger_is_noticed_before_anything_is_rebuilt(run: Run) -> None:
    take_down(run, Choice(ids=(read_document(run)["doc_id"],)))
    Path(run.url("takedown.jsonl")).unlink()
    with pytest.raises(RunError, match="bring it back from a copy"):
        plan(run, list(run.recipe.stages))


def test_checkpoints_that_saw_it_are_named_with_steps_and_tokens(run: Run) -> None:
    document = read_document(run)
    expected = explain(run, DocIndex(run).find(document["doc_id"]))["training"]
    found = take_down(run, Choice(ids=(document["doc_id"],)))["checkpoints"]
    assert found[-1]["checkpoint"] == "checkpoints/step-0000040"
    assert (found[-1]["steps"], found[-1]["tokens"]) == (expected["steps"], expected["tokens"])
    assert found[0]["steps"] == [step for step in expected["steps"] if step < 20]


def test_that_no_checkpoint_saw_it_is_told(run: Run) -> None:
    found = take_down(run, Choice(ids=("exact twin",)), dry_run=True)
    assert (found["checkpoints"], found["checkpoints_without"]) == ([], 2)
    assert "2 checkpoints looked at: none was trained on them" in takedown_text(found, [])
    assert "checkpoints_without" not in take_down(run, Choice(ids=(read_document(run)["doc_id"],)), dry_run=True)


def test_near_duplicates_that_stay_are_listed(run: Run) -> None:
    kept = explain(run, one_by_key(run, "id", "exact twin"))["duplicates"]["kept_twin"]["kept_id"]
    found = take_down(run, Choice(ids=(kept,)))["near_duplicates"]
    assert sorted((row["rule"], row["relation"]) for row in found) == [
        ("exact", "removed in its favour"),
        ("near", "removed in its favour"),
    ]
    both = take_down(run, Choice(ids=tuple(row["doc_id"] for row in found)))
    assert len(both["documents"]) == 2
    assert both["near_duplicates"][0]["relation"] == "kept in its place"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice(urls=("https://news.example.net/0",)), 2),
        (Choice(domains=("example.com",)), 2),
        (Choice(domains=("twin.example.com",), urls=("https://twin.example.com/near",)), 2),
        (Choice(domains=("example.org",)), 80),
        (Choice(licences=("MIT",)), 20),
        (Choice(licences=("unknown",)), 23),
    ],
)
def test_documents_are_chosen_by_url_domain_and_licence(run: Run, choice: Choice, expected: int) -> None:
    assert len(take_down(run, choice, dry_run=True)["documents"]) == expected


def test_domain_does_not_match_inside_a_name_or_a_path(run: Run) -> None:
    for domain in ("ample.org", "page", "org.example"):
        with pytest.raises(UserError, match="no URL lies in the domain"):
            take_down(run, Choice(domains=(domain,)))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice(ids=("nobody",)), "neither a doc_id"),
        (Choice(ids=("0" * 32,)), "the nearest doc_id is"),
        (Choice(urls=("https://nowhere.example/",)), "no document has the url"),
        (Choice(domains=("https://example.org",)), "without scheme"),
        (Choice(licences=("WTFPL",)), "no document has the licence"),
        (Choice(domains=("example.org", "example.net", "example.com")), "every document of the run"),
    ],
)
def test_what_cannot_be_taken_down_is_refused_and_nothing_is_done(run: Run, choice: Choice, message: str) -> None:
    before = tree(run)
    with pytest.raises(UserError, match=message):
        take_down(run, choice)
    assert tree(run) == before


def test_dry_run_of_a_takedown_of_every_document_lists_them_and_says_why_it_would_be_refused(run: Run) -> None:
    before = tree(run)
    found = take_down(run, Choice(domains=("example.org", "example.net", "example.com")), dry_run=True)
    assert found["status"] == "refused"
    assert found["files"] == []
    assert "every document of the run" in found["refused"]
    assert len(found["documents"]) > 1
    assert tree(run) == before


def test_beginning_of_a_doc_id_names_the_document(run: Run) -> None:
    doc_id = read_document(run)["doc_id"]
    found = take_down(run, Choice(ids=(doc_id[:8],)), dry_run=True)
    assert [row["doc_id"] for row in found["documents"]] == [doc_id]
    assert Choice(ids=(doc_id[:8],)).request([doc_id])["ids"] == [doc_id[:8]]


def test_short_beginning_is_refused_with_the_whole_doc_id(run: Run) -> None:
    doc_id = read_document(run)["doc_id"]
    with pytest.raises(UserError, match=f"{doc_id} begins so; a takedown wants at least 8 of its digits"):
        take_down(run, Choice(ids=(doc_id[:5],)), dry_run=True)


def test_beginning_of_several_doc_ids_lists_them(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    index = DocIndex(run)
    first, second = (located.doc_id.hex() for located, _ in zip(index.from_key(b""), range(2), strict=False))
    shared = first[: next(n for n in range(32) if first[n] != second[n])]
    assert len(shared) < 8, "the doc_ids of so few documents differ early"
    monkeypatch.setattr("pipeline.lookup.locate.SHORTEST_PREFIX", 0)
    monkeypatch.setattr("pipeline.takedown.choose._PREFIX", re.compile("[0-9a-f]*"))
    with pytest.raises(UserError, match=f"doc_ids begin with {shared}; ask for one of them by its doc_id:\n  {first}"):
        take_down(run, Choice(ids=(shared,)), dry_run=True)


def test_unknown_id_among_known_ones_stops_the_whole_takedown(run: Run) -> None:
    before = tree(run)
    with pytest.raises(UserError, match="neither a doc_id"):
        take_down(run, Choice(ids=(read_document(run)["doc_id"], "nobody")))
    assert tree(run) == before


def test_run_that_is_being_written_is_refused(run: Run) -> None:
    choice = Choice(ids=(read_document(run)["doc_id"],))
    with Run.open(run.root).lock(), pytest.raises(RunError, match="another process is working on this run"):
        take_down(run, choice)


@pytest.fixture
def read_only(run: Run) -> Iterator[Run]:
    folders = [Path(run.root), *(path for path in Path(run.root).rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    yield run
    for folder in folders:
        folder.chmod(0o755)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder_is_refused_but_can_be_explained(read_only: Run) -> None:
    document = read_document(read_only)
    assert explain(read_only, DocIndex(read_only).find(document["doc_id"]))["row"] == document["row"]
    with pytest.raises(RunError, match="cannot write to the run folder"):
        take_down(read_only, Choice(ids=(document["doc_id"],)))


def test_folder_that_cannot_be_written_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    choice, before = Choice(ids=(read_document(run)["doc_id"],)), tree(run)
    real = os.open

    def refuse(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if str(path).startswith(run.root) and flags & (os.O_RDWR | os.O_WRONLY):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        with pytest.raises(RunError, match="cannot write to the run folder"):
            take_down(run, choice)
    assert tree(run) == before


def test_damaged_shard_is_named_and_nothing_is_done(run: Run) -> None:
    document = read_document(run)
    path = Path(run.url(f"signals/{document['shard']}.arrow"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    before = tree(run)
    with pytest.raises(RunError, match=rf"signals/{document['shard']}\.arrow is damaged"):
        take_down(run, Choice(ids=(document["doc_id"],)))
    assert tree(run) == before


def test_command_takes_ids_from_a_file_and_prints_one_json_object(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ids.txt").write_text("record 3\nrecord 4\n")
    with pytest.raises(SystemExit) as ended:
        main(["takedown", run.root, "--ids", f"@{tmp_path / 'ids.txt'}", "--note", "case 7", "--json"])
    assert ended.value.code == 0
    found = json.loads(capfd.readouterr().out)
    assert len(found["documents"]) == 2
    assert found["history"][0]["note"] == "case 7"
    assert by_key(run, "id", "record 3") == []
    assert "record 3" not in Path(run.url("takedown.jsonl")).read_text(encoding="utf-8")
