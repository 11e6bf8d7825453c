"""``status``, ``verify`` and ``explain`` tell the truth in every state that a run can be in, from one table.

Each case makes a state on a real run of four stages and asks all three commands for it.
"""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from flows.cli import run as commands
from flows.cli.questions.lineage import explain_document
from pipeline.base import storage
from pipeline.base.errors import RunError, UserError
from pipeline.inspection.status import STATES, rebuild_command
from pipeline.recipe.load import load_recipe
from pipeline.run import layout, step_digests
from pipeline.run.checkpoints import Succession, begin_succession
from pipeline.run.folder import Run
from pipeline.run.manifest import Manifest, steps_of
from pipeline.takedown.choose import Choice
from pipeline.takedown.takedown import take_down
from tests.pipeline.lineage.conftest import run_stages, write_inputs
from tests.pipeline.lineage.helpers import Killed, publications, read_document
from tests.trees import tree


@dataclass
class Made:
    """A finished run and what it was made from."""

    recipe: Path
    root: Path
    doc_id: str = ""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Made:
    folder = tmp_path_factory.mktemp("states")
    made = Made(write_inputs(folder, sample), folder / "run")
    run_stages(Run(str(made.root), load_recipe(made.recipe)))
    made.doc_id = str(read_document(Run.open(made.root))["doc_id"])
    return made


@pytest.fixture
def made(original: Made, tmp_path: Path) -> Made:
    shutil.copytree(original.root, tmp_path / "run")
    return Made(original.recipe, tmp_path / "run", original.doc_id)


@dataclass(frozen=True)
class Case:
    """What is done to a finished run, and what must be said of it.

    ``states`` are those of the stages that are not done (those not in the recipe apart), ``words`` what ``explain``
    says, ``refused`` how it ends where it cannot answer.
    """

    change: Callable[[Path], None]
    states: dict[str, str]
    verify: int
    words: tuple[str, ...] = ()
    refused: str = ""


def nothing(root: Path) -> None:
    """Leaves the run as it is."""


