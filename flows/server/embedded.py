"""The embedded Prefect server of one run: a child process that ends with its parent, however that dies.

Works around Prefect 3.8.8:

- Its own embedded server lives on after a SIGKILL of the parent and then holds the run's database.  Ours reads a pipe
  whose other end only the parent has: when the pipe closes, it exits.  The parent makes the listening socket and hands
  it over, so that no port can be taken between choosing and using it.
- It answers every user of the machine, and every page in a browser there.  Ours wants a key of this run, which the
  environment of our processes holds; other users cannot read that.  (A Unix socket would do without, but Prefect's
  clients know none.)
- Its client asks by way of the proxy that the environment names.  Ours is named there as one to be asked directly.
- A new database costs five of the eight seconds of processor time that a start takes, all of it migrations of an empty
  file; so an empty migrated one is kept in the cache folder, by Prefect's version, and copied.

``python -m flows.server.embedded DESCRIPTOR`` is the child.
"""

import asyncio
import contextlib
import contextvars
import errno
import os
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from flows.display.loading import loading
from flows.server.address import configured
from pipeline.base import storage
from pipeline.base.console import guard_streams, say
from pipeline.base.processes import end_with_parent, environment

ANOTHER_SERVERS = ("PREFECT_SERVER_API_BASE_PATH", "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS")
DATABASE = "sqlite+aiosqlite:///prefect.db"  # relative: the path of a run may have a ? in it, which ends one in a URL
MIGRATIONS = "server/database/_migrations/versions/sqlite"
DATABASE_BYTES = 2 << 20  # of a new database and its journal
HOST = "127.0.0.1"
START_SECONDS = 180.0
STOP_SECONDS = 3.0
DRAIN_SECONDS = 1.5
# Addresses of servers that this process has started.  The process is their scope, as it is that of PREFECT_API_URL.
_embedded: set[str] = set()


@contextlib.contextmanager
def prefect_api(while_it_starts: Callable[[], object]) -> Iterator[str]:
    """Makes a Prefect API reachable, and yields where: the user's own, if one is set, or an embedded one.

    Call it before Prefect is imported and after ``flows.server.settings.prepare``.

    Args:
        while_it_starts: Called while an embedded server starts, or once the user's own has answered: for imports that
            take a second.

    Raises:
        UserError: If no Prefect API can be reached at the address that is set.
    """
    own = configured()
    if own:
        from flows.server.asking import check_server

        check_server(own)
        with _variables({"PREFECT_API_URL": own.url}):
            while_it_starts()
            yield own.url
        return
    key = f"tokenmill:{secrets.token_urlsafe(32)}"
    with _listening() as listener, _child(listener, key) as child:
        url = f"http://{HOST}:{listener.getsockname()[1]}/api"
        listener.close()  # the child has its own copy; ours would keep the port open after the child's end
        _embedded.add(url)
        with _variables(_client_variables(url, key)):
            from prefect.settings import get_current_settings

            # nobody listens to heartbeats here, and each flow waits up to a second for the thread that sends them
            get_current_settings().flows.heartbeat_frequency = None
            try:
                while_it_starts()
                _start_or_lose(url, child)
                with _watched(url, child):
                    yield url
            finally:
                _drain()


@contextlib.contextmanager
def _variables(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Sets variables of this process's environment for a while; None removes one."""
    before = {name: os.environ.get(name) for name in changes}

    def put(values: Mapping[str, str | None]) -> None:
        for name, value in values.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value

    put(changes)
    try:
        yield
    finally:
        put(before)


def _client_variables(url: str, key: str) -> dict[str, str | None]:
    """What Prefect's client needs to reach our server, and to send it nothing that is meant for another one."""
    variables: dict[str, str | None] = {
        "PREFECT_API_URL": url,
        "PREFECT_API_AUTH_STRING": key,
        "PREFECT_CLIENT_CUSTOM_HEADERS": "{}",
    }
    past = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    variables |= dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(filter(None, (past, HOST))))
    if find_spec("socksio") is None:  # the client would not start at all, though it were to ask no proxy
        proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
        variables |= dict.fromkeys(name for name, value in proxies.items() if value.lower().startswith("socks"))
    return variables


def is_embedded() -> bool:
    """Whether the server of this process is its own, and ends with it."""
    return os.environ.get("PREFECT_API_URL", "") in _embedded


def _drain() -> None:
    """Sends what Prefect still holds for the server, before it ends: log lines and the events of the last states."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=DRAIN_SECONDS)


def _listening() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((HOST, 0))
    listener.listen(128)
    return listener


class _Server:
    """The server process; its own session, so that Ctrl-C leaves it up to record how the run ended.

    What it says is passed on, but where the disk is full: there the run says so, and what the server adds is noise.
    """

    def __init__(self, listener: socket.socket, key: str) -> None:
        self._home = Path(os.environ["PREFECT_HOME"])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "flows.server.embedded", str(listener.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()],
            env=_server_variables(key),
            start_new_session=True,
        )
        self._said = threading.Thread(target=self._pass_on, name="what the server says", daemon=True)
        self._said.start()

    def _pass_on(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not _disk_in_words(self._home):
                say(line.decode(errors="replace").rstrip())

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended and all that it said is passed on."""
        code = self._process.wait(timeout)
        self._said.join(STOP_SECONDS)
        return code

    def end(self) -> None:
        """Ends it."""
        self._process.terminate()
        try:
            self.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


@contextlib.contextmanager
def _child(listener: socket.socket, key: str) -> Iterator[_Server]:
    server = _Server(listener, key)
    try:
        yield server
    finally:
        server.end()


