from pathlib import Path

import fsspec
import pytest

from pipeline.base import storage


@pytest.fixture(params=["local", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path)
    fsspec.filesystem("memory").store.clear()
    return "memory://bucket/run"


def test_published_bytes_are_read_back_and_listed(root: str) -> None:
    storage.publish_bytes(b"abc", storage.join(root, "a/b.bin"), storage.join(root, "a"))
    assert storage.read_bytes(storage.join(root, "a/b.bin")) == b"abc"
    assert storage.list_files(root) == ["a/b.bin"]
    assert storage.size(storage.join(root, "a/b.bin")) == 3


def test_deleting_twice_is_fine(root: str) -> None:
    url = storage.join(root, "x.bin")
    storage.publish_bytes(b"abc", url, root)
    storage.delete(url)
    storage.delete(url)
    assert not storage.exists(url)
    assert storage.size(url) is None


def test_open_local_gives_the_bytes_of_the_newest_version(
    root: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOKENMILL_CACHE", str(tmp_path / "cache"))
    url = storage.join(root, "x.bin")
    for data in (b"one", b"three"):
        storage.publish_bytes(data, url, root)
        assert storage.open_local(url).read_bytes() == data


def test_scratch_files_are_never_listed_and_are_cleared(tmp_path: Path) -> None:
    storage.scratch(str(tmp_path)).write_bytes(b"half")
    assert storage.list_files(str(tmp_path)) == []
    storage.clear_scratch(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_copy_that_another_process_is_making_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TOKENMILL_CACHE", str(tmp_path / "cache"))
    url = "memory://bucket/run/shared.bin"
    storage.publish_bytes(b"three", url, "memory://bucket/run")
    copy = storage.open_local(url)
    copy.unlink()
    partial = copy.with_name(".shared.bin.of-another-process")
    partial.write_bytes(b"thr")
    assert storage.open_local(url) == copy
    assert partial.exists()
    storage.publish_bytes(b"a later version", url, "memory://bucket/run")
    assert storage.open_local(url) != copy
    assert not partial.exists()
