"""The output folder of ``tokenmill dedup run``: everything under its final name at once, or nothing.

The work is done in a partial folder.  Where OUT does not exist yet, that is beside OUT, and one rename makes it OUT.
Where OUT is there and empty (it may be a mount), it is inside OUT, and each entry is renamed, ``summary.json`` last.
With ``overwrite`` OUT may hold an earlier output, and nothing else: that stays until the new one is whole, and is back
again where publishing fails.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.base import storage
from pipeline.base.errors import UserError, in_a_sentence
from pipeline.base.locks import file_lock
from pipeline.dedup.files.own_outputs import KEPT, NAMES, SUMMARY

LOCK, SCRATCH, EARLIER = ".lock", ".scratch", ".earlier"


class OutputFolder:
    """A folder that appears when ``publish`` is called; leaving the context removes whatever was not published.

    Args:
        path: OUT.
        overwrite: OUT may hold an earlier output, which is replaced.

    Raises:
        UserError: If OUT is a file, is not empty, cannot be made, or another process writes to it.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path = Path(os.path.abspath(path))
        self._replaceable = set(NAMES) if overwrite else set()
        self._earlier_is_aside = False
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
        if not self._inside and storage.stands(self.path):
            raise UserError(f"{self.path}: the output must be a folder, and a file is there")
        held = set(os.listdir(self.path)) - {self.partial.name} if self._inside else set()
        if held - self._replaceable:
            raise UserError(self._refusal(sorted(held)))
        try:
            self._held.enter_context(file_lock(self.partial / LOCK))
        except BlockingIOError as error:
            raise UserError(f"{self.path}: another process writes there: {error}") from error
        except OSError as error:
            raise UserError(f"the output folder cannot be made: {in_a_sentence(error, str(self.path))}") from error
        self._clear()
        self.kept.mkdir()
        self.scratch.mkdir()
        return self

    def _refusal(self, held: list[str]) -> str:
        others = [name for name in held if name not in NAMES]
        if others:
            what = "of an earlier output and " if len(others) < len(held) else ""
            return f"{self.path}: the output folder is not empty ({what}{', '.join(others[:3])}, …); name another"
        return (
            f"{self.path}: the output folder is not empty ({', '.join(held[:3])}, …); name another, or replace this "
            "earlier output with --overwrite"
        )

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
            made = sorted(set(os.listdir(self.partial)) - {LOCK}, key=lambda name: (name == SUMMARY, name))
            (self.partial / EARLIER).mkdir()
            self._move(NAMES, self.path, self.partial / EARLIER)
            self._earlier_is_aside = True
            self._move(made, self.partial, self.path)
            os.rename(self.partial / EARLIER, self.scratch)  # from here on the new output stands
        storage.fsync_path(self.path.parent)

    def _move(self, names: Iterable[str], source: Path, target: Path) -> None:
        for name in names:
            if storage.stands(source / name):
                os.rename(source / name, target / name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (self.partial / EARLIER).is_dir():  # interrupted while publishing
            for name in NAMES if self._earlier_is_aside else ():
                place = self.path / name
                shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
            self._move(NAMES, self.partial / EARLIER, self.path)
        shutil.rmtree(self.partial, ignore_errors=True)
        self._held.close()
