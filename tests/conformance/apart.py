"""Calls a function in a process of its own, which may die or hang without taking the caller along."""

import contextlib
import multiprocessing
import resource
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

MEMORY_BYTES = 8 << 30
_SPAWN = multiprocessing.get_context("spawn")


class DiedError(Exception):
    """The process ended."""


class HungError(Exception):
    """The call took too long; its process was ended."""


class Apart:
    """One process that answers call after call; a new one after it died.

    Args:
        function: A function of a module; its arguments and its answer are pickled.
        seconds: How long a call may take.
    """

    def __init__(self, function: Callable[..., Any], seconds: float) -> None:
        self._function, self._seconds = function, seconds
        self._process: Any = None
        self._connection: Connection | None = None

    def __enter__(self) -> "Apart":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def __call__(self, *arguments: Any) -> Any:
        """The function's answer.

        Raises:
            DiedError: If its process ended, with its exit code or signal.
            HungError: If it took too long.
        """
        connection = self._connection or self._start()
        connection.send(arguments)
        if not connection.poll(self._seconds):
            self._end()
            raise HungError(f"no end within {self._seconds:g} s")
        try:
            return connection.recv()
        except EOFError as error:
            self._process.join()
            code = self._process.exitcode
            self._end()
            raise DiedError(f"its process ended with {code}") from error

    def _start(self) -> Connection:
        self._connection, other = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(other, self._function))  # no daemon: it may start others
        self._process.start()
        other.close()
        return self._connection

    def _end(self) -> None:
        if self._process is not None and self._connection is not None:
            self._connection.close()
            self._process.kill()
            self._process.join()
            self._process = self._connection = None


def _serve(connection: Connection, function: Callable[..., Any]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            connection.send(function(*connection.recv()))
