"""Writes pipeline/filter/rules/bad_words.json: the words by which C4 left pages out, one list per language.

    npm pack naughty-words@1.2.0 && tar xzf naughty-words-1.2.0.tgz
    python -m tests.tools.make_bad_words package

The package is how the authors of the List of Dirty, Naughty, Obscene and Otherwise Bad Words publish it (CC BY 4.0).
Left out are what C4's own code and datatrove's allow, and what neither can find: they look in the text in lower case,
so an entry with a capital letter is never met.
"""

import json
import sys
from pathlib import Path

from datatrove.pipeline.filters.c4_filters import _BADWORDS_ALLOWLIST, _BADWORDS_LANGS

from pipeline.filter.rules.bad_words import LISTS

ALLOWED = frozenset().union(*_BADWORDS_ALLOWLIST.values())


def main(folder: Path) -> None:
    """Reads a list per language and writes them as one file, a line for each."""
    lines = [
        f"{json.dumps(name)}: {json.dumps(words_of(folder, name), ensure_ascii=False)}" for name in _BADWORDS_LANGS
    ]
    LISTS.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def words_of(folder: Path, language: str) -> list[str]:
    """The entries of a language that can be found, sorted."""
    entries = {entry.strip() for entry in json.loads((folder / f"{language}.json").read_text("utf-8"))}
    return sorted(entry for entry in entries - ALLOWED if entry and entry == entry.lower())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
