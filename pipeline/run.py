"""The run folder: where things stand in it, and the lock that keeps a second process out."""

import contextlib
import fcntl
import json
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline import storage
from pipeline.errors import RunError, UserError
from pipeline.recipe import Recipe, load_recipe, recipe_toml

RECIPE_FILE = "recipe.toml"


@dataclass(frozen=True)
class Run:
    """A run folder (local path or fsspec URL) and the recipe that it runs."""

    root: str
    recipe: Recipe

    @classmethod
    def open(cls, root: str | Path) -> "Run":
        """Opens an existing run folder by its own ``recipe.toml``.

        Raises:
            UserError: If there is no run at ``root``.
        """
        root = str(root)
        if not storage.exists(storage.join(root, RECIPE_FILE)):
            raise UserError(
                f"{root}: not a run folder (no {RECIPE_FILE}); `tokenmill run RECIPE --root {root}` makes one"
            )
        return cls(root, load_recipe(storage.join(root, RECIPE_FILE)))

    def url(self, *parts: str) -> str:
        """URL of a file of the run."""
        return storage.join(self.root, *parts)

    def local(self, path: str) -> Path:
        """A local path with the bytes of a published file of the run."""
        return storage.open_local(self.url(path))

    def write_recipe(self) -> None:
        """Publishes the resolved recipe, unless it stands there already."""
        data = recipe_toml(self.recipe).encode()
        url = self.url(RECIPE_FILE)
        if not storage.exists(url) or storage.read_bytes(url) != data:
            storage.publish_bytes(data, url, self.root)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the run folder for this process; what a killed one left half-written is cleared.

        The lock is the kernel's (flock): it ends with the process, however that dies.  Object stores have none.

        Raises:
            RunError: If another process holds it, naming that process; or the folder cannot be written.
        """
        if not storage.is_local(self.root):
            yield
            return
        folder = storage.local_path(self.root)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunError(f"{folder}: cannot write to the run folder: {error.strerror}") from error
        try:
            _take(descriptor, folder)
            storage.clear_scratch(self.root)
            yield
        finally:
            os.close(descriptor)


def _take(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 4096, 0).decode(errors="replace").strip() or "unknown"
        raise RunError(f"{folder}: another process is working on this run: {holder}; wait for it or end it") from error
    who = {"pid": os.getpid(), "host": socket.gethostname(), "command": " ".join(sys.argv)[:500]}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, (json.dumps(who) + "\n").encode(), 0)
