"""Which server a run reports to, and how one that is set is asked: as Prefect does both."""

import base64
import datetime
import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from flows.server.address import Address
from flows.server.asking import check_server
from pipeline.base.errors import UserError
from tests.conftest import REPOSITORY
from tests.flows.processes import ENVIRONMENT

PROFILES = """
active = "team"
[profiles.team]
PREFECT_API_URL = "http://profile/api"
[profiles.other]
PREFECT_API_URL = "http://other/api"
[profiles.none]
"""
TOML, PROJECT = '[api]\nurl = "http://toml/api"\n', '[tool.prefect.api]\nurl = "http://project/api"\n'
HOME = {".prefect/profiles.toml": PROFILES}
HERE = "somewhere/"  # the working directory, below the home
CASES: dict[str, tuple[dict[str, str], dict[str, str], str]] = {  # files, variables, words of the origin
    "nothing": ({}, {}, ""),
    "environment": (HOME, {"PREFECT_API_URL": "http://environment/api"}, "the environment"),
    "small letters": (HOME, {"prefect_api_url": "http://small/api"}, "the environment"),
    "empty variable": (HOME, {"PREFECT_API_URL": ""}, ""),
    "active profile": (HOME, {}, "the profile team"),
    "named profile": (HOME, {"PREFECT_PROFILE": "other"}, "the profile other"),
    "profile without a server": (HOME, {"PREFECT_PROFILE": "none"}, ""),
    "profile that is not there": (HOME, {"PREFECT_PROFILE": "nobody"}, ""),
    "Prefect's own profile": ({}, {"PREFECT_PROFILE": "local"}, "the profile local"),
    "another home": (HOME | {"ours/profiles.toml": PROFILES}, {"PREFECT_HOME": "../ours"}, "ours/profiles.toml"),
    "another home without profiles": (HOME, {"PREFECT_HOME": "../ours"}, ""),
    "profiles elsewhere": ({"p.toml": PROFILES}, {"PREFECT_PROFILES_PATH": "../p.toml"}, "p.toml"),
    "profiles named in .env": ({"p.toml": PROFILES, HERE + ".env": "PREFECT_PROFILES_PATH=../p.toml"}, {}, "p.toml"),
    "profiles named in prefect.toml": (
        {"p.toml": PROFILES, HERE + "prefect.toml": 'profiles_path = "../p.toml"'},
        {},
        "p.toml",
    ),
    "dotenv": (HOME | {HERE + ".env": "PREFECT_API_URL=http://dotenv/api"}, {}, ".env"),
    "prefect.toml": (HOME | {HERE + "prefect.toml": TOML, HERE + "pyproject.toml": PROJECT}, {}, "prefect.toml"),
    "pyproject.toml": (HOME | {HERE + "pyproject.toml": PROJECT}, {}, "pyproject.toml"),
    "a project without Prefect": ({HERE + "pyproject.toml": "[tool.other]\n[project]\nname='x'"}, {}, ""),
}
BOTH = """
import json, os, sys
before = dict(os.environ)
found = {}
for name, home, variables in json.load(sys.stdin):
    os.environ.clear()
    os.environ.update({**before, "HOME": home, **variables})
    os.chdir(f"{home}/somewhere")
    from flows.server.address import configured
    ours = configured()
    # Prefect takes its home at its import
    import prefect.settings.constants, prefect.settings.sources, pathlib
    prefect.settings.sources.DEFAULT_PREFECT_HOME = pathlib.Path(home) / ".prefect"
    from prefect.settings import Settings
    found[name] = [Settings().api.url, ours and ours.url, ours.origin if ours else ""]
print(json.dumps(found))
"""


