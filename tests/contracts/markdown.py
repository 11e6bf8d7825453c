"""Reads Markdown pages for the tests of the docs: fenced blocks, headings, links, commands."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(
    r"^(?:<!-- (?P<marker>.+?) -->\n)?```(?P<language>[^\n]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
INLINE_CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block; ``marker`` is the text of an HTML comment on the line above it."""

    language: str
    text: str
    marker: str = ""


def blocks(page: str) -> list[Block]:
    """Every fenced block, in order."""
    return [Block(found["language"].strip(), found["text"], found["marker"] or "") for found in FENCE.finditer(page)]


def prose(page: str) -> str:
    """The page without its fenced blocks."""
    return FENCE.sub("", page)


def anchors(page: str) -> set[str]:
    """The anchors that a forge gives to the headings."""
    return {
        re.sub(r"[^\w\- ]", "", title.lower().replace("`", "")).strip().replace(" ", "-")
        for _, title in HEADING.findall(prose(page))
    }


def links(page: str) -> list[str]:
    """Targets of all links and images that are no URLs."""
    found = LINK.findall(INLINE_CODE.sub(lambda code: code[0].replace("](", "] ("), prose(page)))
    return [target for target in found if "://" not in target and not target.startswith("mailto:")]


def pages(repository: Path) -> list[Path]:
    """README, CONTRIBUTING, CHANGELOG and every page below docs/."""
    top = [repository / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return top + sorted((repository / "docs").rglob("*.md"))


def command_lines(page: str) -> Iterator[str]:
    """Every command of tokenmill that a page names, in a block or within a line, without its comment."""
    for block in blocks(page):
        joined = block.text.replace("\\\n", " ")
        for line in joined.splitlines():
            line = line.removeprefix("$ ").strip()
            if line.startswith("tokenmill ") and block.language in ("", "sh", "console"):
                yield line
    for code in INLINE_CODE.findall(prose(page)):
        code = " ".join(code.split())
        if code.startswith("tokenmill "):
            yield code


def words(command: str) -> list[str]:
    """The words of a command line; what is optional or a choice in a synopsis counts as given."""
    lexer = shlex.shlex(re.sub(r"[][](?=\s|$)|(?<=\s)\[", " ", command), posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, "#"
    return list(lexer)
