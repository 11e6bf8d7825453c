"""The output folder of ``tokenmill dedup run``: everything under its final name at once, or nothing.

The work is done in a partial folder.  Where OUT does not exist yet, that is beside OUT, and one rename makes it OUT.
Where OUT is there and empty (it may be a mount), it is inside OUT, and each entry is renamed, ``summary.json`` last.
"""

import contextlib
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.base.locks import file_lock

KEPT, REMOVED_FILE, CLUSTERS_FILE, QUARANTINE_FILE, SUMMARY = (
    "kept",
    "removed.arrow",
    "clusters.arrow",
    "quarantine.arrow",
    "summary.json",
)
LOCK, SCRATCH = ".lock", ".scratch"


class OutputFolder:
    """A folder that appears when ``publish`` is called; leaving the context removes whatever was not published.

    Args:
        path: OUT.

    Raises:
        UserError: If OUT is a file, is not empty, cannot be made, or another process writes to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.abspath(path))
        self._inside = self.path.is_dir()
        self.partial = (self.path if self._inside else self.path.parent) / f".{self.path.name}.partial"
        self._held = contextlib.ExitStack()

    @property
    def scratch(self) -> Path:
        """For files that are not part of the output."""
        return self.partial / SCRATCH

    @property
    def kept(self) -> Path:
        """The folder of kept records."""
        return self.partial / KEPT

    def __enter__(self) -> Self:
        if os.path.lexists(self.path) and not self._inside:
            raise UserError(f"{self.path}: the output must be a folder, and a file is there")
        found = sorted(set(os.listdir(self.path)) - {self.partial.name}) if self._inside else []
        if found:
            raise UserError(f"{self.path}: the output folder is not empty ({', '.join(found[:3])}, …); name another")
        try:
            self._held.enter_context(file_lock(self.partial / LOCK))
        except BlockingIOError as error:
            raise UserError(f"{self.path}: another process writes there: {error}") from error
        except OSError as error:
            raise UserError(f"{self.path}: the output folder cannot be made: {error.strerror or error}") from error
        self._clear()
        self.kept.mkdir()
        self.scratch.mkdir()
        return self

    def _clear(self) -> None:
        """Removes what a killed run has left."""
        for name in set(os.listdir(self.partial)) - {LOCK}:
            place = self.partial / name
            shutil.rmtree(place) if place.is_dir() else place.unlink()

    def publish(self) -> None:
        """Makes the finished output appear."""
        shutil.rmtree(self.scratch)
        for place in self.partial.rglob("*"):
            if place.is_file():
                storage.fsync_path(place)
        if not self._inside:
            (self.partial / LOCK).unlink()
            os.rename(self.partial, self.path)
        else:
            for name in sorted(set(os.listdir(self.partial)) - {LOCK}, key=lambda name: (name == SUMMARY, name)):
                os.rename(self.partial / name, self.path / name)
        storage.fsync_path(self.path.parent)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._inside:
            for name in (SUMMARY, KEPT, REMOVED_FILE, CLUSTERS_FILE, QUARANTINE_FILE):  # interrupted while publishing
                place = self.path / name
                shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
        shutil.rmtree(self.partial, ignore_errors=True)
        self._held.close()
