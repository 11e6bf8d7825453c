"""Folders of a user's own: the cache, and what lies in the temporary folder that everybody shares."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.base import storage


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    storage._can_be_written.cache_clear()
    yield folder
    storage._can_be_written.cache_clear()


def taken(folder: Path, number: str = "") -> Path:
    """Our name, and what stands for another user's: nothing in it is ours, whoever owns the link."""
    return folder / f"tokenmill-{os.geteuid()}{number}"


def test_folder_in_the_temporary_one_is_of_this_user_alone(temporary: Path) -> None:
    folder = storage.temporary_folder("scratch")
    assert folder == temporary / f"tokenmill-{os.geteuid()}/scratch" == storage.temporary_folder("scratch")
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    folder.parent.chmod(0o777)
    storage.temporary_folder("scratch")
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


def test_name_that_another_user_has_taken_is_left_to_him(temporary: Path, tmp_path: Path) -> None:
    """A link too: what it leads to may be ours, and who made it can lead it elsewhere."""
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o755)
    taken(temporary).symlink_to(victim)
    assert storage.temporary_folder("cache") == taken(temporary, "-1") / "cache"
    assert list(victim.iterdir()) == []
    assert stat.S_IMODE(victim.stat().st_mode) == 0o755
    if os.geteuid() == 0:
        os.chown(taken(temporary, "-1"), 12345, 12345)
        assert storage.temporary_folder("cache") == taken(temporary, "-2") / "cache"


def test_when_all_names_are_taken_the_words_say_what_to_do(temporary: Path) -> None:
    for number in ("", *(f"-{n}" for n in range(1, storage.TEMPORARY_NAMES))):
        taken(temporary, number).symlink_to("elsewhere")
    with pytest.raises(FileExistsError, match="set TMPDIR to a folder of yours"):
        storage.temporary_folder("scratch")


def test_cache_is_the_users_own_where_it_can_be_written_and_nothing_is_made_by_asking(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOKENMILL_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert storage.cache_folder() == tmp_path / "home/.cache/tokenmill"
    assert not (tmp_path / "home").exists()
    monkeypatch.setenv("HOME", "/dev/null")  # of a user without a home; a file, also for a superuser
    assert storage.cache_folder() == storage.temporary_folder("cache")
    assert storage.wanted_cache_folder() == "/dev/null/.cache/tokenmill"


def test_user_without_a_name_or_a_home_has_no_folder_named_tilde(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOKENMILL_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert storage.cache_folder() == storage.temporary_folder("cache")


def test_scratch_of_a_root_on_an_object_store_is_its_own_and_is_cleared(temporary: Path) -> None:
    one, other = storage.scratch("memory://bucket/one"), storage.scratch("memory://bucket/other")
    for path in (one, other):
        path.write_bytes(b"half")
        assert taken(temporary) in path.parents
    storage.clear_scratch("memory://bucket/one")
    assert not one.exists()
    assert other.exists()
