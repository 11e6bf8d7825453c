"""A process of a training whose torchrun or neighbour is gone ends at once, and says so."""

import signal
import socket
import subprocess
import sys

import pytest

from model.devices.world import find_launcher, joined, others_told
from model.train import exit_code
from model.training.signals import Interrupted, Stopped
from pipeline.base.errors import RunError
from pipeline.base.processes import environment
from pipeline.recipe.training_options import Train


def as_under_torchrun(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    given = {"TORCHELASTIC_USE_AGENT_STORE": "True", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    for name, value in {**given, "RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)


def test_torchrun_that_is_gone_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    as_under_torchrun(monkeypatch, port)
    with (
        pytest.raises(RunError, match=rf"torchrun does not answer at 127\.0\.0\.1:{port} .*run the same command again"),
        joined(Train(device="cpu")),
    ):
        pass


def test_torchrun_that_is_there_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        as_under_torchrun(monkeypatch, listening.getsockname()[1])
        find_launcher()


def test_another_launcher_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    as_under_torchrun(monkeypatch, 1)
    monkeypatch.delenv("TORCHELASTIC_USE_AGENT_STORE")
    find_launcher()


def test_what_gloo_raises_without_its_peer_is_a_sentence_and_other_errors_are_themselves() -> None:
    raised = "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer. This is typically"
    told = r"another process .* \(Connection closed by peer\); run the same command"
    with pytest.raises(RunError, match=told), others_told():
        raise RuntimeError(raised)
    with pytest.raises(RuntimeError, match="shapes"), others_told():
        raise RuntimeError("shapes do not fit")


@pytest.mark.parametrize("torchrun", [False, True])
def test_a_process_that_ends_before_all_have_agreed_is_a_failure_for_torchrun(
    torchrun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    if torchrun:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    by = {"Ctrl-C": signal.SIGINT, "SIGTERM": signal.SIGTERM}
    at_once = {name: exit_code(Interrupted(number)) for name, number in by.items()}
    agreed = {name: exit_code(Stopped(number, 3)) for name, number in by.items()}
    assert at_once == ({"Ctrl-C": 130, "SIGTERM": 143} if torchrun else {"Ctrl-C": 130, "SIGTERM": 0})
    assert agreed == ({"Ctrl-C": 0, "SIGTERM": 0} if torchrun else {"Ctrl-C": 130, "SIGTERM": 0})


FINALIZED = """
import os, runpy, sys

class Late:
    def __del__(self, end=os._exit):
        end(99)

sys.late = Late()
sys.argv = ["train", *sys.argv[1:]]
runpy.run_module("model.train", run_name="__main__")
"""


def test_process_ends_before_the_finalization_that_the_threads_of_gloo_abort_in() -> None:
    command = [sys.executable, "-c", FINALIZED, "--recipe", "nothing.toml", "--root", "nowhere"]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60)
    assert ended.returncode == 2
    assert "error: nothing.toml" in ended.stderr
