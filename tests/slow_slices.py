"""The slow tests in slices of about a minute: CI runs one slice per day, so that no slow test goes unrun for long.

A pytest plugin: ``make test-slow SLICE=3`` runs the third slice, ``SLICE=today`` (the default) that of the day,
``SLICE=all`` every one, and ``SLICE=list`` runs nothing and names the tests of each.  All tests of one function stay
together, since they share what its module has made.  How long each takes stands in slow_seconds.json, which
``make test-slow SLICE=all PYTEST_ARGS=--note-seconds`` writes anew.
"""

import heapq
import json
import math
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

SECONDS = Path(__file__).with_name("slow_seconds.json")
SLICE_SECONDS = 60.0
UNKNOWN_SECONDS = 60.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slice", default="all", help="a number, `today`, `all` or `list`")
    parser.addoption("--note-seconds", action="store_true", help="writes tests/slow_seconds.json")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Slices(config), "slow-slices")


def known_seconds() -> dict[str, float]:
    found: dict[str, float] = json.loads(SECONDS.read_text())
    return found


def slices_of(seconds: Mapping[str, float]) -> list[list[str]]:
    """The functions of each slice: the longest first, each into the slice that is shortest so far."""
    count = max(1, math.ceil(sum(seconds.values()) / SLICE_SECONDS))
    slices: list[list[str]] = [[] for _ in range(count)]
    shortest = [(0.0, number) for number in range(count)]
    for name in sorted(seconds, key=lambda name: (-seconds[name], name)):
        total, number = heapq.heappop(shortest)
        slices[number].append(name)
        heapq.heappush(shortest, (total + seconds[name], number))
    return slices


def number_of(asked: str, count: int, today: int) -> int:
    """The slice that is asked for, counted from 0.

    Raises:
        pytest.UsageError: If there is none of that number.
    """
    if asked == "today":
        return today % count
    if asked.isdigit() and 1 <= int(asked) <= count:
        return int(asked) - 1
    raise pytest.UsageError(f"--slice is 1 to {count}, today, all or list; found {asked!r}")


def function_of(item_id: str) -> str:
    return item_id.partition("[")[0]


def still_there(seconds: Mapping[str, float], names: set[str]) -> dict[str, float]:
    """What of the seconds is of tests that are there, or of files that were not looked at."""
    files = {name.partition("::")[0] for name in names}
    return {name: took for name, took in seconds.items() if name in names or name.partition("::")[0] not in files}


def lines_of(slices: list[list[str]], number: int, seconds: Mapping[str, float]) -> list[str]:
    """What a slice holds, for a person."""
    names = sorted(slices[number])
    title = f"slice {number + 1} of {len(slices)}, about {sum(seconds[name] for name in names):.0f} s"
    return [title, *(f"  {seconds[name]:4.0f} s  {name}" for name in names)]


class Slices:
    """Chooses among the slow tests that were collected, and notes how long they take."""

    def __init__(self, config: pytest.Config) -> None:
        self.asked: str = config.getoption("--slice")
        self.note: bool = config.getoption("--note-seconds")
        self.names: set[str] = set()
        self.measured: Counter[str] = Counter()
        self.told: list[str] = []

    @pytest.hookimpl(trylast=True)  # after -m has chosen
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        self.names = {function_of(item.nodeid) for item in items if item.get_closest_marker("slow")}
        if self.asked == "all":
            return
        known = known_seconds()
        seconds = {name: known.get(name, UNKNOWN_SECONDS) for name in self.names}
        slices = slices_of(seconds)
        chosen: list[str] = []
        if self.asked == "list":
            self.told = [line for number in range(len(slices)) for line in lines_of(slices, number, seconds)]
        else:
            number = number_of(self.asked, len(slices), datetime.now(UTC).toordinal())
            chosen = slices[number]
            self.told = lines_of(slices, number, seconds)
        config.hook.pytest_deselected(items=[item for item in items if function_of(item.nodeid) not in chosen])
        items[:] = [item for item in items if function_of(item.nodeid) in chosen]

    def pytest_report_collectionfinish(self) -> list[str]:
        return self.told

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.measured[function_of(report.nodeid)] += report.duration

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.asked == "list":
            session.exitstatus = pytest.ExitCode.OK  # that no test has run is no failure
        if self.note:
            found = known_seconds() | {name: round(seconds, 1) for name, seconds in self.measured.items()}
            found = still_there(found, self.names)
            SECONDS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
