"""Two commands on one folder at once: one waits, refuses, or both are right; afterwards everything stands."""

import random
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.run import layout
from pipeline.run.table_files import read_table
from pipeline.run.tables import DOCUMENTS
from tests.campaign import child
from tests.campaign.scenarios import COMMANDS, Scenario, command, first_document
from tests.campaign.trials import Trial, finish

OTHERS = {
    "status": ("status", "{run}"),
    "verify": ("verify", "{run}"),
    "verify --delete": ("verify", "{run}", "--delete"),
    "clean-up": ("clean-up", "{run}", "--dry-run"),
    "takedown": ("takedown", "{run}", "--ids", "{doc}", "--dry-run"),
    "inspect": ("inspect", "{run}"),
}
LOCKED = ("another process is", "is working on this", "a process is")


def together(scenario: Scenario, place: Path, chance: random.Random) -> Trial:
    """Starts the work, and a moment later the same once more, or another command."""
    name = chance.choice([*OTHERS, "the same"])
    trial = Trial(scenario.name, f"beside it {name}", [name])
    scenario.begin(place)
    first = child.Child(lambda: scenario.work(place, False))
    time.sleep(chance.random() * 0.6)  # the random moment itself, not a wait for something
    other = scenario.work if name == "the same" else command(*OTHERS[name])
    second = child.run(lambda: other(place, False))
    ended = first.wait()
    trial.ended = f"codes {ended.code} and {second.code}"
    for one in (ended, second):
        if one.killed or one.code == child.UNEXPECTED:
            trial.complaints.append(f"no sentence: {one.said[-1200:]}")
        elif one.code not in (0, 1, 2) and not any(words in one.said for words in LOCKED):
            trial.complaints += one.complaints(place)
    return finish(trial, scenario, place, workers=False)


def takedown_beside(scenario: Scenario, place: Path, chance: random.Random) -> Trial:
    """A document is taken down while a stage works: it waits, refuses, or is right; in the end the text is nowhere."""
    trial = Trial(scenario.name, "a takedown beside it", ["takedown"])
    scenario.begin(place)
    text = document_text(place, first_document(place))
    first = child.Child(lambda: scenario.work(place, False))
    time.sleep(chance.random() * 0.6)  # the random moment itself, not a wait for something
    second = child.run(lambda: COMMANDS["takedown"](place, False))
    ended = first.wait()
    trial.ended = f"codes {ended.code} and {second.code}"
    for one in (ended, second):
        if one.killed or one.code == child.UNEXPECTED:
            trial.complaints.append(f"no sentence: {one.said[-1200:]}")
        elif one.code and not any(words in one.said for words in LOCKED):
            trial.complaints += one.complaints(place)
    for name, work in (("takedown", COMMANDS["takedown"]), (scenario.name, scenario.work)):
        again = child.run(lambda work=work: work(place, False))  # type: ignore[misc]
        if again.code != 0:
            trial.complaints.append(f"{name} afterwards ended with {again.code}: {again.said[-1500:]}")
    left = [path for path in (place / "run").rglob("*") if path.is_file() and text in path.read_bytes()]
    trial.complaints += [f"the text is left in {path.relative_to(place)}" for path in left]
    checked = child.run(lambda: command("verify", "{run}")(place, False))
    if checked.code != 0:
        trial.complaints.append(f"verify afterwards: {checked.said[-1500:]}")
    return trial


def document_text(place: Path, doc_id: str) -> bytes:
    """The text of a document of the run."""
    for path in sorted((place / "run" / layout.DOCUMENTS).glob("*.arrow")):
        table = read_table(path, DOCUMENTS, ["doc_id", "text"])
        found = table.filter(pc.equal(table["doc_id"], pa.scalar(bytes.fromhex(doc_id), pa.binary(16))))
        if len(found):
            return str(found["text"][0]).encode()
    raise RuntimeError(f"{place}: no document {doc_id}")
