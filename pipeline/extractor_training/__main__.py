"""``python -m pipeline.extractor_training CLONES [--out FILE]``: fits the model, and says how good it is.

Needs lightgbm.  CLONES holds clones of the gold sets under their repositories' names (gold.py).
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.extraction.model import MODEL_FILE, type_of
from pipeline.extractor_training import fit
from pipeline.extractor_training.metrics import page_score, set_score
from pipeline.extractor_training.tables import TRAINED, PageTable, fold_of, held_out_domains, read_tables
from pipeline.kernels.boosted_trees import PROBABILITY_UNIT, probabilities


def main() -> None:
    """Reads the sets, fits, writes the model, and prints scores of pages that the trees have not seen."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.extractor_training", description=__doc__)
    parser.add_argument("clones", type=Path)
    parser.add_argument("--out", type=Path, default=MODEL_FILE)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--without", default="", help="a set that is left out of training")
    given = parser.parse_args()
    sets = {name: read_tables(name, given.clones, given.workers) for name in (*TRAINED, "wcxb-test")}
    held_out = held_out_domains(sets.items())
    seen = {
        name: [table for table in sets[name] if table.page.domain not in held_out and len(table.texts)]
        for name in TRAINED
        if name != given.without
    }
    tables = [table for of in seen.values() for table in of]
    say(f"{len(tables):,} pages to train on, {sum(len(table.texts) for table in tables):,} blocks")
    blocks = fit.fit_blocks(tables)
    sums = fit.unseen_sums(tables)
    wanted = fit.calibrated(*_known(tables, sums))
    rows = fit.page_rows(tables, sums, wanted)
    kinds = [table.page.page_type or "" for table in tables]
    type_sums = fit.unseen_types(rows, kinds, np.array([fold_of(table.page.domain) for table in tables]))
    kept = fit.kept_of(tables, sums, wanted, type_sums)
    report_unseen(seen, tables, kept)
    report_types(type_sums, kinds)
    typed = [place for place, kind in enumerate(kinds) if kind]
    with_text = [place for place, table in enumerate(tables) if table.page.text]
    f1 = np.array([page_score("wcxb", tables[place].page, said(tables[place], kept[place]))[2] for place in with_text])
    folds = np.array([fold_of(tables[place].page.domain) for place in with_text])
    quality = fit.fit_quality(rows[with_text], f1.astype(np.float32))
    unseen = fit.unseen_quality(rows[with_text], f1.astype(np.float32), folds)
    scores = fit.calibrated(unseen, f1, np.ones(len(f1)))
    report_quality(probabilities(unseen, scores) / PROBABILITY_UNIT, f1)
    fit.save(given.out, blocks, wanted, fit.fit_types(rows[typed], [kinds[p] for p in typed]), quality, scores)
    say(f"{given.out}: {given.out.stat().st_size:,} bytes")


def said(table: PageTable, keep: NDArray[np.bool_]) -> str:
    """The text of the kept blocks."""
    return "\n".join(text for text, kept in zip(table.texts, keep.tolist(), strict=True) if kept)


def report_unseen(seen: dict[str, list[PageTable]], tables: list[PageTable], kept: list[NDArray[np.bool_]]) -> None:
    """Scores of the training pages, each judged by trees of the other folds."""
    by_id = {id(table): keep for table, keep in zip(tables, kept, strict=True)}
    for name, of in seen.items():
        scores = [page_score(name, table.page, said(table, by_id[id(table)])) for table in of]
        precision, recall, f1 = set_score(name, scores)
        say(f"{name}, {len(of):,} pages by the other folds' trees: P {precision:.3f} R {recall:.3f} F1 {f1:.4f}")
        kinds: dict[str, list[float]] = defaultdict(list)
        for table, score in zip(of, scores, strict=True):
            if table.page.page_type:
                kinds[table.page.page_type].append(score[2])
        if kinds:
            say("  " + ", ".join(f"{kind} {sum(f1s) / len(f1s):.3f}" for kind, f1s in sorted(kinds.items())))


def report_types(type_sums: NDArray[np.int64], kinds: list[str]) -> None:
    """How many pages' types are told right by trees of the other folds, and of each type."""
    pairs = [(type_of(sums), kind) for sums, kind in zip(type_sums.tolist(), kinds, strict=True) if kind]
    say(f"page types: {sum(told == kind for told, kind in pairs)} of {len(pairs)} right")
    for wanted in sorted({kind for _, kind in pairs}):
        hits = pairs.count((wanted, wanted))
        there, said = (sum(pair[place] == wanted for pair in pairs) for place in (1, 0))
        say(f"  {wanted}: {hits} of {there} found, {hits} of {said} right")


def report_quality(scores: NDArray[np.float64], f1: NDArray[np.float64]) -> None:
    """How near the scores are to the F1 of pages that their trees have not seen."""
    error, correlation = np.abs(scores - f1).mean(), np.corrcoef(scores, f1)[0, 1]
    say(f"extraction_score: mean error {error:.3f}, correlation {correlation:.2f}")
    for low, high in ((0, 0.5), (0.5, 0.7), (0.7, 0.85), (0.85, 0.95), (0.95, 1.01)):
        here = (scores >= low) & (scores < high)
        if here.any():
            say(f"  {low} to {min(high, 1)}: {here.sum()} pages, mean F1 {f1[here].mean():.3f}")


def _known(
    tables: list[PageTable], sums: dict[int, NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Sums, labels and weights of all blocks of which something is known."""
    found = np.concatenate([sums[id(table)] for table in tables])
    share = np.concatenate([table.share for table in tables]).astype(np.float64)
    weights = np.concatenate([table.weights for table in tables])
    known = weights > 0
    return found[known], share[known], weights[known]


def say(line: str) -> None:
    """Prints a line at once."""
    print(line, flush=True)  # noqa: T201  a command


if __name__ == "__main__":
    main()
