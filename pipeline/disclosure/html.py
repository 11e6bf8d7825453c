"""The summary as one HTML page: no script, nothing fetched, every value escaped."""

from pathlib import Path

from pipeline.base.words import visible
from pipeline.disclosure.page import Choice, Open, Said, Summary, Table

PAGE = "summary.html.j2"


def write_html(summary: Summary, path: Path) -> None:
    """Writes the page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.lstrip_blocks = True
    environment.filters["visible"] = visible
    kinds = {"said": Said, "open": Open, "choice": Choice, "table": Table}
    environment.tests |= {name: lambda value, kind=kind: isinstance(value, kind) for name, kind in kinds.items()}
    path.write_text(environment.get_template(PAGE).render(summary=summary), encoding="utf-8")
