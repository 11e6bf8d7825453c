"""An S3 server (moto) in this process, in front of which requests can be refused, for as long as a test wants."""

import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

ANSWERS = {503: "ServiceUnavailable", 403: "AccessDenied"}
CUT = 0  # in place of an answer: the connection is closed


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *arguments: Any) -> None:
        """Says nothing of a request, and of a connection that was cut."""


@dataclass(frozen=True)
class Request:
    """One request: ``kind`` (HEAD, GET, PUT, LIST, DELETE or POST), and the object or the folder, ``key``."""

    kind: str
    key: str


@dataclass
class FaultyStore:
    """The server.

    Attributes:
        seen: Requests since ``forget``, in order.
        refuse: Which requests are refused; None: none.
        answer: What they are answered: 503, 403, or ``CUT``.
    """

    endpoint: str = ""
    seen: list[Request] = field(default_factory=list)
    refuse: Callable[[Request], bool] | None = None
    answer: int = 503

    def __post_init__(self) -> None:
        self._inner = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environment: dict[str, Any], start: Any) -> Any:
        """One request, as WSGI."""
        asked = _request(environment)
        self.seen.append(asked)
        if self.refuse is None or not self.refuse(asked):
            return self._inner(environment, start)
        if self.answer == CUT:
            environment["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError("cut by the test")
        environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
        code = ANSWERS[self.answer]
        start(f"{self.answer} {code}", [("Content-Type", "application/xml")])
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>refused by the test</Message></Error>"
        return [b"" if asked.kind == "HEAD" else body.encode()]

    @contextmanager
    def refusing(self, which: Callable[[Request], bool], answer: int = 503) -> Iterator[None]:
        """Refuses the requests that ``which`` names, meanwhile."""
        self.answer, self.refuse = answer, which
        try:
            yield
        finally:
            self.refuse = None

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Every object of a bucket, read without a request."""
        return {key.name: key.value for key in s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].keys.values()}

    def restore(self, bucket: str, objects: dict[str, bytes]) -> None:
        """Puts a bucket back into an earlier state."""
        backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        standing = self.objects(bucket)
        for key in standing.keys() - objects.keys():
            backend.delete_object(bucket, key)
        for key, value in objects.items():
            if standing.get(key) != value:
                backend.put_object(bucket, key, value)

    def put(self, bucket: str, key: str, value: bytes) -> None:
        """Makes an object."""
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, key, value)

    def remove(self, bucket: str) -> None:
        """Removes a bucket with all that it holds."""
        self.restore(bucket, {})
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].delete_bucket(bucket)


def _request(environment: dict[str, Any]) -> Request:
    method, path, query = (environment[name] for name in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING"))
    key = path.lstrip("/").partition("/")[2]
    if method == "GET" and "list-type" in query:
        prefix = re.search(r"prefix=([^&]*)", query)
        return Request("LIST", prefix[1].replace("%2F", "/") if prefix else "")
    return Request(method, key)


@contextmanager
def serving() -> Iterator[FaultyStore]:
    """A running server."""
    store = FaultyStore()
    server = make_server("127.0.0.1", 0, store, threaded=True, request_handler=_Quiet)
    store.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def settings(store: FaultyStore, cache: os.PathLike[str]) -> dict[str, str]:
    """Environment variables by which commands reach the server; botocore tries each request once."""
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": store.endpoint,
        "AWS_MAX_ATTEMPTS": "1",
        "TOKENMILL_CACHE": str(cache),
    }
