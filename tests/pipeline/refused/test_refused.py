"""Every command while an object store refuses one of its requests: it fails loudly, or does what it does otherwise.

A command is watched once without faults.  Then each kind of request that it made (method, and path without numbers) is
refused, once or for good.  It must end with exit code 1 and a sentence that names the object, or with exactly the end
that it has otherwise; and the same command, when the store answers again, must come to that end in either case.
"""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("moto")

from pipeline.base.console import say
from tests.faulty_s3 import CUT
from tests.pipeline.refused.commands import (
    BUCKET,
    ROOT,
    Command,
    call,
    every,
    forget_copies,
    kind_of,
    of_kind,
    run_stages,
    standing,
    write_inputs,
)

pytestmark = [
    pytest.mark.xdist_group("s3"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # aiobotocore's sessions end with the process
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
READING = (
    Command(("status", ROOT)),
    Command(("status", ROOT, "--disk")),
    Command(("verify", ROOT)),
    Command(("verify", ROOT), "taken"),
    Command(("inspect", ROOT)),
    Command(("inspect", f"{ROOT}/documents/00000.arrow")),
    Command(("explain", ROOT, "FIRST")),
    Command(("explain", ROOT, "--url", "https://b.example/twin")),
    Command(("licences", ROOT)),
    Command(("filter", ROOT, "--set", "filter.gopher_repetition.max_top_2gram_char_ratio=0.2")),
    Command(("decontaminate", ROOT, "--set", "q=SET", "--field", "text")),
    Command(("takedown", ROOT, "--ids", "FIRST", "--dry-run")),
    Command(("clean-up", ROOT, "--dry-run")),
    Command(("plan", "RECIPE")),
    Command(("dedup", "index", "query", "INDEX", f"s3://{BUCKET}/in/a.jsonl"), "indexed"),
)
WRITING = (
    Command(("takedown", ROOT, "--ids", "FIRST", "--yes")),
    Command(("takedown", ROOT, "--ids", "SECOND", "--yes"), "taken"),
    Command(("takedown", ROOT, "--restore", "TWIN", "--yes"), "kept twin taken"),
    Command(("takedown", ROOT, "--yes"), "interrupted"),
    Command(("verify", ROOT, "--delete")),
    Command(("clean-up", ROOT)),
    Command(("report", ROOT)),
    Command(("report", ROOT, "s3://bucket/two", "--output", "OUT", "--overwrite")),
    Command(("licences", ROOT, "--output", "OUT", "--overwrite")),
    Command(("tokens", "export", ROOT, "--output", "OUT", "--layout", "nanogpt", "--overwrite")),
    Command(("dedup", "run", f"s3://{BUCKET}/in/*.jsonl", "--output", "OUT", "--overwrite")),
    Command(("dedup", "index", "build", "OUT", ROOT)),
    Command(("stages",), "inputs"),
    Command(("stages",), "finished"),
    Command(("stages", "filter.gopher_repetition.max_top_2gram_char_ratio=0.2"), "finished"),
    Command(("stages", "dedup.partitions=2"), "inputs"),
    Command(("stages",), "taken"),
)
TRAINED = (
    Command(("train", "RECIPE", "--root", ROOT), "finished"),
    Command(("status", ROOT), "trained"),
    Command(("verify", ROOT), "trained"),
    Command(("eval", ROOT), "trained"),
    Command(("sample", ROOT, "--prompt", "The", "--seed", "1"), "trained"),
    Command(("export", ROOT, "--output", "OUT", "--overwrite"), "trained"),
    Command(("trace", ROOT, "--step", "2"), "trained"),
    Command(("licences", ROOT), "trained"),
    Command(("disclose", ROOT, "--output", "OUT", "--overwrite"), "trained"),
    Command(("explain", ROOT, "FIRST"), "trained"),
    Command(("clean-up", ROOT), "trained"),
    Command(("takedown", ROOT, "--ids", "FIRST", "--yes"), "trained"),
)
METHODS = ("PUT", "DELETE", "GET", "HEAD", "LIST", "POST")
MOST = 12  # kinds of requests of one command; all of them are tried with a larger number, in an hour
MOST_TRAININGS = 4  # each a process that imports torch
QUICK = (
    (Command(("status", ROOT)), ("HEAD run/recipe.toml", "GET run/recipe.toml", "LIST run/manifests/")),
    (
        Command(("takedown", ROOT, "--ids", "SECOND", "--yes"), "taken"),
        ("GET run/takedown.jsonl", "PUT run/documents/"),
    ),
)


class States:
    """The states of the store from which commands start, each made when it is first asked for."""

    def __init__(self, store: Any, folder: Path) -> None:
        self.store, self.folder = store, folder
        self._made: dict[str, dict[str, bytes]] = {}
        self.names: dict[str, str] = {}

    def enter(self, state: str) -> None:
        """Puts the store into a state."""
        if state not in self._made:
            getattr(self, f"_{state.replace(' ', '_')}")()
            self._made[state] = self.store.objects(BUCKET)
        self.store.restore(BUCKET, self._made[state])

    def _do(self, *arguments: str) -> None:
        outcome = call(Command(arguments), self.folder, self.names)
        assert outcome.code == 0, outcome.said

    def _inputs(self) -> None:
        write_inputs()

    def _finished(self) -> None:
        self.enter("inputs")
        run_stages()
        self._name_documents()
        for name, data in self.store.objects(BUCKET).items():
            if name.startswith("run/"):
                self.store.put(BUCKET, f"two/{name.removeprefix('run/')}", data)

    def _name_documents(self) -> None:
        from pipeline.lookup.locate import one_by_key
        from pipeline.run.folder import Run

        run = Run.open(ROOT)
        ids = {key: one_by_key(run, "id", key).doc_id.hex() for key in ("r1", "r2", "r3", "twin")}
        self.names |= {"FIRST": ids["r1"], "SECOND": ids["r2"], "KEPT": ids["r3"], "TWIN": ids["twin"]}
        (self.folder / "set.jsonl").write_text('{"text": "The river near a market had 0. The stone near a garden"}\n')
        self.names["SET"] = str(self.folder / "set.jsonl")
        self.names["INDEX"] = str(self.folder / "index")

    def _indexed(self) -> None:
        self.enter("finished")
        self._do("dedup", "index", "build", "INDEX", ROOT)

    def _taken(self) -> None:
        self.enter("finished")
        self._do("takedown", ROOT, "--ids", "FIRST", "--yes")

    def _kept_twin_taken(self) -> None:
        self.enter("finished")
        self._do("takedown", ROOT, "--ids", "KEPT", "--yes")

    def _interrupted(self) -> None:
        """A takedown past its point of no return."""
        self.enter("finished")
        with self.store.refusing(of_kind(("PUT", "run/documents/"))):
            assert call(Command(("takedown", ROOT, "--ids", "FIRST", "--yes")), self.folder, self.names).code == 1

    def _trained(self) -> None:
        self.enter("finished")
        self._do("train", "RECIPE", "--root", ROOT)


@pytest.fixture(scope="module")
def states(faulty_server: Any, tmp_path_factory: pytest.TempPathFactory) -> States:
    return States(faulty_server, tmp_path_factory.mktemp("states"))


class Trial:
    """One command from one state: what it asks, and what it comes to."""

    def __init__(self, states: States, command: Command, folder: Path) -> None:
        self.states, self.store, self.command, self.folder = states, states.store, command, folder
        self._begin()
        self.start = self._state()
        self.store.seen.clear()
        self.undisturbed = self._call()
        self.kinds = Counter(map(kind_of, self.store.seen))
        self.end = self._state()
        self.told: Counter[str] = Counter()

    def _begin(self) -> None:
        self.states.enter(self.command.state)
        forget_copies()
        for name in ("out",):
            place = self.folder / name
            shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)

    def _call(self) -> Any:
        return call(self.command, self.folder, self.states.names)

    def _state(self) -> dict[str, bytes]:
        return standing(self.store.objects(BUCKET), self.folder)

    def refuse(self, kind: tuple[str, str], answer: int, nth: int | None = None) -> list[str]:
        """What is wrong, in words, when requests of a kind, or one of them, are refused."""
        self._begin()
        with self.store.refusing(of_kind(kind, nth), answer):
            disturbed = self._call()
        how = f"{kind[0]} {kind[1]} answers {answer or 'nothing'}{'' if nth is None else f' at request {nth}'}"
        wrong = [f"{how}: {problem}" for problem in self._judge(disturbed)]
        if disturbed.code == self.undisturbed.code or self._state() == self.start:
            return wrong  # all has happened, or nothing: what comes of the next call is known
        forget_copies()
        again = self._call()
        if again.code != self.undisturbed.code:
            wrong.append(f"{how}: afterwards exit code {again.code}: {again.said[-300:]}")
        if (problem := self._differs()) and not wrong:
            wrong.append(f"{how}: afterwards {problem}")
        return wrong

    def _judge(self, disturbed: Any) -> list[str]:
        """A command that did not end as it does otherwise must have said why."""
        self.told["as undisturbed" if disturbed.code == self.undisturbed.code else "failed"] += 1
        if disturbed.code == self.undisturbed.code:
            problem = self._differs()
            if disturbed.out != self.undisturbed.out:
                problem = problem or f"said {_difference(self.undisturbed.out, disturbed.out)}"
            return [f"exit code {disturbed.code}, and {problem}"] if problem else []
        said = disturbed.said
        loud = disturbed.code == 1 and "the object store failed: " in said and "s3://bucket" in said
        return [] if loud and "Traceback" not in said else [f"exit code {disturbed.code}: {said[-400:]}"]

    def _differs(self) -> str:
        found = self._state()
        names = sorted(n for n in found.keys() | self.end.keys() if found.get(n) != self.end.get(n))
        return f"other bytes: {', '.join(names[:6])}" if names else ""


def _difference(expected: str, found: str) -> str:
    lines = set(found.splitlines()) - set(expected.splitlines())
    return f"{sorted(lines)[:3]} of {len(found.splitlines())} lines instead of {len(expected.splitlines())}"


def try_kinds(states: States, command: Command, folder: Path, most: int) -> None:
    """Refuses at most so many kinds of requests, in turn the last of a kind and all of it."""
    trial = Trial(states, command, folder)
    assert trial.undisturbed.code == 0, trial.undisturbed.said
    kinds = sorted(trial.kinds, key=lambda kind: ("takedown" not in kind[1], METHODS.index(kind[0])))
    step = max(1, -(-len(kinds) // most))
    wrong = []
    for number, kind in enumerate(kinds[::step]):
        answer, nth = ((503, trial.kinds[kind] - 1), (403, None), (CUT, trial.kinds[kind] - 1), (503, None))[number % 4]
        wrong += trial.refuse(kind, answer, nth)
    say(f"{command.name} | {len(trial.kinds)} | {dict(trial.told)}")  # with -rP
    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize(("command", "which"), QUICK)
def test_refused_once(states: States, faulty: Any, tmp_path: Path, command: Command, which: tuple[str, ...]) -> None:
    trial = Trial(states, command, tmp_path)
    assert trial.undisturbed.code == 0, trial.undisturbed.said
    wrong = []
    for kind in which:
        method, path = kind.split()
        assert trial.kinds[method, path]
        wrong += trial.refuse((method, path), 503)
    assert wrong == [], "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("command", every(READING))
def test_command_that_reads(states: States, faulty: Any, tmp_path: Path, command: Command) -> None:
    try_kinds(states, command, tmp_path, MOST)


@pytest.mark.slow
@pytest.mark.parametrize("command", every(WRITING))
def test_command_that_writes(states: States, faulty: Any, tmp_path: Path, command: Command) -> None:
    try_kinds(states, command, tmp_path, MOST)


@pytest.mark.slow
@pytest.mark.parametrize("command", every(TRAINED))
def test_command_that_trains_or_uses_a_model(states: States, faulty: Any, tmp_path: Path, command: Command) -> None:
    try_kinds(states, command, tmp_path, MOST_TRAININGS if command.arguments[0] == "train" else MOST)
