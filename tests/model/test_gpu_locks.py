"""No GPU is used by two trainings."""

import subprocess
import sys
from pathlib import Path

import pytest

from model.devices import gpus
from pipeline.base.errors import RunError
from tests.conftest import REPOSITORY

UUIDS = ("GPU-aaaa1111-2222", "GPU-bbbb3333-4444")
HOLDER = """
import sys
from pathlib import Path
from model.devices import gpus
gpus.GPUS, gpus.gpu_lock_folder = Path(sys.argv[1]), lambda: Path(sys.argv[2])
with gpus.gpu_lock(print) as held:
    print("held", *held, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def two_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for number, uuid in enumerate(UUIDS):
        folder = tmp_path / "gpus" / f"0000:0{number}:00.0"
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Model: \t\t A\nGPU UUID: \t {uuid}\n")
    monkeypatch.setattr(gpus, "GPUS", tmp_path / "gpus")
    monkeypatch.setattr(gpus, "gpu_lock_folder", lambda: tmp_path / "locks")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def hold(tmp_path: Path) -> "subprocess.Popen[str]":
    """Another process that holds every GPU until its standard input closes."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "gpus"), str(tmp_path / "locks")]
    process = subprocess.Popen(command, cwd=REPOSITORY, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "held 0 1\n"
    return process


def test_second_training_is_refused_and_told_the_process_of_the_first(tmp_path: Path) -> None:
    with hold(tmp_path) as first:
        with (
            pytest.raises(RunError, match=rf'GPU 0 is used by another training: .*"pid": {first.pid}'),
            gpus.gpu_lock(print),
        ):
            pass
        first.kill()
    with gpus.gpu_lock(print) as held:
        assert held == ["0", "1"], "a killed training holds nothing"


def test_trainings_on_two_devices_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with gpus.gpu_lock(print):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
        with gpus.gpu_lock(print) as held:
            assert held == ["1"]


def test_device_named_by_its_uuid_is_the_one_of_that_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with gpus.gpu_lock(print):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-bbbb3333")
        with pytest.raises(RunError, match="GPU 1 is used"), gpus.gpu_lock(print):
            pass


@pytest.mark.parametrize(("chosen", "seen"), [("", []), ("-1", []), ("1,-1,0", ["1"]), (" 1 , 0 ", ["1", "0"])])
def test_visible_devices_are_those_that_cuda_would_see(
    monkeypatch: pytest.MonkeyPatch, chosen: str, seen: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert gpus.visible_gpus() == seen


def test_machine_without_a_gpu_has_nothing_to_lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpus, "GPUS", tmp_path / "none")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with gpus.gpu_lock(print) as held:
        assert held == []
