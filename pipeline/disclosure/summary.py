"""The whole summary of a run, and its files."""

import datetime
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.base.words import counted
from pipeline.disclosure.answers import Answers
from pipeline.disclosure.docx import write_docx
from pipeline.disclosure.facts import Facts
from pipeline.disclosure.general import general, head
from pipeline.disclosure.html import write_html
from pipeline.disclosure.markdown import write_markdown
from pipeline.disclosure.page import Summary
from pipeline.disclosure.processing import processing
from pipeline.disclosure.sources import sources

TITLE = "Public Summary of Training Content for General-Purpose AI models required by Article 53(1)(d) of Regulation "
TITLE += "(EU) 2024/1689 (AI Act)"
WRITERS: dict[str, Callable[[Summary, Path], None]] = {
    ".md": write_markdown,
    ".html": write_html,
    ".docx": write_docx,
}


def summary_of(facts: Facts, answers: Answers, *, sme: bool, today: datetime.date | None = None) -> Summary:
    """The summary.

    Args:
        facts: What the run says.
        answers: What a person says.
        sme: The provider is a small or medium-sized enterprise.
        today: The date that it bears; by default that of this day.

    Raises:
        UserError: If an answer is to no field of the template.
    """
    sections = (
        head(facts, answers, today or datetime.date.today()),
        *general(facts, answers),
        *sources(facts, answers, sme=sme),
        *processing(facts, answers),
    )
    answers.check_used()
    places = len(Summary(TITLE, "", sections).open_places())
    note = (
        f"Draft, filled by tokenmill {__version__} from the run {facts.run.recipe.name}, after the Commission's "
        "template of 24 July 2025 (C(2025) 5235). "
    )
    if places:
        note += f"{counted(places, 'place')} marked TO WRITE {'is' if places == 1 else 'are'} for a person. "
    note += "This is no legal advice. Take this paragraph out before you publish."
    return Summary(TITLE, note, sections)


def check_format(path: Path) -> str:
    """The ending of the file to write; without one it is Markdown.

    Raises:
        UserError: If there is no such format, or what writes it is not installed.
    """
    suffix = path.suffix.lower() or ".md"
    if suffix not in WRITERS:
        raise UserError(f"--output {path}: expected a name that ends with {', '.join(WRITERS)}, found {suffix}")
    if suffix == ".docx" and importlib.util.find_spec("docx") is None:
        raise UserError(
            f"--output {path}: .docx wants python-docx, which is not installed: pip install python-docx; .html and .md "
            "need nothing more"
        )
    return suffix


def write(summary: Summary, path: Path) -> None:
    """Writes it in the format of the file's name; the file stands whole or not at all."""
    with storage.whole_file(path) as partial:
        WRITERS[check_format(path)](summary, partial)


def as_json(facts: Facts, summary: Summary) -> dict[str, Any]:
    """What `--json` says: the figures, and the open places by field."""
    places = [{"key": found.key, "field": found.label, "write": block.text} for found, block in summary.open_places()]
    return {
        "root": facts.run.root,
        "steps": facts.step,
        "tokens": facts.total["tokens"],
        "documents": facts.total["documents"],
        "data_tokens": facts.size.tokens,
        "sources": {name: found.size.read for name, found in facts.sources.items() if found.size.documents},
        "domains": len({domain for found in facts.sources.values() for domain in found.domains}),
        "open": len(places),
        "to_write": places,
    }
