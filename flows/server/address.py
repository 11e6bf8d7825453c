"""Which server runs report to: the one that Prefect's own settings name, found before Prefect is imported.

Prefect 3.8.8 takes the address from the environment, ``.env``, ``prefect.toml`` and ``pyproject.toml`` of the working
directory, and the active profile, in this order.  Its import costs a second and a half, which every run without a
server of the user's own would wait for; and by then the home of Prefect, where profiles lie, has to be set
(flows/server/settings.py).
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dotenv

SETTING = "PREFECT_API_URL"


@dataclass(frozen=True)
class Address:
    """A server of the user's own.

    Attributes:
        url: Of its API.
        origin: What sets it, in words.
        removal: What to do so that it is no longer set.
    """

    url: str
    origin: str
    removal: str


def configured() -> Address | None:
    """The server that is set for this process and its working directory; None where there is none."""
    first = next(((url, *words) for url, *words in _settings() if url is not None), None)
    return Address(*first) if first and first[0] else None


def _settings() -> Iterator[tuple[str | None, str, str]]:
    """Where an address can be set, the first one first; an empty one says that there is no server."""
    yield _get(os.environ, SETTING), "the environment", f"unset {SETTING}"
    yield _get(_dotenv(), SETTING), _here(".env"), f"remove {SETTING} from it"
    yield _url(_toml(Path("prefect.toml"))), _here("prefect.toml"), "remove api.url from it"
    tables = _toml(Path("pyproject.toml")).get("tool", {}).get("prefect", {})
    yield _url(tables), _here("pyproject.toml"), "remove tool.prefect.api.url from it"
    name, settings = _profile()
    yield settings.get(SETTING), f"the profile {name} of {profiles_path()}", f"`prefect config unset {SETTING}`"


def _here(name: str) -> str:
    try:
        return os.path.abspath(name)
    except FileNotFoundError:  # the working directory was removed, and nothing stands in it
        return name


def profiles_path() -> Path | None:
    """The file of profiles that Prefect reads, if one is there."""
    named = os.environ.get("PREFECT_PROFILES_PATH") or _dotenv().get("PREFECT_PROFILES_PATH")
    named = named or _toml(Path("prefect.toml")).get("profiles_path")
    named = named or _toml(Path("pyproject.toml")).get("tool", {}).get("prefect", {}).get("profiles_path")
    if not named and os.environ.get("PREFECT_HOME"):
        named = os.path.join(os.environ["PREFECT_HOME"], "profiles.toml")
    path = Path(named or os.path.expanduser("~/.prefect/profiles.toml"))
    if not named and not path.exists():
        path = _default_profiles()
    return Path(os.path.abspath(path)) if path.is_file() else None


def profile_names() -> set[str]:
    """Of the profiles that Prefect reads."""
    path = profiles_path()
    return set(_toml(path).get("profiles", {})) if path else set()


def _default_profiles() -> Path:
    """Prefect's own, which have no server but in the one named ``local``."""
    found = find_spec("prefect")
    places = list(found.submodule_search_locations or []) if found else []
    return Path(places[0] if places else "") / "settings" / "profiles.toml"


def _profile() -> tuple[str, Mapping[str, Any]]:
    """Name and settings of the active profile."""
    path = profiles_path()
    found = _toml(path) if path else {}
    name = os.environ.get("PREFECT_PROFILE") or found.get("active") or ""
    settings = found.get("profiles", {}).get(name, {})
    return name, settings


def _get(values: Mapping[str, str | None], name: str) -> str | None:
    """A variable, as Prefect reads it: in letters of either case."""
    return next((value for key, value in values.items() if key.upper() == name), None)


def _dotenv() -> Mapping[str, str | None]:
    return dotenv.dotenv_values(".env") if Path(".env").is_file() else {}


def _toml(path: Path) -> dict[str, Any]:
    """A TOML file; nothing where there is none.  What is damaged in it, Prefect says when it reads it."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def _url(settings: Mapping[str, Any]) -> str | None:
    section = settings.get("api", {})
    return section.get("url") if isinstance(section, dict) else None
