"""An embedded server that does not start ends no run; what is said of it is what was seen."""

import ast
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest

from flows.server.embedded import _database_in_words, _disk_in_words, _server_variables
from pipeline.base import storage
from tests.conftest import REPOSITORY
from tests.flows.processes import ENVIRONMENT, tokenmill


def test_deleting_the_database_is_advised_only_where_that_helps(tmp_path: Path) -> None:
    path = tmp_path / "a ?#%/prefect.db"
    path.parent.mkdir()
    assert _database_in_words(path) == ""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("create table alembic_version (version_num text)")
        database.execute("insert into alembic_version values ('8bb517bae6f9')")
        database.execute("create table log (text text)")
        database.executemany("insert into log values (?)", [("x" * 1000,)] * 100)
    assert _database_in_words(path) == ""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("update alembic_version set version_num = 'ffffffffffff'")
    said = _database_in_words(path)
    assert "of another version of Prefect (revision ffffffffffff): delete" in said
    assert str(path.parent) in said
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert "delete" in _database_in_words(path)
    path.write_bytes(b"not a database" * 1000)
    assert "cannot be read (file is not a database): delete" in _database_in_words(path)


def test_disk_is_named_only_where_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "run/.prefect"
    assert _disk_in_words(home) == ""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=4096))
    assert _disk_in_words(home) == f"no space left on the disk of {home}: 4,096 bytes are free"


def test_services_are_those_that_record_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    asked = (
        "from prefect.server.services.base import RunInEphemeralServers as services; "
        "print({service.__name__ for service in services.enabled_services()})"
    )
    command = [sys.executable, "-c", asked]
    done = subprocess.run(command, env=_server_variables("key"), capture_output=True, text=True, check=True)
    assert {"EventPersister", "TaskRunRecorder"} <= (found := ast.literal_eval(done.stdout))
    assert not {"Actions", "ReactiveTriggers"} & found


@pytest.mark.flow
@pytest.mark.xdist_group("prefect")
def test_run_whose_server_does_not_start_is_done_without_it(recipe: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    (root / ".prefect").mkdir(parents=True)
    (root / ".prefect/prefect.db").write_bytes(b"not a database" * 1000)
    done = tokenmill("run", str(recipe), "--root", str(root))
    assert done.returncode == 0, done.stderr
    assert f"delete {root}/.prefect, which loses the history of this run's earlier starts only" in done.stderr
    assert "The run goes on without it" in done.stderr
    assert (root / "report/index.html").exists()


@pytest.mark.flow
@pytest.mark.xdist_group("prefect")
def test_run_without_loopback_says_so_and_is_done(recipe: Path, tmp_path: Path) -> None:
    """In a network namespace of its own, without any interface (with loopback: tests/end_to_end/test_surroundings)."""
    apart = ["unshare", "--net", "--map-root-user"]
    if shutil.which("unshare") is None or subprocess.run([*apart, "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("this process may not make a network namespace")
    run = [sys.executable, "-m", "tests.flows.stand_in", "run", str(recipe), "--root", str(tmp_path / "run")]
    done = subprocess.run([*apart, *run], cwd=REPOSITORY, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert "this machine has no loopback interface" in done.stderr
    assert (tmp_path / "run/report/index.html").exists()


@pytest.mark.slow
@pytest.mark.flow
@pytest.mark.xdist_group("prefect")
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
@pytest.mark.parametrize("kilobytes", [8, 100, 600, 1000, 1500, 2000, 3000, 6000])
def test_full_disk_is_what_is_said_whichever_process_finds_it(kilobytes: int, recipe: Path, tmp_path: Path) -> None:
    """The small stages need some 60 kB, a database of Prefect's 1 MB at its start and more as it goes on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    kept = storage.cache_folder() / f"prefect-{version('prefect')}.db"
    assert not kept.exists() or kept.stat().st_size > 8000
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(disk)])
    if mounted.returncode:
        pytest.skip("this process may not mount")
    try:
        done = tokenmill("run", str(recipe), "--root", str(disk / "run"))
        assert "report this" not in done.stderr, done.stderr
        assert "history" not in done.stderr, done.stderr
        assert "Traceback (most recent call last):\n" not in done.stderr.split("goes on without it")[-1]
        if done.returncode == 0:
            assert (disk / "run/report/index.html").exists()
        else:
            assert done.returncode == 1
            assert "o space left on" in done.stderr.splitlines()[-1], done.stderr
    finally:
        subprocess.run(["umount", str(disk)], check=True)
