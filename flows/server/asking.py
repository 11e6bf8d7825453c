"""One question to a Prefect server, as Prefect's client asks it, but once: its certificates, key, headers and proxy.

Prefect's own client tries a question several times over a minute, which is too long where the answer decides what to do
next.
"""

import ssl
import urllib.request
from base64 import b64encode
from urllib.parse import urlsplit

import certifi
import httpx
from prefect.settings import get_current_settings
from prefect.settings.models.root import Settings

from flows.server.address import Address
from pipeline.base.errors import UserError

PATIENCE_SECONDS = 10.0


class NoAnswerError(Exception):
    """Nothing answers at the address; its words say what was seen."""


def ask(url: str, path: str, patience_seconds: float) -> httpx.Response:
    """The answer to a GET, whatever its status.

    Raises:
        NoAnswerError: If there is none.
    """
    settings = get_current_settings()
    try:
        with httpx.Client(
            verify=_certificates(url, settings),
            headers={**_key(settings), **settings.client.custom_headers},
            timeout=patience_seconds,
            follow_redirects=True,
        ) as client:
            return client.get(f"{url.rstrip('/')}{path}")
    except (httpx.HTTPError, httpx.InvalidURL, ImportError, OSError, ValueError) as error:  # ImportError: SOCKS
        raise NoAnswerError(f"{error or type(error).__name__}{_by_way_of(url)}") from error


def _certificates(url: str, settings: Settings) -> ssl.SSLContext | bool:
    if not url.startswith("https:") or settings.api.tls_insecure_skip_verify:
        return False
    return ssl.create_default_context(cafile=settings.api.ssl_cert_file or certifi.where())


def _key(settings: Settings) -> dict[str, str]:
    if settings.api.auth_string is not None:
        token = b64encode(settings.api.auth_string.get_secret_value().encode()).decode()
        return {"Authorization": f"Basic {token}"}
    if settings.api.key is not None:
        return {"Authorization": f"Bearer {settings.api.key.get_secret_value()}"}
    return {}


def _by_way_of(url: str) -> str:
    """The proxy that the environment names for an address, in words."""
    asked = urlsplit(url)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(asked.scheme) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass(asked.hostname or ""):
        return ""
    there = urlsplit(proxy if "://" in proxy else f"//{proxy}")
    by_way = f"{there.hostname}:{there.port}"  # without the password that may stand in it
    return f", asked by way of the proxy {by_way} (name {asked.hostname} in NO_PROXY to go without)"


def check_server(server: Address) -> None:
    """Names what is wrong with the user's own server, if anything is.

    Raises:
        UserError: If no Prefect API answers there, or it refuses us.
    """
    try:
        health = ask(server.url, "/health", PATIENCE_SECONDS)
        version = ask(server.url, "/admin/version", PATIENCE_SECONDS)
    except NoAnswerError as error:
        raise _unusable(server, f"not reachable: {error}", "start one with `prefect server start`") from error
    refused = next((answer.status_code for answer in (health, version) if answer.status_code in (401, 403)), None)
    if refused:
        raise _unusable(server, f"it refuses us ({refused}): {_key_in_words()}", "set the key that it wants")
    missing = "" if server.url.rstrip("/").endswith("/api") else " (is /api missing at its end?)"
    if health.status_code >= 400:
        raise _unusable(server, f"it answers {health.status_code}{missing}", "look at the server, or at the address")
    if health.content.strip() != b"true":
        raise _unusable(server, f"it answers, but not as a Prefect API{missing}", "correct the address")


def _key_in_words() -> str:
    api = get_current_settings().api
    keys = {"PREFECT_API_AUTH_STRING": api.auth_string, "PREFECT_API_KEY": api.key}
    sent = next((name for name, value in keys.items() if value), None)
    return f"{sent} is set and was sent" if sent else f"none of {' and '.join(keys)} is set"


def _unusable(server: Address, problem: str, advice: str) -> UserError:
    found = server.url if server.origin == "the environment" else f"{server.url} (from {server.origin})"
    return UserError(
        f"PREFECT_API_URL = {found}: {problem}; {advice}, or, to use the embedded server, {server.removal}"
    )
