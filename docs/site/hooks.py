"""What MkDocs does not do by itself: pages from outside docs/, equations without a script, code in tables.

Pages are written to be read in the repository, so they link to each other, and name each other, by their files there.
Here CONTRIBUTING, CHANGELOG, SECURITY, the licences of the sample and the recipes of configs/ become pages of the site,
and links follow them; where a link shows the name of a file, it shows the page's title.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).parents[2]
# page of the site: file of the repository
OUTSIDE = {
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
    "sample-licences.md": "data/sample/README.md",
    "configs.md": "configs/README.md",
}
RECIPE = re.compile(r"configs/(\S+)\.toml")
ASIDE = ("benchmarks/", "changelog.md", "decisions/")  # found by a search behind the pages that answer a question
LINK = re.compile(r"\[([^]]*)\]\((?![a-z]+:)([^)#\s]+)(#[^)\s]*)?\)")
FILE_NAME = re.compile(r"`?[\w./-]+\.md`?")
TABLE_CODE = re.compile(r"`[^`\n]*\\\|[^`\n]*`")
EQUATION = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the pages from outside docs/."""
    for name, path in OUTSIDE.items():
        text = (REPOSITORY / path).read_text(encoding="utf-8")
        if path.startswith("configs/"):
            text += recipes(REPOSITORY / "configs")
        files.append(File.generated(config, name, content=text))
    return files


def recipes(folder: Path) -> str:
    """Every recipe of a folder, each under its name."""
    return "".join(
        f"\n## {recipe.stem}\n\n```toml\n{recipe.read_text(encoding='utf-8')}```\n"
        for recipe in sorted(folder.glob("*.toml"))
    )


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links lead to pages of the site; a bar within code within a table needs no backslash here."""
    path = page.file.src_uri
    if path.startswith(ASIDE):
        page.meta.setdefault("search", {"boost": 0.3})
    place = OUTSIDE.get(path, f"docs/{path}")

    def followed_link(link: re.Match[str]) -> str:
        return f"[{shown(link[1], link[2], place)}]({target_of(link[2], place, path)}{link[3] or ''})"

    followed = LINK.sub(followed_link, markdown)
    lines = (
        TABLE_CODE.sub(lambda code: code[0].replace(r"\|", "|"), line) if line.startswith("|") else line
        for line in followed.split("\n")
    )
    return "\n".join(lines)


def shown(text: str, link: str, place: str) -> str:
    """The text of a link; where that is a file's name, the beginning of the page's title instead."""
    page = REPOSITORY / posixpath.normpath(posixpath.join(posixpath.dirname(place), link))
    if not FILE_NAME.fullmatch(text) or not page.exists():
        return text
    title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    return title.partition(":")[0]


def target_of(link: str, place: str, page: str) -> str:
    """Where a link of the file ``place`` of the repository leads from ``page`` of the site."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(place), link))
    pages = {path: name for name, path in OUTSIDE.items()}
    anchor = ""
    if recipe := RECIPE.fullmatch(target):
        found, anchor = "configs.md", f"#{recipe[1]}"
    elif target in pages:
        found = pages[target]
    elif target.startswith("docs/"):
        found = target.removeprefix("docs/")
    else:
        return link  # the strict build names it
    return posixpath.relpath(found, posixpath.dirname(page) or ".") + anchor


def on_page_content(html: str, **_: Any) -> str:
    """Equations become MathML, which browsers draw without a script."""
    return EQUATION.sub(lambda equation: convert(equation[1].replace("&amp;", "&").replace("&lt;", "<")), html)
