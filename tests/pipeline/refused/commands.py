"""Commands on a run in an object store, called in this process, and the states of the run that they start from."""

import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.cli.app import main
from flows.session.stages import run_stage, working_context
from pipeline.base import storage
from pipeline.base.console import say
from pipeline.base.errors import TokenmillError
from pipeline.base.pool import InProcess
from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run

BUCKET = "bucket"
ROOT = f"s3://{BUCKET}/run"
CURATION = ("clean", "dedup", "filter", "tokenize")
RECIPE = """
name = "refused"
stages = ["clean", "dedup", "filter", "tokenize", "train"]
[[sources]]
name = "s"
paths = ["s3://bucket/in/*.jsonl"]
[filter]
rules = ["gopher_repetition"]
[filter.gopher_repetition]
max_top_2gram_char_ratio = 0.99
max_top_3gram_char_ratio = 0.99
max_top_4gram_char_ratio = 0.99
[tokenize]
vocabulary_size = 300
validation_share = 0.2
exclude_near_validation = false
[model]
layers = 1
heads = 2
width = 16
context_length = 16
[train]
steps = 4
global_batch_tokens = 64
micro_batch_sequences = 4
checkpoint_every_steps = 2
checkpoint_every_minutes = 0
log_every_steps = 1
precision = "float32"
threads = 1
device = "cpu"
"""
WORDS = ("river", "stone", "market", "letter", "window", "garden", "copper", "winter", "bridge", "harbour", "candle")
TIMES = re.compile(r"\d+\.\d+|\d+ (B|s)\b|\S*/cache\S*")  # seconds, and sizes of copies on this machine


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        arguments: Of ``tokenmill``; ``OUT`` stands for a folder of its own, IDS and the like for what the run holds.
            The word "stages" stands for the stages of a run, without Prefect.
        state: The state of the store that it starts from.
    """

    arguments: tuple[str, ...]
    state: str = "finished"

    @property
    def name(self) -> str:
        """As it is typed."""
        return f"{' '.join(self.arguments).replace(ROOT, 'RUN')} ({self.state})"


@dataclass
class Outcome:
    """What a command ended with: exit code, standard output, and the words on standard error."""

    code: int
    out: str
    said: str


def call(command: Command, folder: Path, names: dict[str, str]) -> Outcome:
    """Runs a command; ``folder`` becomes its ``OUT``, as it was left by an earlier call."""
    places = {"OUT": str(folder / "out"), "RECIPE": str(folder / "recipe.toml"), **names}
    (folder / "recipe.toml").write_text(RECIPE)
    arguments = [re.sub(r"[A-Z]+[0-9]?\b", lambda m: places.get(m[0], m[0]), text) for text in command.arguments]
    out, said = io.StringIO(), io.StringIO()
    if arguments[0] == "train":  # takes the place of its process
        ended = subprocess.run([sys.executable, "-m", "flows.cli", *arguments], capture_output=True, text=True)
        return Outcome(ended.returncode, "", ended.stderr)
    with redirect_stdout(out), redirect_stderr(said):
        code = _stages(arguments[1:]) if arguments[0] == "stages" else _exit_code(arguments)
    return Outcome(code, TIMES.sub("?", out.getvalue()), said.getvalue())


def _exit_code(arguments: Sequence[str]) -> int:
    try:
        main(list(arguments))
    except SystemExit as ended:
        return int(ended.code or 0)
    raise AssertionError("a command ends its process")


def _stages(overrides: Sequence[str]) -> int:
    """The stages of a run as the flow runs them, but for training."""
    try:
        run_stages(overrides)
    except (TokenmillError, OSError) as error:
        say(f"error: {error}")
        return error.exit_code if isinstance(error, TokenmillError) else 1
    return 0


def run_stages(overrides: Sequence[str] = ()) -> None:
    """Makes the run, or goes on with it."""
    run = Run(ROOT, _recipe(overrides))
    with run.lock():
        run.write_recipe()
        for stage in CURATION:
            run_stage(stage, working_context(run, InProcess()))


def _recipe(overrides: Sequence[str]) -> Any:
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".toml") as file:
        file.write(RECIPE)
        file.flush()
        return load_recipe(file.name, list(overrides))


def _word(number: int) -> str:
    return WORDS[number % len(WORDS)]


def write_inputs() -> None:
    """Two files of short texts: some twins, a record that is damaged, several licences."""
    lines = []
    for n in range(40):
        text = " ".join(f"The {_word(n + k)} near a {_word(n * 5 + k * 7)} had {n * k}." for k in range(9))
        lines.append({"id": f"r{n}", "text": text, "url": f"https://a.example/{n}", "licence": ["MIT", None][n % 2]})
    lines.append({**lines[3], "id": "twin", "url": "https://b.example/twin"})
    for name, part in (("a", lines[:20]), ("b", lines[20:])):
        data = "".join(json.dumps(line) + "\n" for line in part).encode() + b"not json\n" * (name == "a")
        storage.publish_bytes(data, f"s3://{BUCKET}/in/{name}.jsonl", f"s3://{BUCKET}/in")


def forget_copies() -> None:
    """This machine's copies of objects go, so that a command has to ask for them."""
    shutil.rmtree(storage.cache_folder() / "objects", ignore_errors=True)


def standing(objects: dict[str, bytes], folder: Path) -> dict[str, bytes]:
    """What a command leaves, but for what holds times: logs, metrics, the report's page."""
    left_out = ("run/logs/", "run/metrics/", "run/report/", "two/logs/", "two/report/")
    found = {name: data for name, data in objects.items() if not name.startswith(left_out)}
    out = folder / "out"
    files = [path for path in sorted(out.rglob("*")) if path.is_file()] if out.is_dir() else [out] * out.is_file()
    kept = {path for path in files if path.name not in (".lock", "summary.json")}
    return found | {f"OUT/{path.relative_to(folder)}": path.read_bytes() for path in kept}


def kind_of(asked: Any) -> tuple[str, str]:
    """The kind of a request: the method, and the folder of a run that it asks in, or the file beside those."""
    first, _, below = asked.key.partition("/")
    folder, _, file = below.partition("/")
    alone = not file or ("." in file and not file.endswith((".json", ".arrow", "/")))  # as manifests/takedown.pending
    return asked.kind, asked.key if alone else f"{first}/{folder}/"


def of_kind(kind: tuple[str, str], nth: int | None = None) -> Callable[[Any], bool]:
    """Whether a request is of a kind; with ``nth`` only for that one of them."""
    met: list[Any] = []

    def fits(asked: Any) -> bool:
        if kind_of(asked) != kind:
            return False
        met.append(asked)
        return nth is None or len(met) - 1 == nth

    return fits


def every(commands: Sequence[Command]) -> list[Any]:
    """The commands as parameters of a test."""
    return [pytest.param(command, id=command.name) for command in commands]
