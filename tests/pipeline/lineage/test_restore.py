import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from flows.cli.app import main
from model.training.job import training_of
from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.lineage.explain import as_text, explain
from pipeline.lineage.licences import licences
from pipeline.lineage.trace import trace
from pipeline.lineage.training import Training
from pipeline.lookup.locate import DocIndex
from pipeline.recipe.load import load_recipe
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.table_files import read_table
from pipeline.run.tables import VERDICTS
from pipeline.takedown import restore as restoring
from pipeline.takedown.choose import Choice
from pipeline.takedown.takedown import take_down
from pipeline.tokens import restored
from pipeline.tokens.shards.token_shard import map_batches
from tests.pipeline.lineage.conftest import STEPS_DONE, run_stages, write_inputs
from tests.pipeline.lineage.helpers import kept_twin, mentions, read_document, tree, twin


def bring_back(run: Run, **options: Any) -> dict[str, Any]:
    take_down(run, Choice(ids=(kept_twin(run),)))
    found: dict[str, Any] = take_down(run, Choice(), restoring=[twin(run).doc_id.hex()], **options)
    return found


def test_twin_comes_back_in_a_shard_of_its_own(run: Run) -> None:
    found = bring_back(run)
    located = twin(run)
    assert found["restored"]["documents"] == [located.doc_id.hex()]
    explained = explain(run, located)
    assert explained["restored"] == 1
    assert explained["tokens"]["shard"] == f"tokens/restored/0001-{located.shard}.arrow"
    assert explained["tokens"]["tokens"] > 64
    assert "came back" in as_text(explained)
    tokens = map_batches(run.local(explained["tokens"]["shard"]))[0].tokens
    tokenizer = Tokenizer.from_file(run.url("tokenizer/tokenizer.json"))
    assert tokenizer.decode(tokens[:-1].tolist()).strip().startswith(explained["record"]["begins"][:40])


def test_nothing_but_the_new_shard_changes(run: Run) -> None:
    take_down(run, Choice(ids=(kept_twin(run),)))
    before = tree(run)
    take_down(run, Choice(), restoring=[twin(run).doc_id.hex()])
    after = tree(run)
    del before["manifests/steps.digests"], after["manifests/steps.digests"]  # knows of the new step
    assert {name: after[name] for name in before} == before
    new = {name.split("/")[0] + "/" + name.split("/")[-1] for name in after.keys() - before.keys()}
    shard = twin(run).shard
    assert new == {
        "restored.jsonl/restored.jsonl",
        f"tokens/0001-{shard}.arrow",
        f"manifests/0001-{shard}.json",
        "manifests/tokenize.restored.json",
    }


