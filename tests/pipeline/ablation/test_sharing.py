"""Linked outputs: no copy, and nothing done in one folder reaches the other."""

from pathlib import Path

import pytest

from pipeline.ablation import sharing
from pipeline.base.pool import Pool
from pipeline.run.context import Context
from pipeline.run.folder import Run
from pipeline.run.manifest import load_manifests
from tests.pipeline.run import dummy_stage
from tests.pipeline.run.dummy_run import RECIPE
from tests.trees import tree

STEP = dummy_stage.STEP.name


def work(root: Path, **arguments: object) -> Context:
    run = Run(str(root), RECIPE)
    with run.lock(), Pool(1) as pool:
        context = Context(run, pool)
        context.run_step(dummy_stage.STEP, dummy_stage.jobs(2, **arguments))
        return context


def files(root: Path) -> list[Path]:
    return sorted(path for path in (root / "dummy").rglob("*") if path.is_file())


def test_shared_outputs_are_the_same_files_and_count_as_done(tmp_path: Path) -> None:
    work(tmp_path / "base")
    sharing.share(str(tmp_path / "base"), str(tmp_path / "other"), [STEP])
    assert [a.stat().st_ino for a in files(tmp_path / "base")] == [b.stat().st_ino for b in files(tmp_path / "other")]
    assert work(tmp_path / "other").shards_run == 0


def test_work_in_one_folder_leaves_the_other_as_it_was(tmp_path: Path) -> None:
    work(tmp_path / "base")
    before = tree(tmp_path / "base")
    sharing.share(str(tmp_path / "base"), str(tmp_path / "other"), [STEP])
    assert work(tmp_path / "other", rows=7).shards_run == 2
    assert tree(tmp_path / "base") == before
    assert files(tmp_path / "other")[0].read_bytes() != files(tmp_path / "base")[0].read_bytes()


def test_what_a_folder_has_made_itself_stays(tmp_path: Path) -> None:
    work(tmp_path / "base")
    work(tmp_path / "other", rows=7)
    before = tree(tmp_path / "other")
    sharing.share(str(tmp_path / "base"), str(tmp_path / "other"), [STEP])
    assert tree(tmp_path / "other") == before


def test_mirrored_step_follows_its_source(tmp_path: Path) -> None:
    work(tmp_path / "base")
    work(tmp_path / "other", rows=7)
    sharing.mirror(str(tmp_path / "base"), str(tmp_path / "other"), [STEP])
    assert load_manifests(str(tmp_path / "other"), STEP) == load_manifests(str(tmp_path / "base"), STEP)
    assert files(tmp_path / "other")[0].read_bytes() == files(tmp_path / "base")[0].read_bytes()


def test_file_system_without_links_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import os

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "no links here")

    work(tmp_path / "base")
    monkeypatch.setattr(os, "link", refuse)
    sharing.share(str(tmp_path / "base"), str(tmp_path / "other"), [STEP])
    assert [path.read_bytes() for path in files(tmp_path / "other")] == [
        path.read_bytes() for path in files(tmp_path / "base")
    ]
