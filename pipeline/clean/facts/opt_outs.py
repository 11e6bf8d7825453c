"""Marks by which a page reserves itself, and what its robots directives say.

``noai``, ``noimageai``  DeviantArt's directives, in a robots meta tag or ``X-Robots-Tag``
``noml``                 Mojeek's
``tdm-reservation``      the TDM Reservation Protocol, in a meta tag or header
``content-usage``        AIPREF (draft-ietf-aipref-attach): ``Content-Usage: train-ai=n``
``content-signal``       ``Content-Signal: ai-train=no``
``ai-agent``             a directive for a robot that collects text to train on, by its name

Headers that come twice are joined, and any of their values reserves; a value that nobody has defined says nothing.
"""

import re
from collections.abc import Iterator

from pipeline.recipe.opt_outs import AI_AGENTS, OPT_OUTS

ROBOTS_NAMES = frozenset({"robots", "googlebot", "bingbot", "ai-robots", "x-robots-tag"})
_AGENT_NAMES = frozenset(agent.lower() for agent in AI_AGENTS)
# directives of a robot for itself that keep a page from it
_KEEPS_OUT = frozenset({"noai", "noml", "noindex", "nofollow", "none", "disallow", "noarchive", "nosnippet"})
_WITH_A_VALUE = ("max-snippet", "max-image-preview", "max-video-preview", "unavailable_after")
_UNTIL = re.compile(r"unavailable_after\s*:\s*[^,]*(?:,\s*\d{1,2}[ -][a-z]{3}[^,]*)?", re.IGNORECASE)
_TRAINING = {"train-ai": "content-usage", "train-genai": "content-usage", "ai-train": "content-signal"}
_REFUSES = frozenset({"n", "no", "?0", "0", "false", "disallow"})
_LONGEST = 40  # characters of a directive


class Marks:
    """What is found on a page: robots directives, and the marks among them."""

    def __init__(self) -> None:
        self.directives: set[str] = set()
        self.marks: set[str] = set()

    def of_headers(self, headers: dict[str, str] | None) -> None:
        """Adds what HTTP headers say."""
        for name, value in (headers or {}).items():
            if name == "x-robots-tag":
                self._robots_tag(value)
            elif name in ("content-usage", "content-signal"):
                self.marks.update(reserved_by(value))
            elif name == "tdm-reservation":
                self._tdm(value)

    def of_meta(self, name: str, content: str) -> bool:
        """Adds what a meta tag says; False where it is of another kind."""
        if name in ROBOTS_NAMES:
            self._robots_tag(content)
        elif name in _AGENT_NAMES:
            self._for_agent(directives(content))
        elif name in ("content-usage", "content-signal"):
            self.marks.update(reserved_by(content))
        elif name == "tdm-reservation":
            self._tdm(content)
        else:
            return False
        return True

    @property
    def robots(self) -> str | None:
        """Directives, sorted, joined by commas."""
        return ",".join(sorted(self.directives | ({"tdm-reservation"} & self.marks))) or None

    @property
    def opt_out(self) -> str | None:
        """Marks, in the order of the recipe's, joined by commas."""
        found = self.marks | self.directives
        return ",".join(mark for mark in OPT_OUTS if mark in found) or None

    def _robots_tag(self, value: str) -> None:
        """Directives for all robots; one for a named robot counts for all, and says that it is one of AI's."""
        for directive in directives(value):
            name, colon, rest = directive.partition(":")
            if colon and name not in _WITH_A_VALUE:
                if name in _AGENT_NAMES:
                    self._for_agent([rest])
                directive = rest
            if directive:
                self.directives.add(directive)

    def _for_agent(self, found: list[str]) -> None:
        self.directives.update(found)
        if not _KEEPS_OUT.isdisjoint(found):
            self.marks.add("ai-agent")

    def _tdm(self, value: str) -> None:
        if any(part.strip(" \t\"'") == "1" for part in re.split(r"[,;]", value)):
            self.marks.add("tdm-reservation")


def directives(value: str) -> list[str]:
    """The directives of a robots tag, in lower case: separated by commas, semicolons or blanks.

    Example:
        >>> directives("NoAI noimageai; gptbot: noindex, unavailable_after: 25 Jun 2027 15:00:00 PST, noarchive")
        ['noai', 'noimageai', 'gptbot:noindex', 'noarchive']
    """
    words = re.split(r"[,;\s]+", re.sub(r"\s*:\s*", ":", _UNTIL.sub("", value.lower())))
    return [word for word in words if word and len(word) <= _LONGEST]


def reserved_by(value: str) -> Iterator[str]:
    """The marks of a header's value, as AIPREF and Content-Signal write it; a preference for search is none.

    Example:
        >>> list(reserved_by("search=y, train-ai=n;x=1")), list(reserved_by("train-ai=y"))
        (['content-usage'], [])
    """
    for part in value.lower().split(","):
        key, equals, said = part.partition(";")[0].partition("=")
        if equals and key.strip() in _TRAINING and said.strip(" \t\"'") in _REFUSES:
            yield _TRAINING[key.strip()]
