"""The run folder: where things stand in it, and the lock that keeps a second process out."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.base import storage
from pipeline.base.console import say
from pipeline.base.digests import digest
from pipeline.base.errors import RunError, UserError, in_a_sentence, naming
from pipeline.base.locks import file_lock_in_turn, is_held
from pipeline.recipe.load import Recipe, RecipeError, load_recipe, recipe_toml
from pipeline.run import layout


@dataclass(frozen=True)
class Run:
    """A run folder (local path or fsspec URL) and the recipe that it runs."""

    root: str
    recipe: Recipe

    @classmethod
    def open(cls, root: str | Path) -> "Run":
        """Opens an existing run folder by its own ``recipe.toml``.

        Raises:
            UserError: If there is no run at ``root``, or its recipe cannot be read.
        """
        root = str(root)
        if not storage.exists(storage.join(root, layout.RECIPE)):
            raise UserError(
                f"{root}: not a run folder (no {layout.RECIPE}); `tokenmill run RECIPE --root {root}` makes one"
            )
        try:
            return cls(root, load_recipe(storage.join(root, layout.RECIPE)))
        except RecipeError as error:
            again = f"`tokenmill run RECIPE --root {root}`, with the recipe that the run was made with"
            raise UserError(f"{error}\n  this is the run's own copy; {again}, writes it again") from error

    def refuse_foreign(self) -> None:
        """Asks, before a run is begun in a local folder, whether somebody else's files stand there.

        Raises:
            UserError: If the folder is no run folder, and not empty; or its recipe is one that somebody wrote.
        """
        if not storage.is_local(self.root) or not (folder := storage.local_path(self.root)).is_dir():
            return
        names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        # tokens that were imported stand there before there is a recipe
        made = {name.rstrip("/") for name in (layout.MANIFESTS, layout.LOGS, layout.TOKENS)}
        if layout.RECIPE in names and made.isdisjoint(names) and not self._holds_resolved_recipe():
            raise UserError(
                f"{self.root}: {layout.RECIPE} there is not one that a run wrote, and a run would put its own in its "
                "place; name another folder with --root"
            )
        if names and {layout.RECIPE, *made}.isdisjoint(names):
            shown = f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
            raise UserError(
                f"{self.root}: holds {shown}, and is no run folder (no {layout.RECIPE}); name another folder, which is "
                "made if it is not there, with --root"
            )

    def _holds_resolved_recipe(self) -> bool:
        url = self.url(layout.RECIPE)
        try:
            return recipe_toml(load_recipe(url)).encode() == storage.read_bytes(url)
        except UserError:
            return False

    def url(self, *parts: str) -> str:
        """URL of a file of the run."""
        return storage.join(self.root, *parts)

    def local(self, path: str) -> Path:
        """A local path with the bytes of a published file of the run."""
        return storage.open_local(self.url(path))

    def write_recipe(self) -> None:
        """Publishes the resolved recipe, unless it stands there already."""
        data = recipe_toml(self.recipe).encode()
        url = self.url(layout.RECIPE)
        if storage.read_if_there(url) != data:
            storage.publish_bytes(data, url, self.root)

    @contextlib.contextmanager
    def lock(self, note: Callable[[str], None] = say) -> Iterator[None]:
        """Holds the run folder for this process; what a killed one left half-written is cleared.

        The lock is the kernel's: it ends with the process, however that dies.  An object store has no locks: a run
        there is held by a file of this machine, and nothing keeps out a process on another one.

        Args:
            note: Told that another process holds it, where this one waits (``pipeline/base/locks.py``).

        Raises:
            RunError: If another process holds it, naming that process; or the folder cannot be written.
        """
        folder, path = self._lock_path()
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(file_lock_in_turn(path, note, folder))
            except BlockingIOError as error:
                raise RunError(
                    f"{folder}: another process is working on this run: {error}; wait for it or end it"
                ) from error
            except OSError as error:
                raise RunError(f"cannot write to the run folder: {in_a_sentence(error, folder)}") from error
            storage.clear_scratch(self.root)
            held.enter_context(naming(folder))
            yield

    def is_locked(self) -> bool:
        """Whether a process works on the run; of a run on an object store, a process of this machine."""
        return is_held(self._lock_path()[1])

    def _lock_path(self) -> tuple[str, Path]:
        if storage.is_local(self.root):
            folder = storage.local_path(self.root)
            return str(folder), folder / ".lock"
        name = digest(self.root.rstrip("/")).hex()
        return self.root, storage.cache_folder() / "locks" / f"{name}.lock"