def test_order_of_trained_steps_stays_and_the_twin_is_read_from_the_next_epoch_on(run: Run) -> None:
    before, training = trace(run, 0, STEPS_DONE - 1)["documents"], Training(run)
    epoch = len(training.dataset)
    old = [training.dataset.locate(0, epoch)[0].tolist(), training.dataset.locate(0, epoch)[1].tolist()]
    answer = bring_back(run)["restored"]
    after = Training(run)
    assert answer["first_epoch"] == 2
    assert [after.dataset.locate(0, epoch)[0].tolist(), after.dataset.locate(0, epoch)[1].tolist()] == old
    assert [row["doc_id"] for row in trace(run, 0, STEPS_DONE - 1)["documents"]] == [row["doc_id"] for row in before]
    doc_id = twin(run).doc_id.hex()
    read = after.dataset.steps_of(doc_id, after.sequences, 3 * (epoch // after.sequences + 2))
    assert read
    assert min(read) >= epoch // after.sequences
    assert doc_id in after.dataset.documents(read[0], after.sequences)


def test_epoch_of_a_read_is_that_of_the_mixture(run: Run) -> None:
    bring_back(run)
    training = Training(run)
    place = training.token_range(twin(run))
    assert place is not None
    reads = training.reads(place, 3 * len(training.dataset) // training.sequences)
    assert {epoch for _, epoch, _ in reads} <= {2, 3}
    assert len(reads) > 1


def test_before_any_training_the_twin_is_part_of_the_first_epoch(run: Run) -> None:
    shutil.rmtree(run.url("checkpoints"))
    shutil.rmtree(run.url("metrics"))
    assert bring_back(run)["restored"]["first_epoch"] == 1
    found = licences(run)
    assert found["trained"] is False
    streams = Training(run).dataset.streams
    assert streams[-1].name.endswith(" restored 1")
    assert found["documents"] == len(trace(run, 0, 39)["documents"]) or found["documents"] > 100


def test_training_is_not_out_of_date_when_no_step_of_it_reads_the_twin(run: Run) -> None:
    take_down(run, Choice(ids=(kept_twin(run),)))
    before = training_of(run)
    take_down(run, Choice(), restoring=[twin(run).doc_id.hex()])
    assert training_of(run) == before
    longer = Run(run.root, run.recipe.model_copy(update={"train": run.recipe.train.model_copy(update={"steps": 9000})}))
    assert any(path.startswith("tokens/restored/") for path in training_of(longer).job.inputs)


def test_again_is_nothing_to_do(run: Run) -> None:
    bring_back(run)
    before = tree(run)
    again = take_down(run, Choice(), restoring=[twin(run).doc_id.hex()])
    assert (again["status"], again["restored"]["already_restored"]) == ("nothing to do", [twin(run).doc_id.hex()])
    assert tree(run) == before


def test_dry_run_checks_and_writes_nothing(run: Run) -> None:
    take_down(run, Choice(ids=(kept_twin(run),)))
    before = tree(run)
    found = take_down(run, Choice(), restoring=[twin(run).doc_id.hex()], dry_run=True)
    assert found["restored"]["documents"] == [twin(run).doc_id.hex()]
    assert tree(run) == before


def test_killed_after_the_record_is_finished_by_the_same_command_or_by_a_run(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_down(run, Choice(ids=(kept_twin(run),)))
    for name in ("again", "stages"):
        shutil.copytree(run.root, tmp_path / name)
    take_down(run, Choice(), restoring=[twin(run).doc_id.hex()])
    for name in ("again", "stages"):
        other = Run.open(tmp_path / name)
        with monkeypatch.context() as patched:
            patched.setattr(restoring, "make", lambda run: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                take_down(other, Choice(), restoring=[twin(run).doc_id.hex()])
        with pytest.raises(UserError, match="restoration 1 are not made yet"):
            _ = Training(other).dataset
        if name == "again":
            assert take_down(other, Choice())["status"] == "done"
        else:
            assert run_stages(other) == 1
        assert tree(other) == tree(run)


def test_restored_shard_is_made_again_with_the_same_bytes(run: Run) -> None:
    bring_back(run)
    before = tree(run)
    Path(run.url(layout.restored_tokens(1, twin(run).shard))).unlink()
    assert run_stages(run) == 1
    assert tree(run) == before


def test_restored_document_can_be_taken_down(run: Run) -> None:
    text = explain(run, twin(run))["record"]["begins"][20:60].encode()
    bring_back(run)
    take_down(run, Choice(ids=(twin(run).doc_id.hex(), "exact twin")))  # the exact one has the same words
    assert mentions(Path(run.root), [text]) == []
    dataset = Training(run).dataset
    assert dataset.data.has_withdrawn
    before = tree(run)
    Path(run.url(layout.restored_tokens(1, _shard_of(before)))).unlink()
    assert run_stages(run) >= 1
    assert tree(run) == before


def _shard_of(files: dict[str, bytes]) -> str:
    name = next(name for name in files if name.startswith("tokens/restored/"))
    return restored.parse_name(Path(name).stem)[1]


def test_restored_document_is_cut_as_kept_ones_are(tmp_path: Path, sample: Path) -> None:
    recipe = write_inputs(tmp_path, sample)
    records = [json.loads(line) for line in (tmp_path / "raw/web.jsonl").read_text().splitlines()]
    (text,) = (record["text"] for record in records if record["id"] == "near twin")
    item = " ".join(text.split()[12:40])
    assert item in text
    rule = 'rules = ["gopher_repetition"]'
    quiz = tmp_path / "raw/set.jsonl"
    cut = f'decontamination = {{ action = "cut", sets = [{{ name = "quiz", path = "{quiz}" }}] }}'
    quiz.write_text(json.dumps({"question": item}) + "\n")
    recipe.write_text(recipe.read_text().replace(rule, f"{rule}\n{cut}"))
    run = Run(str(tmp_path / "run"), load_recipe(recipe))
    run_stages(run)
    bring_back(run)
    explained = explain(run, twin(run))
    tokens = map_batches(run.local(explained["tokens"]["shard"]))[0].tokens
    decoded = Tokenizer.from_file(run.url("tokenizer/tokenizer.json")).decode(tokens[:-1].tolist())
    start = text.index(item)
    assert decoded == text[:start] + text[start + len(item) :]
    before = tree(run)
    Path(run.url(explained["tokens"]["shard"])).unlink()
    assert run_stages(run) == 1
    assert tree(run) == before


def test_two_twins_of_each_other_do_not_both_come_back(run: Run) -> None:
    take_down(run, Choice(ids=(kept_twin(run),)))
    before = tree(run)
    both = [twin(run, name).doc_id.hex() for name in ("exact twin", "near twin")]
    with pytest.raises(UserError, match="comes back in the training set; restore one of them"):
        take_down(run, Choice(), restoring=both)
    assert tree(run) == before
    take_down(run, Choice(), restoring=both[:1])
    with pytest.raises(UserError, match="restore one of them"):
        take_down(run, Choice(), restoring=both[1:])


def test_what_must_not_come_back_is_refused_and_nothing_is_done(run: Run) -> None:
    located, kept = twin(run), kept_twin(run)
    document = read_document(run)
    with pytest.raises(UserError, match="stands in its place and was not taken down"):
        take_down(run, Choice(), restoring=[located.doc_id.hex()])
    with pytest.raises(UserError, match="not removed as a duplicate"):
        take_down(run, Choice(), restoring=[document["doc_id"]])
    with pytest.raises(UserError, match="no such document"):
        take_down(run, Choice(), restoring=["0" * 32])
    take_down(run, Choice(ids=(kept,)))
    with pytest.raises(UserError, match="its text is gone"):
        take_down(run, Choice(), restoring=[kept])
    strict = run.recipe.filter.model_copy(update={"rules": ["gopher_quality"]})
    strict = strict.model_copy(
        update={"gopher_quality": {**getattr(strict, "gopher_quality", {}), "min_words": 90_000}}
    )
    changed = Run(run.root, run.recipe.model_copy(update={"filter": strict}))
    with pytest.raises(UserError, match=r"the filter would drop it: gopher_quality\.min_words"):
        take_down(changed, Choice(), restoring=[located.doc_id.hex()])
    assert not storage.exists(run.url(layout.RESTORED))


def test_neighbour_of_a_validation_document_is_known(held_out: Path) -> None:
    run = Run.open(held_out)
    index = DocIndex(run)
    shard = next(iter(sorted(Path(run.root).glob("verdicts/tokenize/*.arrow"))))
    rows = read_table(shard, VERDICTS).to_pylist()
    near = [row["doc_id"].hex() for row in rows if row["keep"] is False or row["split"] == "validation"]
    far = [row["doc_id"].hex() for row in rows if row["split"] == "train"]
    assert near
    assert far
    assert all(restoring._is_near_validation(run, index.find(doc_id)) for doc_id in near[:5])
    assert not any(restoring._is_near_validation(run, index.find(doc_id)) for doc_id in far[:5])


def test_command_takes_down_and_restores_at_once(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["takedown", run.root, "--ids", kept_twin(run), "--restore", twin(run).doc_id.hex()])
    assert ended.value.code == 0
    shown = capfd.readouterr().out
    assert "1 document taken down" in shown
    assert "1 document came back" in shown
    assert "from epoch 2 on" in shown
