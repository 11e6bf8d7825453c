"""What the nights of a folder give each other: what must not come again, the tokenizer, the tokens, the weights."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from flows.display.terminal import tell
from flows.server.lost_server import interruptible
from flows.session import night_log
from flows.session.command_child import run_command
from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.base.words import figure
from pipeline.dedup.index.runs import build_run_index
from pipeline.readers.parts.inputs import list_inputs
from pipeline.recipe.load import Recipe, load_recipe
from pipeline.recipe.stage_names import CURATION
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.manifest import load_manifest

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_WILD = re.compile(r"[*?\[]")


class Nights:
    """The runs in a folder of nights, seen from one of them.

    Args:
        runs: The folder.
        day: The night that is to be made.
    """

    def __init__(self, runs: str, day: str) -> None:
        self._runs, self.day = runs, day
        marks = [name for name in storage.list_files(runs, layout.stage_manifest("tokenize")) if name.count("/") == 2]
        self.tokenized = sorted(name.split("/")[0] for name in marks)

    @cached_property
    def days(self) -> set[str]:
        """Days of nights that have a folder, finished or not, but for this one."""
        logs = (name.split("/")[0] for name in storage.list_files(self._runs, layout.NIGHT_LOG) if name.count("/") == 2)
        return {day for day in (*logs, *self.tokenized) if _DAY.fullmatch(day) and day != self.day}

    @cached_property
    def done(self) -> set[str]:
        """Days whose crawl was read: their tokens stand, or nothing was new."""
        quiet = (day for day in self.days if "quiet" in night_log.read(storage.join(self._runs, day)))
        return {*self.tokenized, *quiet}

    @property
    def others(self) -> list[str]:
        """Folders of the other runs whose tokens stand."""
        return [storage.join(self._runs, day) for day in self.tokenized if day != self.day]

    @property
    def earlier(self) -> list[str]:
        """Those of earlier days."""
        return [storage.join(self._runs, day) for day in self.tokenized if day < self.day]

    def overrides(self, recipe: str, chosen: Sequence[str]) -> list[str]:
        """Overrides that bring the finished runs in: what must not come again, tokenizer, tokens, checkpoint.

        A night whose own tokens stand keeps what it was made with: later nights know it, not the other way round.

        The index of each other run on this machine is built first, unless it is there and up to date; and so is the
        export of the latest earlier one that has trained.
        """
        if self.day in self.tokenized:
            return self._as_made()
        if not self.others:
            return []
        found = [f'tokenize.tokenizer="{storage.join((self.earlier or self.others)[0], layout.TOKENIZER)}"']
        if self.earlier:
            found.append(f"train.runs={_toml(self.earlier)}")
        loaded = load_recipe(recipe, chosen)
        if "dedup" in loaded.stages:
            for root in filter(storage.is_local, self.others):
                build_run_index(root)
            found.append(f"dedup.against={_toml([*loaded.dedup.against, *self.others])}")
        return [*found, *self._weights(loaded)]

    def _weights(self, loaded: Recipe) -> list[str]:
        trained = [root for root in self.earlier if storage.is_local(root) and load_manifest(root, "train", "all")]
        if "train" in loaded.stages and trained and loaded.model.init is None:
            return [f'model.init="{exported(trained[-1])}"']
        return []

    def _as_made(self) -> list[str]:
        made = Run.open(storage.join(self._runs, self.day)).recipe
        found = [
            f"train.runs={_toml(made.train.runs)}" if made.train.runs else "",
            f'tokenize.tokenizer="{made.tokenize.tokenizer}"' if made.tokenize.tokenizer else "",
            f"dedup.against={_toml(made.dedup.against)}" if made.dedup.against else "",
            f'model.init="{made.model.init}"' if made.model.init else "",
        ]
        return [override for override in found if override]


def exported(root: str) -> str:
    """The folder of the export of a run's last checkpoint, named by what it was made from; made unless it is there.

    Raises:
        TokenmillError: If the checkpoint cannot be exported, in the words of ``tokenmill export``.
    """
    made = load_manifest(root, "train", "all")
    if made is None:
        raise ValueError(f"{root}: no finished training")
    folder = storage.local_path(root) / "export" / made.digest()[:16]
    whole = folder / "exported.json"  # written last
    if not whole.exists():
        files = run_command(["export", root, "--output", str(folder), "--overwrite"], interruptible())["files"]
        made_from = {"checkpoint": sorted(output.path for output in made.outputs), "files": files}
        whole.write_text(json.dumps(made_from), encoding="utf-8")
    return str(folder)


def selection(recipe: Recipe) -> list[str]:
    """The stages after which it is known whether anything is new; none where the recipe does not deduplicate."""
    stages: list[str] = [stage for stage in recipe.stages if stage in CURATION and stage != "tokenize"]
    return stages if "dedup" in stages else []


def curation(recipe: Recipe) -> list[str]:
    """The stages after which it is known how many tokens there are."""
    return [stage for stage in recipe.stages if stage in CURATION]


def nothing_there(recipe: Recipe) -> bool:
    """Whether the crawl is an empty folder: each path of each source, up to its first wildcard, is one.

    A path that does not exist is another thing: nobody knows whether the crawl has been made, and the run says so.
    """
    return all(_is_empty(path) for source in recipe.sources for path in source.paths)


def _is_empty(path: str) -> bool:
    if not storage.is_local(path):
        return False
    fixed = _WILD.split(path)[0]
    folder = storage.local_path(fixed if fixed == path else fixed.rpartition("/")[0])
    if not folder.is_dir():
        return False
    try:
        return not list_inputs("crawl", [path]).files
    except UserError:
        return True


def told_if_quiet(root: str, day: str, summaries: Mapping[str, Mapping[str, Any]]) -> bool:
    """Says and records that a night has brought nothing new, if so: no file, no record, or only what was there."""
    documents = summaries.get("clean", {}).get("documents", 0)
    last = list(summaries.values())[-1]["kept"] if summaries else 0
    if last or (documents and not summaries["dedup"]["dropped_earlier"]):
        return False
    what = f"none of {figure(documents)} documents is new" if documents else "the crawl is empty"
    words = f"a quiet night: {what}; the night of {day} adds no tokens, and the model stays as it is"
    tell(words)
    night_log.remember_quiet(root, words)
    return True


def told_if_few(day: str, recipe: Recipe, summaries: Mapping[str, Mapping[str, Any]]) -> bool:
    """Says that a night has too few tokens for a training of its own, if so: not one window on a side of the split."""
    window = recipe.model.trained_context_length + 1
    made = summaries.get("tokenize", {})
    sides = {"training": made.get("train_tokens", window)}
    if recipe.tokenize.validation_share:
        sides["validation"] = made.get("validation_tokens", window)
    short = [f"{tokens} {side} tokens" for side, tokens in sides.items() if tokens < window]
    if short:
        tell(
            f"the night of {day} has {' and '.join(short)}, too few for a window of {window}: no training; the model "
            "stays as it is, and the next night trains on these tokens, too"
        )
    return bool(short)


def _toml(values: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"
