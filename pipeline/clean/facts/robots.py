"""What a site says of all of its pages: robots.txt and ``/.well-known/tdmrep.json``.

robots.txt is read by protego; AIPREF's ``Content-Usage`` and ``Content-Signal``, which stand in its groups, are read
here.  A robots.txt reserves a page where it disallows it for a robot that collects text to train on, or says that it
must not be trained on.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from pipeline.base.errors import parse_json
from pipeline.clean.facts.opt_outs import reserved_by

_LINE = re.compile(r"\s*([A-Za-z][A-Za-z -]*?)\s*:\s*(.*?)\s*$")
AGENT_LINES = ("user-agent", "useragent")
MAX_BYTES = 512_000  # of a robots.txt; Google reads as many
MAX_RULES = 1000  # of a TDMRep file


class Robots:
    """One robots.txt.

    Args:
        text: Its text.
    """

    def __init__(self, text: str) -> None:
        self._text = text[:MAX_BYTES]

    @cached_property
    def _parsed(self) -> Any:
        from protego import Protego

        return Protego.parse(self._text)

    @cached_property
    def _preferences(self) -> list[tuple[str, str, str]]:
        """Agent, path and value of each line that says what its group's pages may be used for."""
        agents: list[str] = []
        found: list[tuple[str, str, str]] = []
        in_rules = False
        for line in self._text.splitlines():
            match = _LINE.match(line.partition("#")[0])
            if match is None:
                continue
            name, value = match.group(1).lower(), match.group(2)
            if name in AGENT_LINES:
                agents = [value.lower()] if in_rules else [*agents, value.lower()]
                in_rules = False
                continue
            in_rules = True
            if name in ("content-usage", "content-signal"):
                path, _, rest = value.partition(" ")
                path, rest = (path, rest) if path.startswith("/") else ("", value)
                found += [(agent, path, rest) for agent in agents or ["*"]]
        return found

    def allows(self, url: str, agent: str) -> bool:
        """Whether a robot may fetch a page."""
        return bool(self._parsed.can_fetch(url, agent))

    @cached_property
    def _names(self) -> list[str]:
        """The robots that the file names, in lower case."""
        lines = (_LINE.match(line.partition("#")[0]) for line in self._text.splitlines())
        found = {match.group(2).lower() for match in lines if match and match.group(1).lower() in AGENT_LINES}
        return sorted(found - {"*", ""})

    def refuses(self, url: str, agents: Sequence[str]) -> list[str]:
        """The robots that must not fetch a page; those that the file does not name are treated alike."""
        named = {one: any(name in one.lower() or one.lower() in name for name in self._names) for one in agents}
        others = next((one for one in agents if not named[one]), None)
        refused = others is not None and not self.allows(url, others)
        return [one for one in agents if (not self.allows(url, one) if named[one] else refused)]

    def says(self, url: str) -> str | None:
        """What the file itself says that a page must not be used for, in words; None where it says nothing."""
        return self._said(url)

    def reserves(self, url: str, agents: Sequence[str]) -> str | None:
        """The rule that reserves a page, in words; None where none does."""
        said = self._said(url)
        if said is not None:
            return said
        refused = [agent for agent in agents if not self.allows(url, agent)]
        if not refused:
            return None
        return f"{refused[0]}: {self._rule(url, refused[0])}" + f" (and {len(refused) - 1} more)" * (len(refused) > 1)

    def _said(self, url: str) -> str | None:
        """The line with the longest path that fits, of all robots."""
        path = _path_of(url)
        fitting = [(len(at), value) for agent, at, value in self._preferences if agent == "*" and path.startswith(at)]
        longest = max((length for length, _ in fitting), default=0)
        for length, value in fitting:
            if length == longest and (marks := list(reserved_by(value))):
                return f"{marks[0]}: {value}"
        return None

    def _rule(self, url: str, agent: str) -> str:
        """The rule that keeps a robot out, as the file has it."""
        group: list[str] = []
        named = False
        best: tuple[int, str] = (-1, "Disallow")
        for line in self._text.splitlines():
            match = _LINE.match(line.partition("#")[0])
            if match is None:
                continue
            name, value = match.group(1).lower(), match.group(2)
            if name in AGENT_LINES:
                group = [value] if named else [*group, value]
                named = False
                continue
            named = True
            fits = any(one == "*" or one.lower() in agent.lower() for one in group)
            if name == "disallow" and value and fits and _fits(value, _path_of(url)):
                exact = any(one.lower() in agent.lower() for one in group if one != "*")
                best = max(best, (len(value) + 10_000 * exact, f"Disallow: {value}"))
        return best[1]


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _fits(pattern: str, path: str) -> bool:
    """Whether a pattern of robots.txt, with ``*`` and a final ``$``, fits the beginning of a path."""
    ends = pattern.endswith("$")
    parts = [re.escape(part) for part in pattern.removesuffix("$").split("*")]
    return re.match(".*".join(parts) + ("$" if ends else ""), path) is not None


class Tdmrep:
    """One ``tdmrep.json``: the reservations of a site's paths, the first that fits decides."""

    def __init__(self, text: str) -> None:
        try:
            loaded = parse_json(text)
        except ValueError:
            loaded = []
        rules = loaded if isinstance(loaded, list) else [loaded]
        self._rules = [
            (str(rule["location"]), str(rule.get("tdm-reservation", "")).strip() == "1")
            for rule in rules[:MAX_RULES]
            if isinstance(rule, dict) and rule.get("location")
        ]

    def reserves(self, url: str, _agents: Sequence[str] = ()) -> str | None:
        """The rule that reserves a page, in words; None where none does."""
        path = _path_of(url)
        for location, reserved in self._rules:
            if _fits(location, path):
                return f"tdm-reservation: {location}" if reserved else None
        return None


class Sites:
    """What the sites of a crawl say, by host.

    Args:
        agents: Robots for which robots.txt must allow a page.
    """

    def __init__(self, agents: Sequence[str]) -> None:
        self._agents = agents
        self._said: dict[str, dict[str, Robots | Tdmrep]] = {}

    def __len__(self) -> int:
        return len(self._said)

    def add(self, host: str, kind: str, text: str) -> None:
        """Adds a site's file; a later one of the same kind takes an earlier one's place."""
        self._said.setdefault(host.lower(), {})[kind] = Robots(text) if kind == "robots" else Tdmrep(text)

    def reserves(self, url: str | None) -> tuple[str, str] | None:
        """The mark (``robots``, ``tdm-reservation``) by which a site reserves a page, and the rule."""
        if not url or not self._said:
            return None
        for kind, said in self.files_of(url):
            rule = said.reserves(url, self._agents)
            if rule is not None:
                return ("robots" if kind == "robots" else "tdm-reservation"), rule
        return None

    def files_of(self, url: str) -> Iterator[tuple[str, Robots | Tdmrep]]:
        """What the page's host has said."""
        try:
            host = urlsplit(url).netloc.rpartition("@")[2].lower()
        except ValueError:  # a malformed host
            return
        yield from self._said.get(host, self._said.get(host.partition(":")[0], {})).items()
