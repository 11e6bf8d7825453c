"""The work that a campaign disturbs: every stage of a small run, and every command that writes.

A scenario begins in a folder as it stood before that work, and knows what stands there after it, undisturbed.  The
folder of a trial always has the same path, so that the paths in what it writes are the same.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flows.cli.commands import build_app
from flows.session.stages import run_stage, working_context
from model.training.start import train_run
from pipeline.base.pool import InProcess, Pool
from pipeline.recipe.load import load_recipe
from pipeline.run import layout
from pipeline.run.context import Workers
from pipeline.run.folder import Run
from pipeline.run.table_files import read_table
from pipeline.run.tables import DOCUMENTS
from tests import trees
from tests.campaign import child
from tests.campaign.shim import Shim
from tests.end_to_end import tiny

SETTINGS = ("train.checkpoint_every_steps=4", "train.keep_last=3", "train.threads=1", "train.device=cpu")
STAGES = ("clean", "dedup", "filter", "tokenize", "train", "report")
DOCUMENT = "in/document"  # the id of a document of the run
OUTSIDE = ("metrics", "report", *trees.OUTSIDE)


@dataclass(frozen=True)
class Scenario:
    """Work that can be disturbed.

    Attributes:
        name: A stage, or the words of a command.
        base: The folder before it.
        expected: Every promised byte after it, by path.
        operations: File operations that it does.
        work: Does it, in the folder that it is given, with one worker in this process or with two others.
    """

    name: str
    base: Path
    expected: dict[str, bytes]
    operations: int
    work: Callable[[Path, bool], object]

    def begin(self, place: Path) -> None:
        """Puts the folder as it stands before the work at ``place``."""
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.base, place)

    def differences(self, place: Path) -> list[str]:
        """Paths below ``place`` whose bytes are not those that were promised."""
        found = promised(place)
        paths = sorted(found.keys() | self.expected.keys())
        return [path for path in paths if found.get(path) != self.expected.get(path)]


def promised(place: Path) -> dict[str, bytes]:
    """Every file below the folder of a trial whose bytes are promised."""
    found: dict[str, bytes] = {}
    for part in sorted(path for path in place.iterdir() if path.is_dir()):
        found |= {f"{part.name}/{path}": data for path, data in trees.tree(part, *OUTSIDE).items()}
    summary = "own/summary.json"  # of `dedup run`: it has seconds
    if summary in found:
        found[summary] = json.dumps({**json.loads(found[summary]), "seconds": 0}).encode()
    return {path: data for path, data in found.items() if not path.endswith(".lock")}


def run_of(place: Path) -> Run:
    """The run in the folder of a trial, with the recipe beside it."""
    return Run(str(place / "run"), load_recipe(place / "in" / "tiny.toml", SETTINGS))


def stage(name: str) -> Callable[[Path, bool], None]:
    """One stage of the run, as the flow does it; training in this process, as torchrun does it."""

    def work(place: Path, workers: bool) -> None:
        run = run_of(place)
        with run.lock():
            run.write_recipe()
            if name == "train":
                train_run(run)
                return
            pool: Workers = Pool(2, fork=True) if workers else InProcess()
            with pool:
                run_stage(name, working_context(run, pool))

    return work


def command(*words: str) -> Callable[[Path, bool], int]:
    """A command line; {run}, {out} and the like are folders of the trial."""

    def work(place: Path, workers: bool) -> int:
        folders = {name: str(place / name) for name in ("run", "in", "out", "own", "index")}
        arguments = [word.format(**folders, doc=first_document(place)) for word in words]
        code: int = build_app(arguments)(arguments)
        return code

    return work


def first_document(place: Path) -> str:
    """The id of a document of the run, as it was written down; of a run that has none yet, of no document."""
    path = place / DOCUMENT
    return path.read_text("utf-8") if path.exists() else "0" * 32


COMMANDS = {
    "takedown": command("takedown", "{run}", "--ids", "{doc}"),
    "dedup run": command("dedup", "run", "{in}/own", "--output", "{own}", "--workers", "1", "--overwrite"),
    "dedup index build": command("dedup", "index", "build", "{index}/corpus", "{in}/own/a.jsonl"),
    "dedup index add": command("dedup", "index", "add", "{index}/corpus", "{in}/own/b.jsonl"),
    "documents export": command("documents", "export", "{run}", "--output", "{out}/documents", "--overwrite"),
    "export": command("export", "{run}", "--output", "{out}/model", "--overwrite"),
}


def write_inputs(folder: Path, sample: Path, records: int) -> None:
    """Raw files and the recipe, and files of one's own for the dedup commands."""
    tiny.write_inputs(folder, sample, records)
    own = folder / "own"
    own.mkdir()
    texts = [
        f"Text {number // 2} tells of the mill, of its wheel, and of number {number // 2}." for number in range(40)
    ]
    for name, part in (("a", texts[:25]), ("b", texts[15:])):
        lines = (json.dumps({"id": f"{name}{number}", "text": text}) for number, text in enumerate(part))
        (own / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def prepare(folder: Path, place: Path, sample: Path, shim: Shim, records: int = 120) -> Iterator[Scenario]:
    """Does all of the work undisturbed, piece after piece, and counts the operations of each."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    write_inputs(place / "in", sample, records)
    pieces = {name: stage(name) for name in STAGES} | COMMANDS
    for name, work in pieces.items():
        base = folder / name.replace(" ", "-")
        shutil.copytree(place, base)
        shim.arm(place)
        ended = child.run(lambda work=work: work(place, False), shim)  # type: ignore[misc]
        operations, _ = shim.disarm()
        if ended.code != 0:
            raise RuntimeError(f"{name}, undisturbed, ended with {ended.code}: {ended.said[-3000:]}")
        made = Scenario(name, base, promised(place), operations, work)
        if name == "clean":
            ids = read_table(place / "run" / layout.documents("00000"), DOCUMENTS, ["doc_id"])["doc_id"]
            (place / DOCUMENT).write_text(ids[0].as_py().hex(), encoding="utf-8")
        yield made