def test_address_is_the_one_of_prefects_own_settings(tmp_path: Path) -> None:
    given = []
    for number, (name, (files, variables, _)) in enumerate(CASES.items()):
        home = tmp_path / str(number)
        for path in (f"{HERE}x", *files):
            (home / path).parent.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            (home / path).write_text(text)
        given.append((name, str(home), variables))
    command = [sys.executable, "-c", BOTH]
    environment = {**ENVIRONMENT, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, input=json.dumps(given), env=environment, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {name: ours for name, (_, ours, _) in found.items()} == {
        name: his or None for name, (his, _, _) in found.items()
    }
    assert sum(1 for his, _, _ in found.values() if his) > 10
    for name, (_, _, words) in CASES.items():
        assert words in found[name][2], name
        assert bool(words) == bool(found[name][2]), name


class Prefect(http.server.BaseHTTPRequestHandler):
    """Answers as Prefect's server does, to who has its key."""

    wanted: ClassVar[dict[str, str]] = {}
    status = 200

    def do_GET(self) -> None:
        known = all(self.headers.get(name) == value for name, value in self.wanted.items())
        open_to_all = self.path.endswith("/health") and "X-Gate" not in self.wanted
        self.send_response(self.status if known or open_to_all else 401)
        self.end_headers()
        self.wfile.write(b"true" if self.path.endswith("/health") else b'"3.8.8"')

    def log_message(self, *arguments: object) -> None:
        """Silent."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[http.server.ThreadingHTTPServer]:
    Prefect.wanted, Prefect.status = {}, 200
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Prefect)
    threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
    yield listening
    listening.shutdown()
    listening.server_close()


def address(server: http.server.ThreadingHTTPServer, scheme: str = "http", path: str = "/api") -> Address:
    return Address(f"{scheme}://localhost:{server.server_port}{path}", "the environment", "unset it")


def problem(asked: Address, **settings: str) -> str:
    """What is said of a server under Prefect's settings; nothing if all is well."""
    from prefect.settings import temporary_settings
    from prefect.settings.legacy import _get_settings_fields
    from prefect.settings.models.root import Settings

    fields = _get_settings_fields(Settings)
    with temporary_settings({fields[name]: value for name, value in settings.items()}):
        try:
            check_server(asked)
        except UserError as error:
            return str(error)
    return ""


def test_keys_and_headers_are_sent_and_a_refusal_says_what_was(server: http.server.ThreadingHTTPServer) -> None:
    asked = address(server)
    assert problem(asked) == ""
    Prefect.wanted = {"Authorization": "Basic " + base64.b64encode(b"me:secret").decode()}
    assert "it refuses us (401): none of PREFECT_API_AUTH_STRING and PREFECT_API_KEY is set" in problem(asked)
    assert "PREFECT_API_AUTH_STRING is set and was sent" in problem(asked, PREFECT_API_AUTH_STRING="me:wrong")
    assert problem(asked, PREFECT_API_AUTH_STRING="me:secret") == ""
    Prefect.wanted = {"Authorization": "Bearer abc"}
    assert problem(asked, PREFECT_API_KEY="abc") == ""
    Prefect.wanted = {"X-Gate": "open"}
    assert "it refuses us (401)" in problem(asked)
    assert problem(asked, PREFECT_CLIENT_CUSTOM_HEADERS='{"X-Gate": "open"}') == ""


def test_server_that_is_busy_is_not_taken_for_a_wrong_address(server: http.server.ThreadingHTTPServer) -> None:
    Prefect.status = 503
    said = problem(address(server))
    assert "it answers 503; look at the server" in said
    assert "/api" not in said.replace(address(server).url, "")


def test_certificate_of_a_team_is_trusted_where_prefect_trusts_it(
    server: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    asked = address(server, "https")
    assert "CERTIFICATE_VERIFY_FAILED" in problem(asked)
    assert problem(asked, PREFECT_API_SSL_CERT_FILE=str(certificate)) == ""
    assert problem(asked, PREFECT_API_TLS_INSECURE_SKIP_VERIFY="true") == ""


def self_signed(folder: Path) -> Path:
    """Key and certificate of ``localhost`` in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    text = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path = folder / "server.pem"
    path.write_bytes(text + made.sign(key, hashes.SHA256()).public_bytes(pem))
    return path


def test_proxy_that_does_not_answer_is_named_without_its_password(
    server: http.server.ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:9")
    said = problem(address(server))
    assert "by way of the proxy 127.0.0.1:9 (name localhost in NO_PROXY to go without)" in said
    assert "secret" not in said
    monkeypatch.setenv("no_proxy", "localhost")
    assert problem(address(server)) == ""


EMBEDDED = """
import asyncio, json, os, urllib.request
from flows.server.settings import prepare
prepare("run ?#%")
from flows.server.embedded import prefect_api
with prefect_api(lambda: None) as url:
    from prefect.client.orchestration import get_client
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    statuses = []
    for path in ("/admin/version", "/admin/settings", "/flow_runs/filter", "/logs/filter", "/csrf-token?client=x"):
        headers = {"Origin": "http://evil", "Authorization": "Basic bWU6eA=="}
        request = urllib.request.Request(url + path, headers=headers)
        try:
            statuses.append(opener.open(request).status)
        except urllib.error.HTTPError as error:
            statuses.append(error.code)
    origin = opener.open(urllib.request.Request(url + "/health", headers={"Origin": "http://evil"}))
    with get_client(sync_client=True) as client:
        flows = len(client.read_flows())

    async def listen():
        socket = url.replace("http", "ws") + "/events/out"
        try:
            async with connect(socket, proxy=None, subprotocols=["prefect"]) as other:
                await other.send(json.dumps({"type": "auth", "token": "me:x"}))
                return str(await other.recv())
        except ConnectionClosed as error:
            return f"closed {error.rcvd.code}"

    print(json.dumps({
        "statuses": statuses, "allowed": origin.headers.get("access-control-allow-origin"), "flows": flows,
        "socket": asyncio.run(listen()), "kept": os.environ["http_proxy"],
        "key": os.environ["PREFECT_API_AUTH_STRING"], "arguments": open("/proc/self/cmdline").read()}))
assert "PREFECT_API_URL" not in os.environ and "PREFECT_API_AUTH_STRING" not in os.environ
assert os.environ["ALL_PROXY"].startswith("socks") and "no_proxy" not in os.environ
"""


@pytest.mark.flow
@pytest.mark.xdist_group("prefect")
def test_embedded_server_answers_us_without_the_proxy_and_nobody_else(tmp_path: Path) -> None:
    """Also in a folder with settings of another server's, and under a path that is no part of a URL."""
    (tmp_path / ".env").write_text("PREFECT_API_KEY=abc\nPREFECT_SERVER_API_BASE_PATH=/other\n")
    bare = {name: value for name, value in ENVIRONMENT.items() if not name.lower().endswith("_proxy")}
    proxies = {"http_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    environment = {**bare, **proxies, "ALL_PROXY": "socks5h://127.0.0.1:9", "PYTHONPATH": str(REPOSITORY)}
    environment |= {"PREFECT_CLIENT_CUSTOM_HEADERS": '{"Authorization": "Bearer team"}', "PREFECT_API_KEY": "team"}
    done = subprocess.run(
        [sys.executable, "-c", EMBEDDED], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["statuses"] == [401] * 5
    assert found["allowed"] is None
    assert found["flows"] == 0
    assert found["socket"] == "closed 1008"
    assert found["kept"] == "http://127.0.0.1:9"
    assert found["key"] not in found["arguments"] + done.stderr
    assert os.path.getsize(tmp_path / "run ?#%/.prefect/prefect.db") > 0
