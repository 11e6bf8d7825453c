"""``python -m pipeline.extractor_training.results CLONES``: our extractor beside its peers, on pages that no tree saw.

WCXB's test pages that are not among its dev pages, and the held-out half of the domains of each other set.  Differences
come with 95 % intervals of a bootstrap over pages, paired; times are of the processor, over the same pages in turn.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.extractor_training.gold import GoldPage, read_set
from pipeline.extractor_training.metrics import Score, page_score, set_score
from pipeline.extractor_training.peers import Extract, combinations, extractors
from pipeline.extractor_training.tables import is_held_out

REPORTED = ("wcxb-test", "trafilatura", "scrapinghub", "magic-article", "magic-forum")
SAMPLES = 1_000


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.extractor_training.results", description=__doc__)
    parser.add_argument("clones", type=Path)
    parser.add_argument("--sets", nargs="*", default=REPORTED)
    given = parser.parse_args()
    systems = extractors()
    systems |= combinations(systems)
    say("| set | pages | extractor | P | R | F1 | ours less this | empty | ms/page | MB/s |")
    say("|---|---|---|---|---|---|---|---|---|---|")
    for name in given.sets:
        report(name, list(held_out(name, given.clones)), systems)


def held_out(name: str, clones: Path) -> list[GoldPage]:
    """The pages of a set that no tree has seen."""
    if name == "wcxb-test":
        dev = {page.key for page in read_set("wcxb-dev", clones)}
        return [page for page in read_set(name, clones) if page.key not in dev]
    return [page for page in read_set(name, clones) if is_held_out(page.domain)]


def report(name: str, pages: list[GoldPage], systems: dict[str, Extract]) -> None:
    """Prints the rows of one set."""
    scores: dict[str, list[Score]] = {}
    size = sum(len(page.html.encode("utf-8", "replace")) for page in pages)
    for system, extract in systems.items():
        texts, seconds = run(extract, pages)
        scores[system] = [page_score(name, page, text) for page, text in zip(pages, texts, strict=True)]
        precision, recall, f1 = set_score(name, scores[system])
        low, high = interval(name, scores["tokenmill"], scores[system])
        less = "" if system == "tokenmill" else f"{low:+.3f} to {high:+.3f}"
        empty = sum(not text.strip() for text in texts) / len(texts)
        say(
            f"| {name} | {len(pages)} | {system} | {precision:.3f} | {recall:.3f} | {f1:.3f} | {less} | {empty:.1%} "
            f"| {1000 * seconds / len(pages):.1f} | {size / seconds / 1e6:.1f} |"
        )


def run(extract: Extract, pages: Sequence[GoldPage]) -> tuple[list[str], float]:
    """The texts of the pages, and the processor time of all; a page that an extractor fails on has none."""
    extract("<html><body><p>A sentence to warm up with, long enough to be the text of its page.</p></body></html>")
    texts, started = [], time.process_time()
    for page in pages:
        try:
            texts.append(extract(page.html))
        except (ValueError, RuntimeError, TypeError, LookupError, AttributeError) as error:
            print(f"{page.key}: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201  a command
            texts.append("")
    return texts, time.process_time() - started


def interval(name: str, ours: list[Score], theirs: list[Score]) -> tuple[float, float]:
    """The middle 95 % of the differences of F1 over samples of the pages."""
    draw = np.random.default_rng(1)
    differences = []
    for _ in range(SAMPLES):
        places = draw.integers(0, len(ours), len(ours)).tolist()
        differences.append(
            set_score(name, [ours[p] for p in places])[2] - set_score(name, [theirs[p] for p in places])[2]
        )
    low, high = np.percentile(differences, [2.5, 97.5]).tolist()
    return low, high


def say(line: str) -> None:
    """Prints a line at once."""
    print(line, flush=True)  # noqa: T201  a command


if __name__ == "__main__":
    main()
