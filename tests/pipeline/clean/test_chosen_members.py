"""``include`` and ``exclude`` go into archives, and a glob that names nothing is told."""

import io
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.pool import InProcess
from pipeline.clean.stage import plan_jobs
from pipeline.clean.stage import run as clean
from pipeline.preview.sources import look_at_sources
from pipeline.readers.parts.inputs import list_inputs
from pipeline.recipe.globs import Selection, archive_of, into_archives
from pipeline.recipe.options import Recipe
from pipeline.run.context import Context
from pipeline.run.folder import Run
from pipeline.run.table_files import read_table
from pipeline.run.tables import DOCUMENTS

TEXT = "The valve on pump {} is closed by hand before the filter is taken out."
MEMBERS = ("notes.txt", "drafts/a.txt", "drafts/old/b.md", "data.csv")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two archives with the same members, one of them in a folder, and two files."""
    root = tmp_path / "in"
    (root / "sub").mkdir(parents=True)
    with zipfile.ZipFile(root / "a.zip", "w") as archive:
        for name in MEMBERS:
            archive.writestr(name, _content(f"zip {name}"))
    with tarfile.open(root / "sub" / "b.tar.gz", "w:gz") as tar:
        for name in MEMBERS:
            data = _content(f"tar {name}").encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    for name in ("drafts.txt", "sub/c.txt"):
        (root / name).write_text(TEXT.format(name))
    return root


def _content(name: str) -> str:
    text = TEXT.format(name)
    return f"id,text\n1,{text}\n" if name.endswith(".csv") else text


def recipe(folder: Path, **source: Any) -> Recipe:
    wanted = {"stages": ["clean"], "sources": [{"name": "s.1", "paths": [str(folder)], **source}]}
    return Recipe.model_validate(wanted)


def cleaned(folder: Path, **source: Any) -> tuple[set[str], Sequence[str]]:
    """Paths of the documents, and the notes."""
    run = Run(str(folder.parent / "run"), recipe(folder, **source))
    run.write_recipe()
    summary = clean(Context(run, InProcess()))
    shards = sorted(Path(run.root, "documents").iterdir())
    paths = {path for shard in shards for path in read_table(shard, DOCUMENTS, ["path"])["path"].to_pylist()}
    return paths, summary.get("notes", ())


def of_zip(*names: str) -> set[str]:
    return {f"a.zip/{name}" for name in names}


def of_tar(*names: str) -> set[str]:
    return {f"sub/b.tar.gz/{name}" for name in names}


FILES = {"drafts.txt", "sub/c.txt"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"exclude": ["a.zip/drafts"]}, FILES | of_zip("notes.txt", "data.csv") | of_tar(*MEMBERS)),
        (
            {"exclude": ["**/*.zip/**/*.csv", "sub/*.tar.gz/**/*.csv"]},
            FILES | of_zip(*MEMBERS[:3]) | of_tar(*MEMBERS[:3]),
        ),
        ({"exclude": ["*.tar.gz/*"]}, FILES | of_zip(*MEMBERS) | of_tar(*MEMBERS)),
        ({"exclude": ["*.txt", "*.csv"]}, of_zip(*MEMBERS) | of_tar(*MEMBERS)),
        ({"include": ["a.zip/drafts/*.txt"]}, of_zip("drafts/a.txt")),
        ({"include": ["a.zip/drafts", "*.txt"]}, FILES | of_zip("drafts/a.txt", "drafts/old/b.md")),
        ({"include": ["a.zip/drafts", "a.zip", "**/*.tar.gz/*.csv"]}, of_zip(*MEMBERS) | of_tar("data.csv")),
        ({"include": ["a.zip/**/*.md", "a.zip/notes.txt"], "exclude": ["a.zip/drafts/old"]}, of_zip("notes.txt")),
    ],
)
def test_globs_choose_members_behind_the_part_that_names_their_archive(
    folder: Path, source: dict[str, Any], expected: set[str]
) -> None:
    assert cleaned(folder, **source)[0] == expected


def test_a_recipe_whose_globs_are_of_files_alone_keeps_its_shards(folder: Path) -> None:
    for source in ({}, {"exclude": ["*.txt"]}, {"include": ["*.zip"]}):
        assert [job.config["source"].get("members") for job in plan_jobs(recipe(folder, **source))] == [None]
    (job,) = plan_jobs(recipe(folder, exclude=["*.md", "a.zip/drafts"]))
    assert job.config["source"]["members"] == {"include": [], "exclude": ["a.zip/drafts"]}


def test_globs_that_name_nothing_are_told(folder: Path) -> None:
    globs = ["*.pfd", "a.zip/darfts/*.txt", "old.zip/*.txt", "a.zip/data.csv", "*.txt"]
    notes = cleaned(folder, exclude=globs)[1]
    assert notes == [
        "source s.1: of include and exclude, '*.pfd', 'old.zip/*.txt' name nothing that is there",
        "source s.1: of include and exclude, 'a.zip/darfts/*.txt' names no member of its archives",
    ]
    assert cleaned(folder, exclude=["*.txt"])[1] == ()


def test_dry_run_tells_globs_that_name_no_file_but_not_that_of_the_run_to_come(folder: Path) -> None:
    wanted = recipe(folder, exclude=["runs/mine", "*.pfd", "a.zip/darfts/*"])
    (looked,) = look_at_sources(wanted, str(folder / "runs" / "mine"))
    told = [line for line in looked.lines() if "include" in line]
    assert told[-1] == "  of include and exclude, '*.pfd' names nothing that is there"
    assert looked.as_dict()["naming_nothing"] == ["runs/mine", "*.pfd"]


def test_archive_is_listed_for_the_sake_of_its_members(folder: Path) -> None:
    found = list_inputs("s", [str(folder)], Selection(include=["a.zip/drafts/*.txt"]))
    assert [file.path for file in found.files] == ["a.zip"]
    assert [archive_of(glob) for glob in ("a.zip", "zip/a.txt", "x/A.ZIP/b", "*.tar.zst/**", "**/*.csv")] == [
        *(None, None, "x/A.ZIP", "*.tar.zst", None)
    ]
    assert into_archives([], []) is None
