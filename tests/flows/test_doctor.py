"""What ``tokenmill doctor`` finds, and what it says to do."""

import json
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from flows.cli import doctor
from model.devices import gpus
from pipeline.clean.languages.identify import FASTTEXT


def row(name: str) -> dict[str, Any]:
    return next(found for found in doctor.checks() if found["name"] == name)


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Versions that the checks are told, over the installed ones."""
    told: dict[str, str | None] = {}
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: told[name] if name in told else real(name))
    return told


def test_this_environment_has_every_package_it_needs() -> None:
    bad = [found["name"] for found in doctor.checks() if not found["ok"]]
    assert set(bad) <= {"disk", "memory", "processor", "kernel cache"}, "what depends on the machine may be bad"


def test_every_check_that_fails_says_what_to_do(versions: dict[str, str | None]) -> None:
    versions |= dict.fromkeys(doctor.NEEDED, None)
    failed = [found for found in doctor.checks() if not found["ok"]]
    assert len(failed) >= len(doctor.NEEDED)
    assert all(found["advice"] for found in failed)


def test_second_owner_of_the_module_fasttext_is_named_with_the_way_out(versions: dict[str, str | None]) -> None:
    versions["fasttext-wheel"] = "0.9.2"
    found = row("fasttext")
    assert not found["ok"]
    assert "fasttext-wheel" in found["found"]
    assert f"pip uninstall fasttext-wheel {FASTTEXT}" in found["advice"]


@pytest.mark.parametrize(("fastapi", "ok"), [("0.139.0", True), ("0.150.9", True), ("0.155.0", False), (None, False)])
def test_fastapi_that_prefect_dies_with_is_found(
    versions: dict[str, str | None], fastapi: str | None, ok: bool
) -> None:
    versions["fastapi"] = fastapi
    assert row("prefect and fastapi")["ok"] is ok


def test_cpu_build_of_torch_beside_a_gpu_is_found(
    versions: dict[str, str | None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    versions["torch"] = "2.9.0+cpu"
    monkeypatch.setattr(gpus, "GPUS", tmp_path / "gpus")
    assert row("GPU")["ok"]
    (tmp_path / "gpus/0000:01:00.0").mkdir(parents=True)
    assert not row("GPU")["ok"]
    assert "CPU build" in row("GPU")["advice"]


def test_processor_without_vector_extensions_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "PROC", tmp_path)
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu sse sse2\n")
    assert not row("processor")["ok"]
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu sse sse2 avx2\n")
    assert row("processor")["ok"]


def test_small_disk_and_small_memory_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage(10, 9, 1))  # type: ignore[attr-defined]
    assert not row("disk")["ok"]
    limit = tmp_path / "memory.max"
    limit.write_text("200000000\n")
    monkeypatch.setattr(doctor, "CGROUP_LIMIT", limit)
    assert not row("memory")["ok"]
    assert "--workers" in row("memory")["advice"]


def test_server_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert "not reachable" in row("prefect server")["advice"]
    monkeypatch.delenv("PREFECT_API_URL")
    assert row("prefect server")["ok"]


def test_command_prints_one_object_and_its_exit_code_tells_whether_all_is_well(
    versions: dict[str, str | None], capfd: pytest.CaptureFixture[str]
) -> None:
    versions["numba"] = None
    assert doctor.doctor(json=True) == 1
    rows = json.loads(capfd.readouterr().out)["checks"]
    assert {"name": "numba", "ok": False, "found": "missing", "advice": "pip install tokenmill"} in rows
    assert doctor.doctor() == 1
    assert "BAD numba" in capfd.readouterr().out


def test_engine_that_lacks_its_package_or_commands_is_named_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from pipeline.run import engines

    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)  # type: ignore[attr-defined]
    monkeypatch.setenv("PATH", str(tmp_path))
    found = row("engines")
    assert found["ok"], "none of them is needed"
    assert "pip install 'tokenmill[ray]'" in found["found"]
    assert "sbatch, squeue, scancel not found" in found["found"]
