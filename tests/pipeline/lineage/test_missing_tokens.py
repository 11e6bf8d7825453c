"""A token shard that is gone: every question whose answer hangs on it refuses, instead of counting the others."""

from pathlib import Path

import pytest

from flows.session.stages import run_stage, working_context
from pipeline.base.errors import RunError
from pipeline.base.pool import InProcess
from pipeline.lineage.explain import as_text, explain
from pipeline.lineage.licences import licences
from pipeline.lineage.trace import trace, window_text
from pipeline.lineage.training import Training
from pipeline.lookup.locate import DocIndex
from pipeline.run import layout
from pipeline.run.folder import Run
from tests.pipeline.lineage.helpers import documents


def gone(run: Run) -> str:
    """Removes the last training shard; its path."""
    path = max(Path(run.url(layout.TRAIN_TOKENS)).glob("*.arrow"))
    path.unlink()
    return f"{layout.TRAIN_TOKENS}{path.name}"


def test_answers_from_the_tokens_are_refused_with_the_shard_and_what_makes_it_again(run: Run) -> None:
    path = gone(run)
    for ask in (lambda: licences(run), lambda: trace(run, 1, 3), lambda: window_text(run, 1, 0)):
        with pytest.raises(RunError, match=f"{path}: missing.*--stages tokenize"):
            ask()


def test_its_documents_are_not_said_to_have_no_tokens(run: Run) -> None:
    index = DocIndex(run)
    places = [index.find(row["doc_id"].hex()) for row in documents(run)]  # type: ignore[attr-defined]
    ranges = {place: Training(run).token_range(place) for place in places}
    path = gone(run)
    document = next(place for place, found in ranges.items() if found is not None and found.path == path)
    with pytest.raises(RunError, match=f"{path}: missing"):
        Training(run).token_range(document)
    found = explain(run, document)
    assert f"{path}: missing" in found["training"]["note"]
    assert "it is not in the training or validation set" not in as_text(found)


def test_what_is_advised_makes_it_again(run: Run) -> None:
    told, path = licences(run)["rows"], gone(run)
    with run.lock():  # as `tokenmill run RECIPE --root RUN --stages tokenize` does it
        run_stage("tokenize", working_context(run, InProcess()))
    assert Path(run.url(path)).exists()
    assert licences(run)["rows"] == told