def remove(*paths: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for path in paths:
            shutil.rmtree(root / path) if (root / path).is_dir() else (root / path).unlink()

    return change


def append(path: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        with (root / path).open("ab") as file:
            file.write(b"x")

    return change


def flip(path: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        data = bytearray((root / path).read_bytes())
        data[len(data) // 2] ^= 1
        (root / path).write_bytes(bytes(data))

    return change


def write(path: str, text: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)

    return change


def swap_manifests(root: Path) -> None:
    first, second = sorted((root / "manifests/clean").iterdir())[:2]
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


def in_work(step: str, *paths: str) -> Callable[[Path], None]:
    """What a run leaves that is killed while a step is made again."""

    def change(root: Path) -> None:
        step_digests.forget(str(root), step)
        remove(f"manifests/{step}.json", *paths)(root)

    return change


def flip_figure(path: str) -> Callable[[Path], None]:
    """A manifest that can be read, with another figure in it."""

    def change(root: Path) -> None:
        text = (root / path).read_text()
        changed = re.sub(r'"documents": \d+', '"documents": 999', text)
        assert changed != text
        (root / path).write_text(changed)

    return change


def only_clean_and_dedup(root: Path) -> None:
    manifests = root / "manifests"
    step_digests.forget(
        str(root), *(step for step in steps_of(str(root)) if step.split(".")[0] not in ("clean", "dedup"))
    )
    for path in [*manifests.glob("filter*"), *manifests.glob("tokenize*"), *manifests.glob("index*")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    remove("signals", "verdicts/filter", "verdicts/tokenize", "tokens", "tokenizer", "index")(root)


def train_on_other_tokens(root: Path) -> None:
    """The record of a training whose token shards were made again since, with other bytes."""
    shard = next((root / "tokens/train").iterdir()).name
    inputs = {f"tokens/train/{shard}": "0" * 32}
    trained = Manifest("train", "all", "f" * 32, 1, {}, inputs, {}, [], {"steps": 40})
    write("manifests/train/all.json", trained.to_bytes().decode())(root)
    shards = {"all": trained.digest()}
    write("manifests/train.json", json.dumps({"shards": shards}))(root)


def succeed(root: Path) -> None:
    """What a training writes that is about to replace the finished one."""
    begin_succession(str(root), Succession("another", (40,)))


CASES = {
    "finished": Case(nothing, {}, 0, ("duplicates: none",)),
    "half made": Case(
        only_clean_and_dedup,
        {"filter": "not begun", "tokenize": "not begun"},
        0,
        ("not looked for yet: filter has not run", "tokens: not looked for yet: tokenize has not run"),
    ),
    "interrupted": Case(in_work("filter"), {"filter": "interrupted"}, 0),
    "interrupted before its own step": Case(
        in_work("filter", "manifests/filter", "verdicts/filter"),
        {"filter": "interrupted"},
        0,
        ("filter          not known: filter was interrupted",),
    ),
    "damaged": Case(
        append("clusters/evidence.arrow"), {"dedup": "damaged"}, 1, refused="found damage: Not an Arrow file"
    ),
    "damaged, of another stage": Case(
        append("signals/00001.arrow"), {"filter": "damaged"}, 1, ("filter: not to be trusted: filter is damaged",)
    ),
    "output gone": Case(
        remove("clusters/evidence.arrow"),
        {"dedup": "missing"},
        1,
        ("duplicates: not known: files of dedup are missing",),
    ),
    "manifest of a shard gone": Case(remove("manifests/clean/00000.json"), {"clean": "missing"}, 1),
    "manifest damaged": Case(write("manifests/clean/00000.json", "{"), {"clean": "damaged"}, 1),
    "manifest of the step damaged": Case(write("manifests/clean.json", ""), {"clean": "damaged"}, 1),
    "manifest of the step gone": Case(remove("manifests/filter.json"), {"filter": "missing"}, 1),
    "every manifest of a stage gone": Case(
        remove("manifests/filter", "manifests/filter.json"), {"filter": "missing"}, 1
    ),
    "figure changed in a manifest": Case(flip_figure("manifests/clean/00000.json"), {"clean": "damaged"}, 1),
    "figure changed in the manifest of the step": Case(flip_figure("manifests/clean.json"), {"clean": "damaged"}, 1),
    "record of the steps damaged": Case(append("manifests/steps.digests"), {}, 1),
    "metrics damaged": Case(write("metrics/train.jsonl", "x\n"), {}, 1),
    "manifests swapped": Case(swap_manifests, {"clean": "damaged"}, 1),
    "manifests gone": Case(
        remove("manifests"),
        dict.fromkeys(["clean", "dedup", "filter", "tokenize"], "unrecorded"),
        1,
        ("dedup: not to be trusted: the manifests of dedup are gone",),
    ),
    "tokens brought in": Case(
        lambda root: (
            [remove(f"{folder}")(root) for folder in ("manifests", "documents", "signatures", "clusters")]
            and remove("signals", "verdicts", "quarantine", "excluded")(root)
        ),
        {"clean": "not begun", "dedup": "not begun", "filter": "not begun", "tokenize": "imported"},
        0,
        refused="no documents yet",
    ),
    "model of earlier tokens": Case(
        train_on_other_tokens, {"train": "outdated"}, 0, ("train: of earlier tables, if anything: train is outdated",)
    ),
    "checkpoint of another tokenizer": Case(
        write("checkpoints/step-0000020/state.json", '{"format": 1, "step": 20, "tokenizer": "other"}'),
        {"train": "outdated"},
        0,
        ("trained on tokens of tokenizer other",),
    ),
    "checkpoint damaged": Case(write("checkpoints/step-0000020/state.json", "{"), {"train": "damaged"}, 1),
    "training interrupted": Case(
        write("checkpoints/step-0000020/state.json", '{"format": 1, "step": 20}'), {"train": "interrupted"}, 0
    ),
    "another training takes its place": Case(
        lambda root: (train_on_other_tokens(root), succeed(root))[1],
        {"train": "interrupted"},
        0,
    ),
    "log damaged": Case(write("logs/stages.json", ""), {}, 1),
}


@pytest.mark.parametrize("name", CASES)
def test_all_three_commands_say_the_same_of_a_state(name: str, made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    case, root = CASES[name], str(made.root)
    case.change(made.root)
    assert commands.status(root, json=True) == 0
    rows = json.loads(capsys.readouterr().out)["stages"]
    assert commands.verify(root, json=True) == case.verify
    captured = capsys.readouterr()
    verified = json.loads(captured.out)
    expected = {"clean": "done", "dedup": "done", "filter": "done", "tokenize": "done", "train": "not in the recipe"}
    expected |= case.states | {"report": "not in the recipe"}
    assert {stage: state for stage, state in verified["stages"].items() if stage in expected} == expected
    worst = {stage: [row["state"] for step, row in rows.items() if step.split(".")[0] == stage] for stage in expected}
    assert {stage: state for stage, state in expected.items() if state not in worst[stage]} == {}
    assert all(row["problems"] for row in rows.values() if STATES[row["state"]].verify)
    assert bool(verified["damaged"]) == bool(case.verify)
    if case.verify:
        assert "to rebuild: " in captured.err
    if case.refused:
        with pytest.raises((UserError, RunError), match=case.refused):
            explain_document(root, made.doc_id)
        return
    assert explain_document(root, made.doc_id, json=True) == 0
    told = json.loads(capsys.readouterr().out)["stages"]
    assert {stage: row["state"] for stage, row in told.items()} == expected
    assert explain_document(root, made.doc_id) == 0
    text = capsys.readouterr().out
    assert [words for words in case.words if words not in text] == []


def test_every_state_of_the_table_is_made_by_a_case_or_a_test_here() -> None:
    made = {state for case in CASES.values() for state in case.states.values()}
    assert set(STATES) - made == {"done", "failed", "running", "not in the recipe"}


def test_byte_that_leaves_the_size_is_found_by_verify_alone(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    flip("signals/00000.arrow")(made.root)
    assert commands.status(str(made.root), json=True) == 0
    assert json.loads(capsys.readouterr().out)["stages"]["filter"]["state"] == "done"
    assert commands.verify(str(made.root), json=True) == 1
    verified = json.loads(capsys.readouterr().out)
    assert verified["stages"]["filter"] == "damaged"
    assert [entry["path"] for entry in verified["damaged"]] == ["signals/00000.arrow"]


def test_nothing_made_yet(original: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(tmp_path / "new")
    Run(root, load_recipe(original.recipe)).write_recipe()
    assert commands.status(root, json=True) == 0
    rows = json.loads(capsys.readouterr().out)["stages"]
    assert {row["state"] for row in rows.values()} == {"not begun", "not in the recipe"}
    assert commands.verify(root) == 0
    assert capsys.readouterr().out == "0 files read, 0 damaged or missing\n"
    with pytest.raises(UserError, match="no documents yet"):
        explain_document(root, original.doc_id)


def test_stage_that_the_recipe_does_not_have_was_not_looked_for(
    original: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = load_recipe(original.recipe, ['stages=["clean", "tokenize"]'])
    run = Run(str(tmp_path / "run"), recipe)
    run_stages(run)
    assert explain_document(run.root, original.doc_id) == 0
    text = capsys.readouterr().out
    assert "duplicates: not looked for: dedup is no stage of this recipe" in text
    assert "filter          not looked for: filter is no stage of this recipe" in text
    assert "none" not in text.split("duplicates")[1].split("\n")[0]


def test_while_another_process_works_verify_says_so_and_deletes_nothing(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run.open(made.root)
    in_work("filter")(made.root)
    with run.lock():
        assert commands.status(run.root, json=True) == 0
        assert json.loads(capsys.readouterr().out)["stages"]["filter"]["state"] == "running"
        assert commands.verify(run.root, json=True) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out)["busy"] is True
        assert "a process is at work on this run" in captured.err
        with pytest.raises(RunError, match="another process is working on this run"):
            commands.verify(run.root, delete=True)
        assert explain_document(run.root, made.doc_id, json=True) == 0
        assert json.loads(capsys.readouterr().out)["stages"]["filter"]["state"] == "running"


@pytest.fixture
def withdrawn_half(made: Made, monkeypatch: pytest.MonkeyPatch) -> Made:
    """A run whose takedown was killed after some of its files were published."""
    run = Run.open(made.root)
    choice = Choice(domains=("news.example.net",))
    with monkeypatch.context() as patched:
        publications(patched, 6)
        with pytest.raises(Killed):
            take_down(run, choice)
    assert storage.exists(run.url(layout.TAKEDOWN_PLAN))
    return made


def test_takedown_that_was_interrupted_is_no_damage(withdrawn_half: Made, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(withdrawn_half.root)
    assert commands.status(root) == 0
    text = capsys.readouterr().out
    assert f"`tokenmill takedown {root}` finishes one that was interrupted" in text
    assert "damaged" not in text
    assert commands.verify(root) == 0


def test_advice_of_verify_with_the_manifests_gone_makes_them_again(made: Made) -> None:
    before = {path: path.read_bytes() for path in sorted((made.root / "tokens").rglob("*.arrow"))}
    remove("manifests")(made.root)
    run = Run.open(made.root)
    assert rebuild_command(run) == f"tokenmill run {run.root}/recipe.toml --root {run.root}"
    run_stages(Run(run.root, load_recipe(made.recipe)))
    assert commands.verify(run.root) == 0
    assert {path: path.read_bytes() for path in before} == before


def test_swapped_manifests_are_named_and_the_next_run_rebuilds_every_output(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(made.root, "metrics", "report")
    swap_manifests(made.root)
    run = Run(str(made.root), load_recipe(made.recipe))
    assert commands.verify(run.root) == 1
    told = capsys.readouterr().err
    assert "damaged: manifests/clean/00000.json (damaged manifest (it is of clean 00001: moved or copied" in told
    assert f"to rebuild: tokenmill verify {run.root} --delete, then tokenmill run" in told
    assert commands.run(str(made.recipe), root=run.root, dry_run=True) == 0
    assert "clean     runs: clean 2 of 2 shards (its manifest is damaged)" in capsys.readouterr().err
    assert run_stages(run) > 0
    assert commands.verify(run.root) == 0
    assert tree(made.root, "metrics", "report") == before


@pytest.mark.parametrize("path", ["logs/stages.json", "logs/failed.json", "logs/environment.json", "logs/inputs.json"])
@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[]"])
def test_damaged_log_is_named_and_stops_nothing(
    path: str, data: bytes, made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    (made.root / path).write_bytes(data)
    root = str(made.root)
    assert commands.status(root) == 0
    assert commands.run(str(made.recipe), root=root, dry_run=True) == 0
    assert "clean     done, skipped" in capsys.readouterr().err
    assert commands.verify(root) == 1
    assert f"damaged: {path}" in capsys.readouterr().err
    assert commands.verify(root, delete=True) == 0
    assert commands.verify(root) == 0
