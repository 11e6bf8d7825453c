"""Entries of URL lists, in all the forms in which people publish them; what a host and a page are called.

One line is

- a domain, ``example.com``, ``.example.com``, ``*.example.com``, ``bücher.example`` or ``xn--bcher-kva.example``: it
  and all below it; ``.example`` alone is a whole top-level domain;
- a URL: with a path it is that page (whatever its scheme, ``www.``, port, fragment, last slash), without one the host;
- a pattern with ``*``, matched against the URL without scheme: ``*.example.com/login*``;
- a line of a hosts file (``0.0.0.0 a.example b.example``), of dnsmasq (``address=/a.example/``);
- a rule of Adblock Plus: ``||a.example^``, ``||a.example/path``; ``@@||a.example^`` is an exception;
- a comment: ``#``, ``!``, ``[Adblock Plus 2.0]``.

Anything else can never match a URL, and ``never`` says why.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.base.words import counted

DOMAIN, PAGE, PATTERN, ABOVE, EXCEPTION, NEVER, NOTHING = range(7)
_PLAIN = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")
_AROUND = "".join(map(chr, range(33)))
_WITHIN = dict.fromkeys(map(ord, "\t\n\r"))
_SCHEME = re.compile(r"^(?:[a-zA-Z][a-zA-Z0-9+.-]*:|\*:)?//")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_DNSMASQ = re.compile(r"(?:address|server|local|ipset|nftset)=/(.+)/[^/]*")
_HIDING = re.compile(r"#@?[?$%]?#")
_OF_PAGES = re.compile(r"(?:^|,)(?:domain|from|removeparam|csp|redirect(?:-rule)?|badfilter|replace|header)\b")
_LOCAL = frozenset({"local", "broadcasthost", "0.0.0.0"})
MOST_SHOWN = 40  # characters of an entry in a sentence

Read = tuple[int, str]  # kind and value; of ``NEVER`` why


@dataclass
class Entries:
    """What a list holds.

    Attributes:
        domains: Hosts, in ASCII; they stand for all below them, too.
        pages: URLs in the form of ``page_of``.
        patterns: Patterns with ``*``, for the URL without scheme.
        above: Beginnings of URLs, host and path, also of hosts below.
        exceptions: Domains that the list itself takes out.
        never: Line, entry and reason of what can never match.
        given: Entries in all.
    """

    domains: list[str] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)
    above: list[str] = field(default_factory=list)
    exceptions: list[str] = field(default_factory=list)
    never: list[tuple[int, str, str]] = field(default_factory=list)
    given: int = 0

    def add(self, lines: Iterable[str], *, single: bool = False) -> None:
        """Takes lines; ``single``: a domain may be one label."""
        places = (self.domains, self.pages, self.patterns, self.above, self.exceptions)
        for number, line in enumerate(lines, 1):
            if _PLAIN.fullmatch(line):
                self.domains.append(line)
                self.given += 1
                continue
            for kind, value in _read(line.strip().removeprefix("\ufeff"), single):
                self.given += kind != NOTHING
                if kind == NEVER:
                    self.never.append((number, line.strip(), value))
                elif kind != NOTHING:
                    places[kind].append(value)

    def notes(self, where: str) -> Iterator[str]:
        """What can never match, in a sentence."""
        if self.never:
            line, entry, why = self.never[0]
            shown = entry if len(entry) <= MOST_SHOWN else f"{entry[:MOST_SHOWN]}..."
            many = f"{len(self.never):,} of {counted(self.given, 'entry', 'entries')} can never match a URL"
            yield f"{where}: {many}, such as {shown!r} in line {line}: {why}"


def _read(text: str, single: bool) -> Iterator[Read]:
    """The entries of a line."""
    if not text or (text[0] in "#!" and not _HIDING.match(text)) or text.lower().startswith("[adblock"):
        yield NOTHING, ""
    elif _HIDING.search(text) and "://" not in text.partition("#")[0]:
        yield NEVER, "it hides elements of a page"
    elif named := _DNSMASQ.fullmatch(text):
        yield from (_domain(name, single) for name in named[1].split("/"))
    elif text.startswith(("@@", "|")):
        yield _adblock(text)
    else:
        words = re.split(r"\s+#", text, maxsplit=1)[0].split()
        if len(words) > 1 and _is_address(words[0]):
            yield from _of_hosts(words[1:])
        elif len(words) > 1:
            yield NEVER, "it has blanks inside, and is no line of a hosts file"
        else:
            yield _entry(words[0], single)


def _of_hosts(names: list[str]) -> Iterator[Read]:
    """Names of a line of a hosts file; those of the machine itself are none."""
    for name in names:
        local = name.lower() in _LOCAL or name.lower().startswith(("localhost", "ip6-"))
        yield (NOTHING, "") if local else _domain(name, True)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _entry(text: str, single: bool) -> Read:
    """A domain, URL or pattern."""
    bare = without_scheme(text)
    host, slash, path = bare.partition("/")
    if "*" in text:
        if host.startswith("*.") and "*" not in host[2:] and path in ("", "*"):
            return _domain(host[2:], single)
        return (PATTERN, bare) if bare.strip("*/.") else (NEVER, "it names nothing")
    if re.match(r"[a-zA-Z][a-zA-Z0-9+-]*:(?![/\d])", text):
        return NEVER, "no web page has such a scheme"
    if path or "?" in bare:
        kind, value = _domain(host.partition("?")[0], True)
        return (PAGE, page_of(text)) if kind == DOMAIN else (kind, value)
    return _domain(host, single or bool(slash) or bare != text)


def _domain(name: str, single: bool) -> Read:
    """A domain in ASCII, without user, port and outer dots."""
    host = host_of(name.strip("*").strip(".") if "[" not in name else name)
    if host.startswith("[") or _is_address(host):
        return DOMAIN, host
    labels = host.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        return NEVER, "it is no domain, URL or pattern with *"
    if len(labels) == 1 and not single and not name.startswith("."):
        return NEVER, f"a host without a dot is named like {host}/*, a top-level domain like .{host}"
    return DOMAIN, host


def _adblock(text: str) -> Read:
    """A rule of Adblock Plus that names a host."""
    rule, _, options = text.removeprefix("@@").partition("$")
    if _OF_PAGES.search(options):
        return NEVER, "the rule is about parts of some pages"
    if not rule.startswith("||"):
        kind, value = _entry(rule.strip("|"), False) if rule.startswith("|") else (NEVER, "")
        return (kind, value) if kind in (PAGE, PATTERN) else (NEVER, "it names no host")
    host, mark, rest = re.fullmatch(r"([^/^*?]*)([/^*?]?)(.*)", rule[2:]).groups()  # type: ignore[union-attr]
    kind, value = _domain(host, False)
    whole = (mark in ("", "^") and rest in ("", "|")) or (mark == "/" and rest in ("", "^", "*"))
    if kind != DOMAIN or (whole and text.startswith("@@")):
        return (EXCEPTION, value) if kind == DOMAIN else (kind, value)
    if text.startswith("@@"):
        return NEVER, "an exception for some pages of a host is not known here"
    return (DOMAIN, value) if whole else (ABOVE, value + mark + rest)


def host_of(url: str) -> str:
    """Lower-case ASCII host of a URL, without user, port or final dot.

    Example:
        >>> host_of("https://user@Sub.Example.COM.:8080/path?q"), host_of("bücher.example")
        ('sub.example.com', 'xn--bcher-kva.example')
    """
    rest = re.split(r"[/?#\\]", _SCHEME.sub("", _as_parsed(url)), maxsplit=1)[0].rpartition("@")[2]
    host = rest.partition("]")[0] + "]" if rest.startswith("[") else rest.partition(":")[0]
    return _ascii(host.rstrip(".").lower())


def _as_parsed(url: str) -> str:
    """Without what the WHATWG URL Standard passes over: controls and blanks around it, tabs and line ends within."""
    return url.strip(_AROUND).translate(_WITHIN)


def _ascii(host: str) -> str:
    """A host as DNS knows it; as it is where that cannot be told."""
    if "%" in host:
        host = unquote(host)
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def without_scheme(url: str) -> str:
    """A URL from its host on, the host as DNS knows it."""
    return _ascii_host_of(_SCHEME.sub("", url))


def _ascii_host_of(url: str) -> str:
    """A URL without scheme, the labels of its host in lower-case ASCII."""
    host, slash, path = url.partition("/")
    return ".".join(label if "*" in label else _ascii(label) for label in host.lower().split(".")) + slash + path


def canonical_url(url: str) -> str:
    """A URL without what does not name the page: scheme, letter case of the host, ``www.``, port, fragment, last slash.

    Example:
        >>> canonical_url("HTTP://www.Example.org:80/a/?b=1#top")
        'example.org/a?b=1'
    """
    rest = url.strip().partition("#")[0]
    rest = rest.partition("://")[2] or rest.removeprefix("//")
    host, slash, path = rest.partition("/")
    path, question, query = path.partition("?")
    host = host.lower().rpartition("@")[2].removeprefix("www.").removesuffix(":80").removesuffix(":443")
    return host + (slash + path).rstrip("/") + question + query


def page_of(url: str) -> str:
    """``canonical_url`` with the host in ASCII: what two forms of a page's address share."""
    return _ascii_host_of(canonical_url(url if "//" in url else f"//{url}"))


@lru_cache(maxsize=4)
def _parsed(path: str, key: str, raw: bytes) -> Entries:
    from pipeline.clean.decode import NotText, decode  # loads Numba, which a run without lists does without

    found = Entries()
    try:
        found.add(decode(raw).text.split("\n"))
    except NotText as error:
        raise _unreadable(path, key, error) from error
    return found


def _unreadable(path: str, key: str, error: Exception) -> UserError:
    return UserError(f"{key}: {path} cannot be read: {error}")


def read_list(path: str, key: str) -> Entries:
    """The entries of a list file.

    Args:
        path: Where it is.
        key: Of the recipe, for messages.

    Raises:
        UserError: If it cannot be read, or holds no entry that can match.
    """
    try:
        raw = storage.read_bytes(path)
    except OSError as error:
        raise _unreadable(path, key, error) from error
    found = _parsed(path, key, raw)
    if len(found.never) == found.given:
        why = "; ".join(found.notes(path)) if found.given else f"{path} holds no entry"
        raise UserError(
            f"{key}: {why}; entries are domains, URLs, patterns with *, lines of hosts files, Adblock rules"
        )
    return found
