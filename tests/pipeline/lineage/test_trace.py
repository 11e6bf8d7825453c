import json
from pathlib import Path

import pytest

from pipeline.base.errors import RunError, UserError
from pipeline.lineage.licences import attribution, licences
from pipeline.lineage.trace import spikes, trace, window_text
from pipeline.lineage.training import Training
from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run
from tests.pipeline.lineage.conftest import STEPS_DONE, run_stages, write_inputs


def test_trace_names_the_documents_of_the_global_batch(run: Run) -> None:
    training = Training(run)
    found = trace(run, 5, 5)
    # a document that gives a window its first token only is read, but nothing of it is a target
    assert {row["doc_id"] for row in found["documents"]} == set(training.dataset.documents(5, training.sequences))
    assert found["tokens"] == 256
    assert sum(found["sources"].values()) == sum(found["licences"].values()) == 256
    assert set(found["sources"]) <= {"prose", "web"}


def test_trace_of_a_range_is_the_sum_of_its_steps(run: Run) -> None:
    whole = trace(run, 2, 4)["sources"]
    single = [trace(run, step, step)["sources"] for step in (2, 3, 4)]
    assert whole == {source: sum(one.get(source, 0) for one in single) for source in whole}


def test_window_text_is_that_of_its_tokens(run: Run) -> None:
    from tokenizers import Tokenizer

    training = Training(run)
    found = window_text(run, 5, 1)
    tokens = training.window_tokens(5 * training.sequences + 1).tolist()
    tokenizer = Tokenizer.from_file(str(Path(run.root) / "tokenizer/tokenizer.json"))
    start = 0
    for part in found["parts"]:
        stop = start + part["tokens"]
        assert part["text"] == tokenizer.decode(tokens[start:stop], skip_special_tokens=False)
        start = stop
    assert start == found["tokens"] == 33


def test_spike_in_the_metrics_leads_to_its_step(run: Run) -> None:
    assert spikes(run)[0]["last"] == 19  # the line of step 20 has the loss of step 19, counted from 0
    assert spikes(run)[0]["loss"] == 9.0


@pytest.mark.parametrize("step", [-1, STEPS_DONE])
def test_step_beyond_the_run_is_refused(run: Run, step: int) -> None:
    with pytest.raises(UserError, match=f"beyond the run, whose steps are 0 to {STEPS_DONE - 1}"):
        trace(run, step, step)


def test_window_beyond_the_batch_is_refused(run: Run) -> None:
    with pytest.raises(UserError, match="has the windows 0 to 7"):
        window_text(run, 0, 8)


def test_checkpoint_of_another_run_is_named(run: Run) -> None:
    state = Path(run.root) / "checkpoints/step-0000020/state.json"
    state.write_text(json.dumps({"format": 1, "step": 20, "tokenizer": "another"}))
    with pytest.raises(RunError, match="a checkpoint from another run"):
        Training(run).check_checkpoints()


def test_licences_count_every_trained_token_once_a_read(run: Run) -> None:
    found = licences(run)
    assert found["tokens"] == STEPS_DONE * 256
    replayed = trace(run, 0, STEPS_DONE - 1)
    by_licence: dict[str, int] = {}
    for row in found["rows"]:
        by_licence[row["licence"]] = by_licence.get(row["licence"], 0) + row["tokens"]
    assert by_licence == replayed["licences"]
    assert set(by_licence) == {"CC-BY-SA-4.0", "MIT", "unknown"}
    assert found["unknown_tokens"] == by_licence["unknown"]


def test_licences_of_the_first_steps_only(run: Run) -> None:
    found = licences(run, steps=7)
    assert found["tokens"] == 7 * 256
    assert sum(row["documents"] for row in found["rows"]) <= len(trace(run, 0, 6)["documents"])


def test_licences_where_the_last_shard_holds_no_token(tmp_path: Path, sample: Path) -> None:
    """The last file of a source is a shard of its own, and all in it is a duplicate."""
    recipe = write_inputs(tmp_path, sample)
    twin = json.loads((tmp_path / "raw/prose.jsonl").read_text().splitlines()[0])
    (tmp_path / "raw/zz.jsonl").write_text(json.dumps(twin | {"scan": "x" * (5 << 20)}) + "\n")
    recipe.write_text(
        recipe.read_text().replace('["raw/web.jsonl"]', '["raw/web.jsonl", "raw/zz.jsonl"]\nmetadata = []')
    )
    run = Run(str(tmp_path / "run"), load_recipe(recipe))
    run_stages(run)
    found = licences(run, steps=0)
    assert {row["source"] for row in found["rows"]} == {"prose", "web"}
    assert sum(row["tokens"] for row in found["rows"]) == found["tokens"] > 0


def test_attribution_file_is_harmless_markdown(run: Run) -> None:
    found = licences(run)
    found["rows"][0]["licence"] = "<script>|`x`"
    page = attribution(found, run)
    assert "<script>" not in page
    assert "CC-BY-SA-4.0" in page or "MIT" in page
    assert "unknown" in page
