"""Writes the figures of the table in demo.md from the manifests of a finished demo run.

``python docs/benchmarks/demo.py runs/demo`` renews the figures; with ``--seconds`` also the seconds, which are worth
something only where nothing else ran.  ``python docs/benchmarks/demo.py`` alone prints the table.
"""

import json
import sys
from pathlib import Path
from typing import Any

PLACE = Path(__file__).with_name("demo.json")
STAGES = ("clean", "dedup", "dedup.clusters", "filter", "tokenize", "train")


def figures_of(root: Path) -> dict[str, dict[str, Any]]:
    """Counts of each step: integers are summed over its shards, fractions stand in one shard alone."""
    figures: dict[str, dict[str, Any]] = {}
    for step in STAGES:
        counts: dict[str, Any] = {}
        for path in sorted((root / "manifests" / step).glob("*.json")):
            for name, value in json.loads(path.read_text())["counts"].items():
                if isinstance(value, int):
                    counts[name] = counts.get(name, 0) + value
                elif isinstance(value, float):
                    counts[name] = value
        figures[step] = counts
    return figures


def table(known: dict[str, Any]) -> str:
    """The rows of the table in demo.md."""
    figures, seconds = known["figures"], known["seconds"]
    clean, dedup, clusters = figures["clean"], figures["dedup"], figures["dedup.clusters"]
    kept, tokens, train = figures["filter"], figures["tokenize"], figures["train"]
    rows = {
        "clean": (
            f"{clean['records_in']:,} records in five formats",
            f"{clean['documents']:,} documents, {clean['excluded']} excluded, {clean['quarantined']} quarantined",
        ),
        "dedup": (
            f"{dedup['documents_in']:,} documents",
            f"{dedup['kept']:,} kept: {clusters['removed_exact']} exact and {clusters['removed_near']} verified "
            "near-duplicates gone",
        ),
        "filter": (f"{kept['documents_in']:,} documents", f"{kept['kept']:,} kept"),
        "tokenize": (f"{tokens['documents']:,} documents", f"{tokens['tokens']:,} tokens"),
        "train": (
            f"{train['tokens']:,} tokens, {train['parameters'] / 1e6:.1f} M parameters",
            f"{train['bits_per_byte']:.3f} bits per byte; a unigram model of the same tokens: "
            f"{train['unigram_bits_per_byte']:.3f}",
        ),
        "report": ("manifests and tables", "one HTML page"),
    }
    return "".join(
        f"| {stage} | {taken} | {given} | {seconds[stage]:.1f} |\n" for stage, (taken, given) in rows.items()
    )


def main(arguments: list[str]) -> None:
    """Renews demo.json from the run that is named, and prints the table."""
    known = json.loads(PLACE.read_text()) if PLACE.exists() else {}
    roots = [Path(argument) for argument in arguments if not argument.startswith("--")]
    for root in roots:
        known["figures"] = figures_of(root)
        if "--seconds" in arguments:
            known["seconds"] = json.loads((root / "logs/stages.json").read_text())
        PLACE.write_text(json.dumps(known, indent=1) + "\n")
    print(table(known), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
