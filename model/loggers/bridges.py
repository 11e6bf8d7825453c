"""Gives the lines of metrics to the tools of ``train.loggers``: names, steps and values as in ``metrics/train.jsonl``.

A training that goes on from a checkpoint goes on in the same run of the tool: each bridge is told the lines that are
kept, and sees to it that no step is there twice.  A tool that fails is told of once and left out: the training goes on,
and ``metrics/train.jsonl`` has everything.
"""

import importlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from pipeline.base import storage
from pipeline.base.console import say
from pipeline.base.errors import parse_json
from pipeline.run import layout
from pipeline.run.folder import Run

Line = Mapping[str, Any]


class Bridge(Protocol):
    """One tool."""

    def write(self, line: Line) -> None:
        """Takes a line of metrics."""

    def flush(self) -> None:
        """Makes durable what was written."""

    def close(self, *, finished: bool) -> None:
        """Ends; ``finished`` says whether the training has made its last step."""


@dataclass(frozen=True)
class Start:
    """What a bridge begins with.

    Attributes:
        run: The run.
        name: Of this training among others in the tool: the same as long as it goes on from its checkpoints.
        kept: The lines of metrics before it goes on; none when it begins.
    """

    run: Run
    name: str
    kept: Sequence[Line]

    @property
    def settings(self) -> dict[str, Any]:
        """[model] and [train] of the recipe, and its name."""
        recipe = self.run.recipe
        return {"recipe": recipe.name, "model": recipe.model.model_dump(), "train": recipe.train.model_dump()}


class Bridges:
    """The bridges of a run's recipe.

    Args:
        run: The run.
        kept: The lines of metrics that stay; what is written comes after them.
        tell: Where it is said that a tool failed.
    """

    def __init__(self, run: Run, kept: Sequence[Line], tell: Callable[[str], None] = say) -> None:
        self._tell, self._steps = tell, run.recipe.train.steps
        self._last = int(kept[-1]["step"]) if kept else 0
        self._open: dict[str, Bridge] = {}
        names = run.recipe.train.loggers
        start = Start(run, _name(run, bool(kept)), kept) if names else None
        for name in names:
            self._try(name, partial(self._begin, name, start))

    def _begin(self, name: str, start: Start | None) -> None:
        self._open[name] = importlib.import_module(f"model.loggers.{name}").Tool(start)

    def write(self, line: Line) -> None:
        """Gives a line of metrics to each of them."""
        self._last = int(line["step"])
        for name, bridge in list(self._open.items()):
            self._try(name, partial(bridge.write, line))

    def flush(self) -> None:
        """Called before a checkpoint."""
        for name, bridge in list(self._open.items()):
            self._try(name, bridge.flush)

    def close(self) -> None:
        """Ends all of them."""
        for name, bridge in list(self._open.items()):
            self._try(name, partial(bridge.close, finished=self._last >= self._steps))
        self._open = {}

    def _try(self, name: str, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  of somebody else's tool: a training is not given up for it
            self._open.pop(name, None)
            words = str(error).split("\n")[0][:300]
            self._tell(f"{name} fails and gets no more figures ({type(error).__name__}: {words}); the training goes on")


def numbers(line: Line, prefix: str = "") -> Iterator[tuple[str, float]]:
    """The figures of a line but its step: name and value; those of a group are named ``group/member/figure``.

    Example:
        >>> list(numbers({"step": 5, "loss": 2.5, "mfu": None, "by_source": {"web": {"tokens": 7}}}))
        [('loss', 2.5), ('by_source/web/tokens', 7)]
    """
    for key, value in line.items():
        if isinstance(value, Mapping):
            yield from numbers(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and (prefix or key != "step"):
            yield f"{prefix}{key}", value


def _name(run: Run, goes_on: bool) -> str:
    """The name of this training in the tools, which stands beside its metrics."""
    url = run.url(layout.LOGGERS)
    data = storage.read_if_there(url) if goes_on else None
    try:
        return str(parse_json(data or b"{}")["name"])
    except (ValueError, KeyError, TypeError):  # none yet, or damaged: a name of its own again
        name = uuid.uuid4().hex[:12]
        storage.publish_bytes(json.dumps({"name": name}).encode(), url, run.root)
        return name
