"""A lock is taken in a file of its own: what a link in its place leads to is neither emptied nor written."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.base.errors import RunError
from pipeline.base.locks import file_lock
from pipeline.recipe.options import Recipe, Source
from pipeline.run.folder import Run

LINKS = [os.symlink, os.link]


@pytest.mark.parametrize("link", LINKS)
def test_file_that_a_link_leads_to_is_left_alone(link: Callable[..., None], tmp_path: Path) -> None:
    victim, lock = tmp_path / "victim", tmp_path / "run/.lock"
    victim.write_text("precious", encoding="utf-8")
    lock.parent.mkdir()
    link(victim, lock)
    with pytest.raises(OSError, match="link"), file_lock(lock):
        pass
    with pytest.raises(RunError, match="cannot write to the run folder"):
        Run(str(lock.parent), Recipe(sources=[Source(name="s", paths=["x"])])).lock().__enter__()
    assert victim.read_text("utf-8") == "precious"


def test_lock_that_was_taken_before_is_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with file_lock(tmp_path / "lock"):
            assert b"pid" in (tmp_path / "lock").read_bytes()
