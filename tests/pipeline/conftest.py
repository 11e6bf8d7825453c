"""Stand-ins for what a run may stand or work on elsewhere: an object store, Slurm, a Ray cluster."""

import gc
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
import warnings
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

from pipeline.base import storage
from tests.pipeline.run.engines.real_slurm import RealSlurm, missing_programs


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, "the S3 server ended"
        yield endpoint
    finally:
        _forget_clients()
        server.kill()
        server.wait()


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    import s3fs

    _share_kernels(tmp_path / "cache")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3,
        "TOKENMILL_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    forkserver._forkserver._stop()  # type: ignore[attr-defined]  # an earlier test's workers do not know these variables
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    s3fs.S3FileSystem().mkdir(name)
    return f"s3://{name}/run"


@pytest.fixture(scope="module")
def faulty_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("moto")
    import s3fs

    from tests.faulty_s3 import serving, settings

    cache = tmp_path_factory.mktemp("cache")
    _share_kernels(cache)
    with serving() as store, pytest.MonkeyPatch.context() as patched:
        for name, value in settings(store, cache).items():
            patched.setenv(name, value)
        patched.setattr(s3fs.S3FileSystem, "retries", 1)
        # other processes of the tests have an s3://bucket too, and the scratch folder of a store is told by its URL
        patched.setattr(tempfile, "tempdir", str(cache))
        patched.setenv("TMPDIR", str(cache))
        _forget_clients()
        s3fs.S3FileSystem().makedirs("bucket", exist_ok=True)
        store.restore("bucket", {})  # moto keeps what an earlier module of this process has left
        yield store
        store.remove("bucket")
        _forget_clients()


@pytest.fixture
def faulty(faulty_server: Any) -> Iterator[Any]:
    """An object store that refuses what a test names (tests/faulty_s3.py), with one empty bucket, ``bucket``."""
    yield faulty_server
    faulty_server.restore("bucket", {})


def _forget_clients() -> None:
    """Closes the connections to an object store here, not at the end of the whole session."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def _share_kernels(cache: Path) -> None:
    """Kernels are compiled already."""
    cache.mkdir(exist_ok=True)
    for kernels in storage.cache_folder().glob("kernels-*"):
        (cache / kernels.name).symlink_to(kernels)


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[RealSlurm]:
    missing = missing_programs()
    if missing:
        pytest.skip(f"no Slurm on this machine: {', '.join(missing)} not found (Debian: slurm-wlm, munge)")
    with tempfile.TemporaryDirectory() as folder, RealSlurm(Path(folder)) as made:  # a socket's path has to be short
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def ray_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield made
    made.shutdown()