def _server_variables(key: str) -> dict[str, str]:
    """The environment of the server: what is meant for a server of the user's own, or its clients, is not ours."""
    others = {name: value for name, value in environment().items() if name not in ANOTHER_SERVERS}
    return {
        **others,
        "PREFECT_HOME": os.path.abspath(os.environ["PREFECT_HOME"]),
        "PREFECT_UI_ENABLED": "0",
        "PREFECT_API_BLOCKS_REGISTER_ON_START": "0",  # we use none, and they are a fifth of the start
        "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "0",  # nor automations, whose stop fails where they begin late
        "PREFECT_SERVER_API_AUTH_STRING": key,
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": "http://localhost",  # no page of anybody's
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
    }


def _start_or_lose(url: str, child: _Server) -> None:
    """Waits for the server's first answer; a run that it does not start for goes on without it, and says so."""
    problem = _await_health(url, child)
    if problem:
        from flows.server.lost_server import lose

        lose(f"{problem}. The run goes on without it: Prefect will not show this run")


@contextlib.contextmanager
def _watched(url: str, child: _Server) -> Iterator[None]:
    """A server that ends within the block is lost at once: Prefect's client would go on asking it for a minute."""
    from flows.server.lost_server import lose

    is_over = threading.Event()

    def wait() -> None:
        code = child.wait()
        if not is_over.is_set():
            lose(
                f"the Prefect server at {url} is lost (it ended with code {code}): "
                "the run goes on without it, and its pages will not show the rest"
            )

    # in a copy of this context, in which Prefect's settings are those of the run
    threading.Thread(target=contextvars.copy_context().run, args=(wait,), name="server", daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


def _await_health(url: str, child: _Server) -> str:
    """Waits for the first answer; the socket listens already, so one request waits as long as the start takes.

    Returns:
        What is wrong, as far as it was seen; nothing if the server answers.
    """
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with directly.open(f"{url}/health", timeout=START_SECONDS):
            return ""
    except OSError as error:
        if getattr(getattr(error, "reason", error), "errno", 0) in (errno.ENETUNREACH, errno.EADDRNOTAVAIL):
            return f"this machine has no loopback interface ({HOST}: {error}); `ip link set lo up` makes it one"
        code = None
        with contextlib.suppress(subprocess.TimeoutExpired):  # it closes its socket a moment before it ends
            code = child.wait(STOP_SECONDS)
        home = Path(os.environ["PREFECT_HOME"])
        found = _disk_in_words(home) or _database_in_words(home / "prefect.db")
        if code is not None:
            found = found or "what it said stands above"
            return f"the embedded Prefect server ended with code {code} before it answered; {found}"
        found = found or f"{error}"
        return f"the embedded Prefect server did not answer within {START_SECONDS:.0f} s; {found}"


def _disk_in_words(home: Path) -> str:
    """Says so where the disk of Prefect's home has no room for a database."""
    existing = next(path for path in (home, *home.parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    return f"no space left on the disk of {home}: {free:,} bytes are free" if free < DATABASE_BYTES else ""


def _database_in_words(path: Path) -> str:
    """Says so where the database is not one that this Prefect can read; the only case in which deleting it helps."""
    advice = f"delete {path.parent}, which loses the history of this run's earlier starts only"
    if not path.exists():
        return ""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
            ((state,),) = database.execute("pragma quick_check(1)")
            revisions = [row[0] for row in database.execute("select version_num from alembic_version")]
    except sqlite3.Error as error:
        return f"its database {path} cannot be read ({error}): {advice}"
    if state != "ok":
        return f"its database {path} is damaged ({state}): {advice}"
    package = find_spec("prefect")
    folder = Path(((package and package.submodule_search_locations) or [""])[0]) / MIGRATIONS
    known = "".join(file.name for file in folder.glob("*.py"))
    other = next((revision for revision in revisions if revision not in known), None)
    return f"its database {path} is of another version of Prefect (revision {other}): {advice}" if other else ""


def serve(descriptor: int) -> None:
    """Runs the server on an inherited listening socket until SIGTERM or the parent's end."""
    guard_streams()
    end_with_parent(code=0, last_words="the run ended; its Prefect server ends too")
    home = Path(os.environ["PREFECT_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    os.chdir(home)  # away from prefect.toml and .env of a server of the user's own
    with loading():
        if not any(name.endswith("DATABASE_CONNECTION_URL") for name in os.environ):
            os.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = DATABASE
            if new_database(Path("prefect.db")):
                os.environ["PREFECT_API_DATABASE_MIGRATE_ON_START"] = "0"
        import uvicorn
        from prefect.server.api.server import create_app

        app = create_app()
    uvicorn.run(app, fd=descriptor, log_level="error", lifespan="on")


def new_database(path: Path) -> bool:
    """Puts an empty, migrated database at ``path``, where Prefect has its own, unless there is one.

    Returns:
        Whether it did; a server has to migrate what it finds.
    """
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = storage.cache_folder() / f"prefect-{version('prefect')}.db"
    if kept.exists():
        with _whole(path) as half:
            shutil.copyfile(kept, half)
        return True
    from prefect.server.database import provide_database_interface

    asyncio.run(provide_database_interface().run_migrations_upgrade())
    with contextlib.suppress(OSError, sqlite3.Error):  # a cache that cannot be written costs seconds at the next start
        kept.parent.mkdir(parents=True, exist_ok=True)
        # a copy of a database that may be open, without its journals
        with _whole(kept) as half, closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(half)) as copy:
            source.backup(copy)
    return True


@contextlib.contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A path to write to that becomes ``target`` at the end: that name never stands for half a file."""
    half = target.with_name(f"{target.name}.{os.getpid()}")
    yield half
    half.replace(target)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
