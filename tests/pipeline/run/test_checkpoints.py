"""Which checkpoints count while one training replaces another: at no moment none, on a disk and in an object store."""

import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from pipeline.base import storage
from pipeline.base.errors import FormatError
from pipeline.run import checkpoints, layout
from pipeline.run.checkpoints import Succession

OLD, NEW = (6, 8), 8
FILES = ("model.safetensors", "tokenizer.json", "state.json")


class Killed(BaseException):
    pass


def write(root: str, path: str, step: int, who: str) -> None:
    for name in FILES:
        text = f'{{"format": 1, "step": {step}, "trajectory": "{who}"}}' if name == "state.json" else who
        storage.publish_bytes(text.encode(), storage.join(root, path, name), None)


@pytest.fixture(params=["disk", "store"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TOKENMILL_CACHE", str(tmp_path / "cache"))
    return str(tmp_path / "run") if request.param == "disk" else f"memory://{uuid4().hex}/run"


def prepared(root: str) -> None:
    for step in OLD:
        write(root, layout.checkpoint(step), step, "old")
    checkpoints.begin_succession(root, Succession("new", OLD))
    assert list(checkpoints.standing(root)) == list(OLD)
    write(root, layout.next_checkpoint(NEW), NEW, "new")


def owners(root: str) -> set[str]:
    """Whose each checkpoint that counts is, by every file of it."""
    found = set()
    for step, path in checkpoints.standing(root).items():
        found.add(checkpoints.read_state(root, step)["trajectory"])
        found |= {storage.read_bytes(storage.join(root, path, name)).decode() for name in FILES[:-1]}
    return found


def dying(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the process die before its ``number``-th change of the run."""
    calls = itertools.count(1)

    def before(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if next(calls) >= number:
                raise Killed
            return real(*arguments, **options)

        return call

    for owner, name in ((storage, "delete"), (storage, "publish"), (checkpoints.os, "rename")):  # type: ignore[attr-defined]
        monkeypatch.setattr(owner, name, before(getattr(owner, name)))


@pytest.mark.parametrize("number", range(1, 25))
def test_killed_at_any_change_a_whole_successor_counts_and_takes_its_place(
    root: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(root)
    with monkeypatch.context() as patch:
        dying(number, patch)
        with contextlib.suppress(Killed):
            checkpoints.promote(root)
    assert owners(root) == {"new"}
    checkpoints.promote(root)
    checkpoints.remove_incomplete(root)
    assert checkpoints.standing(root) == {NEW: layout.checkpoint(NEW)}
    assert owners(root) == {"new"}
    assert checkpoints.succession(root) == Succession("new")
    names = storage.list_files(storage.join(root, layout.CHECKPOINTS))
    assert names == sorted(["succession.json", *(f"step-{NEW:07d}/{name}" for name in FILES)])


def test_half_written_successor_does_not_count(root: str) -> None:
    prepared(root)
    storage.delete(storage.join(root, layout.next_checkpoint(NEW), layout.CHECKPOINT_STATE))
    assert owners(root) == {"old"}
    checkpoints.promote(root)
    assert list(checkpoints.standing(root)) == list(OLD)
    checkpoints.remove_incomplete(root)
    assert owners(root) == {"old"}
    assert not storage.list_files(storage.join(root, layout.NEXT_CHECKPOINTS))


def test_checkpoints_that_a_successor_goes_on_from_stay(root: str) -> None:
    prepared(root)
    checkpoints.begin_succession(root, Succession("new", (8,)))
    checkpoints.promote(root)
    assert checkpoints.standing(root) == {step: layout.checkpoint(step) for step in (6, 8)}
    assert checkpoints.read_state(root, 6)["trajectory"] == "old"
    assert checkpoints.read_state(root, 8)["trajectory"] == "new"


def test_damaged_record_of_a_succession_is_named(root: str) -> None:
    storage.publish_bytes(b"{", storage.join(root, layout.SUCCESSION), None)
    with pytest.raises(FormatError, match=r"succession\.json: damaged .*delete it"):
        checkpoints.succession(root)
