"""A PostgreSQL server of a test's own, with the role and the database of docs/prefect.md."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from pipeline.base.closable import Closable

DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
ON_PATH = shutil.which("initdb")
FOLDER = Path(ON_PATH).resolve().parent if ON_PATH else DEBIAN[-1] if DEBIAN else Path()  # Debian's are not on the path
MISSING = not (FOLDER / "initdb").exists()
USER = "nobody" if os.geteuid() == 0 else None  # PostgreSQL does not start as root


class Postgres(Closable):
    """A server on a free port, its data in a temporary folder; ``prefect`` owns the database and is no superuser."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="postgres-")
        home = self._folder.name
        if USER:
            shutil.chown(home, USER)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        data = f"{home}/data"
        self.run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        self._process = subprocess.Popen(
            [FOLDER / "postgres", "-D", data, "-p", str(self.port), "-h", "127.0.0.1", "-k", home, "-c", "fsync=off"],
            user=USER,
            extra_groups=[] if USER else None,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._address = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        self._wait()
        self.run("createuser", *self._address, "prefect")
        self.run("createdb", *self._address, "--owner", "prefect", "prefect")
        self.url = f"postgresql+asyncpg://prefect@127.0.0.1:{self.port}/prefect"

    def run(self, program: str, *arguments: str) -> str:
        """What one of PostgreSQL's programs prints."""
        done = subprocess.run(
            [FOLDER / program, *arguments],
            user=USER,
            extra_groups=[] if USER else None,
            cwd=self._folder.name,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(self, table: str) -> int:
        """How many rows a table of Prefect's has."""
        query = f"select count(*) from {table}"
        return int(self.run("psql", *self._address, "-d", "prefect", "-Atc", query))

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        command = [FOLDER / "pg_isready", "-q", *self._address]
        while subprocess.run(command, timeout=60).returncode != 0:
            assert self._process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)

    def close(self) -> None:
        """Ends the server and removes its data."""
        self._process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        try:
            self._process.wait(30)
        finally:
            self._process.kill()
            self._process.wait()
            self._folder.cleanup()
