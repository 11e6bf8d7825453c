"""Clones of the suites' repositories: found in a folder, else fetched; their files as they are committed."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

GIT_SECONDS = 600
LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class Repository:
    """Where a suite's files come from."""

    owner: str
    name: str

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://github.com/{self.owner}/{self.name}"


class MissingSuiteError(Exception):
    """A clone is not there, and could not be made; or it has none of the files."""


@dataclass
class Clone:
    """A clone, with a work tree or bare; or the files alone.

    Attributes:
        absent: Paths of files that the clone names but does not hold.
    """

    folder: Path
    absent: list[str] = field(default_factory=list)

    def _git(self) -> Path | None:
        if (self.folder / ".git").is_file():  # a work tree beside the first one
            return Path((self.folder / ".git").read_text(encoding="utf-8").removeprefix("gitdir:").strip())
        for place in (self.folder / ".git", self.folder):
            if (place / "HEAD").is_file() and (place / "objects").is_dir():
                return place
        return None

    def commit(self) -> str:
        """The commit's first twelve digits; a word where there is no history."""
        git = self._git()
        return _run(git, "rev-parse", "HEAD")[:12].decode() if git else "no history"

    def files(self, *below: str, parent: bool = False) -> Iterator[tuple[str, bytes]]:
        """Paths and bytes of the regular files below folders, in byte order of their paths.

        Args:
            below: Folders, ending in a slash, or beginnings of paths; all files where there are none.
            parent: Of the commit before, for files that have moved away since.
        """
        git = self._git()
        found = self._committed(git, parent) if git else self._lying()
        for path, data in found:
            if path.startswith(below or ("",)) and not data.startswith(LFS_POINTER):
                yield path, data
            elif path.startswith(below or ("",)):
                self.absent.append(path)

    def _lying(self) -> Iterator[tuple[str, bytes]]:
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(self.folder).as_posix(), path.read_bytes()

    def _committed(self, git: Path, parent: bool) -> Iterator[tuple[str, bytes]]:
        listing = _run(git, "ls-tree", "-r", "-z", "HEAD~1" if parent else "HEAD")
        blobs = []
        for entry in filter(None, listing.split(b"\0")):
            about, _, path = entry.partition(b"\t")
            mode, kind, name = about.split()
            if kind == b"blob" and mode != b"120000":
                blobs.append((path.decode("utf-8", "surrogateescape"), name))
        yield from self._blobs(git, sorted(blobs))

    def _blobs(self, git: Path, blobs: list[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        command = ["git", f"--git-dir={git}", "cat-file", "--batch"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for path, name in blobs:
                process.stdin.write(name + b"\n")
                process.stdin.flush()
                answer = process.stdout.readline().split()
                if answer[-1] == b"missing":
                    self.absent.append(path)
                    continue
                yield path, process.stdout.read(int(answer[2]))
                process.stdout.read(1)
            process.stdin.close()


@dataclass
class Clones:
    """The folder that holds them.

    Args:
        folder: With a clone of each repository, named as it is.
        fetch: Whether what is missing is cloned.
    """

    folder: Path
    fetch: bool = True
    used: dict[str, Clone] = field(default_factory=dict)

    def get(self, repository: Repository) -> Clone:
        """The clone of a repository.

        Raises:
            MissingSuiteError: If there is none, and git could not make one.
        """
        place = self.folder / repository.name
        if not place.is_dir():
            if not self.fetch:
                raise MissingSuiteError(f"no clone of {repository.url} at {place}")
            self._clone(repository, place)
        return self.used.setdefault(repository.url, Clone(place))

    def _clone(self, repository: Repository, place: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = ["git", "clone", "--quiet", "--depth", "2", repository.url, str(place)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MissingSuiteError(f"no clone at {place}, and git clone {repository.url} failed: {error}") from error
        if done.returncode:
            said = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
            raise MissingSuiteError(f"no clone at {place}, and git clone {repository.url} failed: {said}")


def _run(git: Path, *arguments: str) -> bytes:
    command = ["git", f"--git-dir={git}", *arguments]
    return subprocess.run(command, capture_output=True, check=True, timeout=GIT_SECONDS).stdout.rstrip(b"\n")
