"""Absent, refused and unreachable are three answers, of an object store and of a disk."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pipeline.base import storage
from pipeline.base.errors import NoBucketError, PassingError, RefusedError, RunError, UserError
from pipeline.readers.parts.inputs import list_inputs

pytestmark = [
    pytest.mark.xdist_group("s3"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # aiobotocore's sessions end with the process
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ROOT, URL = "s3://bucket/run", "s3://bucket/run/a/x.bin"
ASKED: dict[str, Callable[[str], Any]] = {
    "exists": storage.exists,
    "is_folder": storage.is_folder,
    "size": storage.size,
    "read_bytes": storage.read_bytes,
    "read_if_there": storage.read_if_there,
    "open_local": storage.open_local,
    "open_if_there": storage.open_if_there,
    "list_files": storage.list_files,
    "delete": storage.delete,
    "publish": lambda url: storage.publish_bytes(b"new", url, ROOT),
}


def everything(_: Any) -> bool:
    return True


@pytest.mark.parametrize("answer", [503, 403, 0])
@pytest.mark.parametrize("name", ASKED)
def test_request_that_is_refused_or_cut_is_an_error_that_names_the_object(faulty: Any, name: str, answer: int) -> None:
    storage.publish_bytes(b"abc", URL, ROOT)
    kind = RefusedError if answer == 403 else PassingError
    with faulty.refusing(everything, answer), pytest.raises(kind) as raised:
        ASKED[name](URL)
    assert str(raised.value).startswith("the object store failed: ")
    assert URL in str(raised.value)
    assert "run the same command again" in str(raised.value)
    assert faulty.objects("bucket") == {"run/a/x.bin": b"abc"}
    ASKED[name](URL)


def test_what_is_absent_is_absent(faulty: Any) -> None:
    assert (storage.exists(URL), storage.size(URL), storage.read_if_there(URL)) == (False, None, None)
    assert (storage.open_if_there(URL), storage.list_files(ROOT)) == (None, [])
    storage.delete(URL)
    for ask in (storage.read_bytes, storage.open_local):
        with pytest.raises(FileNotFoundError, match=URL):
            ask(URL)
    storage.publish_bytes(b"abc", URL, ROOT)
    assert not storage.exists(f"{ROOT}/a"), "a folder is no file"
    assert storage.is_folder(f"{ROOT}/a")


def test_read_that_may_find_nothing_is_one_request(faulty: Any) -> None:
    storage.publish_bytes(b"abc", URL, ROOT)
    faulty.seen.clear()
    assert storage.read_if_there(URL) == b"abc"
    assert storage.read_if_there(f"{URL}.not") is None
    assert [(asked.kind, asked.key) for asked in faulty.seen] == [("GET", "run/a/x.bin"), ("GET", "run/a/x.bin.not")]


@pytest.mark.parametrize("name", ASKED)
def test_bucket_that_is_not_there_is_not_an_absent_object(faulty: Any, name: str) -> None:
    with pytest.raises(NoBucketError, match="make the bucket, or correct the URL"):
        ASKED[name]("s3://no-such-bucket/run/x.bin")


def test_server_that_is_not_there_is_named(faulty: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    with monkeypatch.context() as patched:
        patched.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        s3fs.S3FileSystem.clear_instance_cache()
        with pytest.raises(PassingError, match=r"Could not connect to the endpoint URL: .*127\.0\.0\.1:9"):
            storage.exists(URL)
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("path", ["in/*.txt", "in", "in/a.txt", "i*", "in/**", "*/a.txt"])
@pytest.mark.parametrize("answer", [503, 403])
def test_inputs_that_cannot_be_listed_are_not_no_inputs(faulty: Any, path: str, answer: int) -> None:
    for name in ("a", "b"):
        storage.publish_bytes(name.encode(), f"s3://bucket/in/{name}.txt", "s3://bucket")
    files = list_inputs("s", [f"s3://bucket/{path}"]).files
    assert files
    faulty.seen.clear()
    list_inputs("s", [f"s3://bucket/{path}"])
    for number in range(len(faulty.seen)):  # each request in turn
        left = iter(range(number))
        with (
            faulty.refusing(lambda _, left=left: next(left, None) is None, answer),
            pytest.raises(RunError, match="the object store failed"),
        ):
            list_inputs("s", [f"s3://bucket/{path}"])
    assert list_inputs("s", [f"s3://bucket/{path}"]).files == files


class Sulking(MemoryFileSystem):
    """A file system with fsspec's own ``find``, one folder of which cannot be listed."""

    protocol = "sulking"
    find = fsspec.spec.AbstractFileSystem.find

    def ls(self, path: str, detail: bool = True, **options: Any) -> Any:
        if path.rstrip("/").endswith("locked"):
            raise PermissionError("not for you")
        return super().ls(path, detail=detail, **options)


@pytest.fixture
def sulking() -> Iterator[str]:
    fsspec.register_implementation("sulking", Sulking, clobber=True)
    Sulking.store.clear()
    for name in ("open/a.txt", "locked/b.txt"):
        storage.publish_bytes(b"x", f"sulking://run/{name}", "sulking://run")
    yield "sulking://run"
    Sulking.store.clear()


def test_folder_that_cannot_be_listed_is_not_left_out(sulking: str) -> None:
    assert storage.list_files(f"{sulking}/open") == ["a.txt"]
    with pytest.raises(RefusedError, match=r"not for you \(while listing sulking://run\)"):
        storage.list_files(sulking)
    for pattern in ("*/*.txt", "**/*.txt"):
        with pytest.raises(RefusedError, match="not for you"):
            list_inputs("s", [f"{sulking}/{pattern}"])


def test_unknown_scheme_is_a_usage_error() -> None:
    with pytest.raises(UserError, match="ftpx://host/x"):
        storage.exists("ftpx://host/x")


# -- a disk


@pytest.fixture
def refusing_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Path]:
    """A folder below which the system answers with an error; a test that runs as root is refused nothing otherwise."""

    def refuse(number: int) -> Path:
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / "x.bin").write_bytes(b"abc")
        for name in ("stat", "scandir", "unlink", "open"):
            true = getattr(os, name)

            def answer(path: Any = ".", *arguments: Any, true: Any = true, **named: Any) -> Any:
                if isinstance(path, str | Path) and str(path).startswith(str(tmp_path / "in")):
                    raise OSError(number, os.strerror(number), str(path))
                return true(path, *arguments, **named)

            monkeypatch.setattr(os, name, answer)
        return tmp_path

    return refuse


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ELOOP])
def test_error_of_a_disk_is_not_absence(refusing_disk: Callable[[int], Path], number: int) -> None:
    path = refusing_disk(number) / "in" / "x.bin"
    for name in ("exists", "is_folder", "size", "open_if_there", "delete"):
        with pytest.raises(OSError, match=r"in/x\.bin") as raised:
            ASKED[name](str(path))
        assert raised.value.errno == number
    with pytest.raises(OSError, match="in"):
        storage.list_files(str(path.parent))
    with pytest.raises(OSError, match="in"):
        storage.list_files(str(path.parent.parent))


def test_loop_of_symbolic_links_is_not_absence(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for name in ("exists", "size", "read_if_there", "open_if_there"):
        with pytest.raises(OSError, match="loop") as raised:
            ASKED[name](str(tmp_path / "loop"))
        assert raised.value.errno == errno.ELOOP


def test_below_a_file_nothing_can_stand(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    below = str(tmp_path / "file" / "recipe.toml")
    assert (storage.exists(below), storage.size(below), storage.read_if_there(below)) == (False, None, None)
    assert storage.list_files(str(tmp_path / "file")) == []
