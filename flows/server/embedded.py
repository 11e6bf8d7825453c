"""The embedded Prefect server of one run: a child process that ends with its parent, however that dies.

Works around Prefect 3.8.8:

- Its own embedded server lives on after a SIGKILL of the parent and then holds the run's database.  Ours reads a pipe
  whose other end only the parent has: when the pipe closes, it exits.  The parent makes the listening socket and hands
  it over, so that no port can be taken between choosing and using it.
- A new database costs five of the eight seconds of processor time that a start takes, all of it migrations of an empty
  file; so an empty migrated one is kept in the cache folder, by Prefect's version, and copied.

``python -m flows.server.embedded DESCRIPTOR`` is the child.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from pipeline.base import storage
from pipeline.base.console import guard_streams
from pipeline.base.errors import RunError, UserError
from pipeline.base.processes import end_with_parent, environment

START_SECONDS = 180.0
STOP_SECONDS = 3.0
DRAIN_SECONDS = 1.5


@contextlib.contextmanager
def prefect_api(while_it_starts: Callable[[], object]) -> Iterator[str]:
    """Makes a Prefect API reachable, and yields where: the user's own (``PREFECT_API_URL``), or an embedded one.

    Call it before Prefect is imported and after ``flows.server.settings.prepare``.

    Args:
        while_it_starts: Called while an embedded server starts: for imports that take a second.

    Raises:
        UserError: If ``PREFECT_API_URL`` names no reachable Prefect API.
        RunError: If the embedded server does not start.
    """
    url = os.environ.get("PREFECT_API_URL")
    if url:
        check_server(url)
        yield url
        return
    with _listening() as listener, _child(listener) as child:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        listener.close()  # the child has its own copy; ours would keep the port open after the child's end
        os.environ["PREFECT_API_URL"] = url
        try:
            from prefect.settings import get_current_settings

            # nobody listens to heartbeats here, and each flow waits up to a second for the thread that sends them
            get_current_settings().flows.heartbeat_frequency = None
            while_it_starts()
            _await_health(url, child)
            yield url
        finally:
            _drain()
            del os.environ["PREFECT_API_URL"]


def _drain() -> None:
    """Sends what Prefect still holds for the server, before it ends: log lines and the events of the last states."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=DRAIN_SECONDS)


def _listening() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


@contextlib.contextmanager
def _child(listener: socket.socket) -> Iterator["subprocess.Popen[bytes]"]:
    """The server process; its own session, so that Ctrl-C leaves it up to record how the run ended."""
    variables = {
        **environment(),
        "PREFECT_UI_ENABLED": "0",
        "PREFECT_API_BLOCKS_REGISTER_ON_START": "0",  # we use none, and they are a fifth of the start
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
    }
    command = [sys.executable, "-m", "flows.server.embedded", str(listener.fileno())]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=sys.stderr,
        pass_fds=[listener.fileno()],
        env=variables,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()


def _await_health(url: str, child: "subprocess.Popen[bytes]") -> None:
    """Waits for the first answer; the socket listens already, so one request waits as long as the start takes."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=START_SECONDS):
            return
    except OSError as error:
        home = os.environ.get("PREFECT_HOME", "~/.prefect")
        if child.poll() is not None:
            raise RunError(
                f"the embedded Prefect server ended with code {child.returncode} before it answered; what it said "
                f"stands above. If that is about its database, delete {home}, which loses the history of its runs only"
            ) from error
        raise RunError(
            f"the embedded Prefect server did not answer within {START_SECONDS:.0f} s ({error}): run the same command "
            f"again; if that does not help, delete {home}, which loses the history of its runs only"
        ) from error


def check_server(url: str) -> None:
    """Names what is wrong with the user's ``PREFECT_API_URL``, if anything is.

    Raises:
        UserError: If no Prefect API answers there.
    """
    advice = "start one with `prefect server start`, or unset PREFECT_API_URL to use the embedded server"
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=10) as answer:
            if answer.read().strip() == b"true":
                return
            problem = "it answers, but not as a Prefect API (is /api missing at its end?)"
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            return  # it wants the key that Prefect will send
        problem = f"it answers {error.code} (is /api missing at its end?)"
    except (OSError, ValueError) as error:
        problem = f"not reachable: {getattr(error, 'reason', error)}"
    raise UserError(f"PREFECT_API_URL = {url}: {problem}; {advice}")


def serve(descriptor: int) -> None:
    """Runs the server on an inherited listening socket until SIGTERM or the parent's end."""
    guard_streams()
    end_with_parent(code=0, last_words="the run ended; its Prefect server ends too")
    if not any(name.endswith("DATABASE_CONNECTION_URL") for name in os.environ):
        new_database(Path(os.environ["PREFECT_HOME"]) / "prefect.db")
    import uvicorn

    uvicorn.run("prefect.server.api.server:create_app", factory=True, fd=descriptor, log_level="error", lifespan="on")


def new_database(path: Path) -> None:
    """Puts an empty, migrated database at ``path``, where Prefect has its own, unless there is one.

    The server still migrates what it finds, so a kept file can only save time.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = storage.cache_folder() / f"prefect-{version('prefect')}.db"
    if kept.exists():
        with _whole(path) as half:
            shutil.copyfile(kept, half)
        return
    from prefect.server.database import provide_database_interface

    asyncio.run(provide_database_interface().run_migrations_upgrade())
    with contextlib.suppress(OSError, sqlite3.Error):  # a cache that cannot be written costs seconds at the next start
        kept.parent.mkdir(parents=True, exist_ok=True)
        # a copy of a database that may be open, without its journals
        with _whole(kept) as half, closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(half)) as copy:
            source.backup(copy)


@contextlib.contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A path to write to that becomes ``target`` at the end: that name never stands for half a file."""
    half = target.with_name(f"{target.name}.{os.getpid()}")
    yield half
    half.replace(target)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
