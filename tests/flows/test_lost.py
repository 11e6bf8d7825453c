"""A Prefect server that goes away in the middle of a run."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from prefect.exceptions import TerminationSignal

from flows.server import lost_server as lost
from pipeline.base import storage
from pipeline.base.errors import RunError
from tests.flows.processes import gone_within_ten_seconds, names, start, tokenmill, wait_for
from tests.trees import tree


@pytest.fixture
def gone_server(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A server that does not answer; the lines that were told of it."""
    told: list[str] = []
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setattr(lost, "_lost", set())
    monkeypatch.setattr(lost, "_answers", lambda seconds: False)
    monkeypatch.setattr(lost, "_leave_alone", lambda: None)  # settings of the whole process
    monkeypatch.setattr(lost, "tell", told.append)
    return told


class Work:
    """Stands for a flow or a task: Prefect fails around it, or it fails itself."""

    def __init__(self, error: Exception | None, result: str = "made") -> None:
        self.error, self.result, self.calls = error, result, 0

    def __call__(self, *arguments: Any) -> str:
        if self.error is not None:
            raise self.error
        return self.fn()

    def fn(self, *arguments: Any) -> str:
        self.calls += 1
        return self.result


def wrapped() -> Exception:
    """What Prefect raises at the start of a run: its own error over the one of the connection."""
    try:
        raise httpx.ConnectError("refused")
    except httpx.ConnectError as error:
        made = RuntimeError("Failed to reach API")
        made.__cause__ = error
        return made


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadTimeout("late"), wrapped()])
def test_work_is_done_without_prefect_and_the_loss_told_once(gone_server: list[str], error: Exception) -> None:
    first, second = Work(error), Work(None)
    assert lost.observed(cast(Any, first), 1) == lost.observed(cast(Any, second), 2) == "made"
    assert first.calls == second.calls == 1
    with lost.told_if_possible():
        raise error
    assert len(gone_server) == 1
    assert "http://127.0.0.1:9/api is lost" in gone_server[0]


def answered(status: int) -> Exception:
    """What Prefect's client raises over an answer of the server."""
    request = httpx.Request("POST", "http://127.0.0.1:9/api/flow_runs/")
    return httpx.HTTPStatusError("an answer", request=request, response=httpx.Response(status, request=request))


def test_server_that_fails_within_is_lost_and_one_that_refuses_us_is_not(
    gone_server: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost, "_answers", lambda seconds: True)  # a full disk under it leaves its health as it is
    with pytest.raises(httpx.HTTPStatusError):
        lost.observed(cast(Any, Work(answered(404))))
    assert gone_server == []
    assert lost.observed(cast(Any, Work(answered(500))), 1) == "made"
    assert "is lost (HTTPStatusError): the run goes on without it" in gone_server[0]


def test_error_of_the_work_itself_is_no_loss_of_the_server(gone_server: list[str]) -> None:
    with pytest.raises(RunError, match="shard"):
        lost.observed(cast(Any, Work(RunError("a shard failed"))))
    assert gone_server == []
    assert not lost.is_lost()


def test_server_that_answers_is_not_lost(gone_server: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost, "_answers", lambda seconds: True)
    with pytest.raises(httpx.ConnectError):
        lost.observed(cast(Any, Work(httpx.ConnectError("refused"))))
    assert not lost.is_lost()


def kill_server(process: "subprocess.Popen[str]", reached: Callable[[], bool]) -> list[int]:
    """Kills the embedded server of a run that has come so far; returns the processes below that run."""
    below = wait_for(process, reached)
    (server,) = (pid for pid in below if "flows.server.embedded" in names([pid]))
    os.kill(server, signal.SIGKILL)
    return below


@pytest.mark.slow
@pytest.mark.flow
@pytest.mark.xdist_group("prefect")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_run_whose_server_is_killed_ends_with_the_right_files_and_says_so_once(recipe: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    with start(recipe, root, STAND_IN_SLOW="0.3") as process:
        kill_server(process, lambda: any(root.glob("manifests/clean/*.json")))
        _, told = process.communicate(timeout=1000)
        assert process.returncode == 0, told
    assert told.count("is lost") == 1
    assert "Traceback" not in told
    assert "Error logging to API" not in told
    assert "it ended with code -9" in told  # seen at once, by whoever waits for it: its client asks on for a minute
    never = tmp_path / "never"
    whole = tokenmill("run", str(recipe), "--root", str(never), "--json")
    assert list(json.loads(whole.stdout)["stages"]) == ["clean", "dedup", "filter", "tokenize", "train", "report"]
    outside = ("logs/", "metrics/", "report/", ".")
    made, expected = (
        {path: data for path, data in tree(folder).items() if not path.startswith(outside)} for folder in (root, never)
    )
    assert made == expected


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), TerminationSignal(signal.SIGTERM)], ids=lambda i: type(i))
def test_interrupt_that_the_lost_server_could_not_be_told_ends_the_run(
    gone_server: list[str], interrupt: BaseException
) -> None:
    """Prefect's own error, that it cannot record the crash, stands over the interrupt."""
    unrecorded = httpx.ConnectError("refused")
    unrecorded.__context__ = interrupt
    work = Work(unrecorded)
    with pytest.raises(KeyboardInterrupt):
        lost.observed(cast(Any, work))
    assert work.calls == 0
    assert gone_server == []


@pytest.mark.slow
@pytest.mark.flow
@pytest.mark.xdist_group("prefect")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_interrupted_run_whose_server_is_killed_ends_at_once(recipe: Path, tmp_path: Path) -> None:
    """Prefect would try for minutes to record it, and the run would go on after that."""
    root = tmp_path / "run"
    with start(recipe, root, STAND_IN_SLOW="60") as process:
        below = kill_server(process, lambda: any(root.glob(f"{storage.SCRATCH}/*")))
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 130, told
        assert gone_within_ten_seconds(below)
