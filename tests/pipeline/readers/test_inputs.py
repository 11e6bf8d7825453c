"""Which files of a folder are inputs: links, globs, and names that are not UTF-8."""

import os
from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.readers.parts.inputs import InputFile, list_inputs
from pipeline.recipe.globs import Selection, pattern, wrong
from pipeline.recipe.options import Source


def listed(*paths: Path | str, selection: Selection | None = None, follow_links: bool = False) -> list[InputFile]:
    return list(list_inputs("s", [str(path) for path in paths], selection, follow_links=follow_links).files)


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with links within it, out of it, and to nothing."""
    write(tmp_path, "in/a.txt", "in/sub/b.txt", "secret/c.txt", "secret.txt")
    for link, target in {
        **{"in/within.txt": "sub/b.txt", "in/out.txt": "../secret.txt", "in/out": "../secret"},
        **{"in/nothing.txt": "gone", "in/absolute.txt": str(tmp_path / "in" / "a.txt")},
    }.items():
        (tmp_path / link).symlink_to(target)
    return tmp_path / "in"


@pytest.mark.parametrize("path", ["", "*", "**/*"])
def test_link_out_of_the_folder_is_not_followed_but_told(folder: Path, path: str) -> None:
    found = {file.path: file.excluded for file in listed(folder / path)}
    assert found == {
        **dict.fromkeys(("a.txt", "sub/b.txt")),
        **{"out.txt": "outside_link", "out": "outside_link", "nothing.txt": "broken_link"},
    }


def test_link_is_followed_where_it_is_named_or_asked_for(folder: Path) -> None:
    assert [file.excluded for file in listed(folder / "out.txt")] == [None]
    found = {file.path: file.excluded for file in listed(folder, follow_links=True)}
    assert found["out.txt"] is None
    assert found["out/c.txt"] is None
    assert found["nothing.txt"] == "broken_link"


def test_link_to_what_is_read_anyway_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "manuals/a.txt", "manuals/deep/b.txt", ".store/c.txt")
    for link, target in {
        "latest": "manuals",
        "z": "manuals/deep",
        "c1.txt": ".store/c.txt",
        "c2.txt": "c1.txt",
    }.items():
        (tmp_path / link).symlink_to(target)
    (tmp_path / "manuals/up").symlink_to("..")
    assert [file.path for file in listed(tmp_path)] == ["c1.txt", "manuals/a.txt", "manuals/deep/b.txt"]
    linked = listed(tmp_path, selection=Selection(include=["latest/**"]))
    assert [file.path for file in linked] == ["latest/a.txt", "latest/deep/b.txt"], "by its only wanted name"
    assert [file.path for file in listed(tmp_path / "latest") if not file.excluded] == ["a.txt", "deep/b.txt"]


INFO, CACHE = "dataset_info.json", "cache-0123456789abcdef"


@pytest.mark.parametrize("path", ["", "*", "**/*"])
def test_library_files_of_saved_datasets_are_told_from_data(tmp_path: Path, path: str) -> None:
    saved = ("state.json", INFO, f"{CACHE}.arrow", f"{CACHE}_00001_of_00004.arrow", "data-00000-of-00001.arrow")
    folders = [f"in/two/{split}/{name}" for split in ("train", "test") for name in saved]
    write(tmp_path, *folders, "in/two/dataset_dict.json", f"in/cached/{INFO}", "in/cached/d-train.arrow")
    write(
        tmp_path,
        f"in/own/{CACHE}.arrow",
        "in/own/state.json",
        "in/own/dataset_dict.json",
        f"in/other/{INFO}",
        "in/dataset_infos.json",
    )
    found = {file.path: (file.excluded, file.size > 0) for file in listed(tmp_path / "in" / path)}
    data = {name: why for name, (why, _) in found.items() if why is None}
    own = ("own/cache-0123456789abcdef.arrow", "own/state.json", "own/dataset_dict.json", f"other/{INFO}")
    splits = [f"two/{split}/data-00000-of-00001.arrow" for split in ("train", "test")]
    assert sorted(data) == sorted([*splits, "cached/d-train.arrow", *own])
    assert found["two/train/state.json"] == ("dataset_info", True)
    assert found[f"two/test/{CACHE}_00001_of_00004.arrow"] == ("dataset_cache", True)
    assert found["two/dataset_dict.json"] == ("dataset_info", True)
    assert found["dataset_infos.json"] == ("dataset_info", True)


def test_cached_rows_of_a_dataset_are_read_where_they_are_named(tmp_path: Path) -> None:
    write(tmp_path, f"{CACHE}.arrow", INFO, "data-00000-of-00001.arrow")
    assert [file.excluded for file in listed(tmp_path / f"{CACHE}.arrow")] == [None]


def test_links_of_a_hugging_face_cache_are_followed(tmp_path: Path) -> None:
    blob = "0123456789abcdef" * 4
    write(tmp_path, f"blobs/{blob}")
    (tmp_path / "snapshots/1/data").mkdir(parents=True)
    (tmp_path / "snapshots/1/data/a.jsonl").symlink_to(f"../../../blobs/{blob}")
    assert [file.excluded for file in listed(tmp_path / "snapshots/1")] == [None]


def test_include_and_exclude_name_files_and_folders(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "a.txt", "sub/b.md", "drafts/c.md", "sub/drafts/d.md", "sub/deep/er/e.md")
    for include, exclude, wanted in (
        (["*.md"], [], "a.md drafts/c.md sub/b.md sub/deep/er/e.md sub/drafts/d.md"),
        (["*.md"], ["drafts"], "a.md sub/b.md sub/deep/er/e.md"),
        ([], ["drafts/", "*.txt"], "a.md sub/b.md sub/deep/er/e.md"),
        (["sub/*.md"], [], "sub/b.md"),
        (["sub/**/*.md"], ["**/drafts/**"], "sub/b.md sub/deep/er/e.md"),
        (["sub", "a.t?t"], ["[a-d].md"], "a.txt sub/deep/er/e.md"),
        (["./a.md"], [], "a.md"),
    ):
        found = [file.path for file in listed(tmp_path, selection=Selection(include, exclude))]
        assert found == sorted(wanted.split()), (include, exclude)


def test_globs_that_leave_no_file_are_an_error(tmp_path: Path) -> None:
    write(tmp_path, "a.txt")
    with pytest.raises(UserError, match="include and exclude leave none of the 1 files"):
        listed(tmp_path, selection=Selection(["*.md"]))


def test_glob_that_can_name_nothing_is_refused() -> None:
    for glob in ("/data/*.md", "s3://bucket/x", "", "./", "[z-a]"):
        assert wrong(glob) is not None, glob
    with pytest.raises(ValueError, match="include: '/a' is absolute"):
        Source.model_validate({"name": "s", "paths": ["x"], "include": ["/a"]})


def test_characters_of_a_glob_stand_for_themselves() -> None:
    for name in ("a.b", "a+b(c)", "a|b", "a^b$", "[", "a]b", "é{x}"):
        assert pattern(name).match(name), name
        assert not pattern(name).match("other")
    assert pattern("[!a]x").match("bx")
    assert not pattern("[!a]x").match("ax")
    assert not pattern("a[^/]b").match("a/b")


def test_two_names_that_look_alike_are_two_files(tmp_path: Path) -> None:
    names = [b"a\xff.txt", rb"a\xff.txt", b"a\xfe.txt"]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(name)
    found = listed(tmp_path)
    assert len({file.path for file in found}) == 3
    assert sorted(os.fsencode(file.url).rsplit(b"/", 1)[1] for file in found) == sorted(names)
