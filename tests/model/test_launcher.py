"""A process of a training whose torchrun or neighbour is gone ends at once, and says so."""

import socket

import pytest

from model.devices.world import find_launcher, joined, others_told
from pipeline.base.errors import RunError
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
