"""What `tokenmill filter` tells a person: the funnel as it is, or beside the one under other thresholds.

What is the same under both is left out, but for the head of the funnel.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.base.words import aligned, counted, largest_first, place

MOST_HELD = 3
LEAST_HELD = 0.01  # of the documents: fewer that another rule still drops change no decision
KINDS = {"reasons": "dropped for", "alone": "dropped for nothing else", "sources": "kept by source"}
TITLES = ["now", "then", "change"]


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """The answer of ``what_if``, line by line."""
    if not result["overrides"]:
        yield from _as_it_is(result["before"])
        return
    yield from _compared(result["before"], result["after"])
    yield from _held(result)
    yield from result["without_effect"]
    for name, title in (("come_in", "would come in"), ("go_out", "would go out")):
        yield f"\n{counted(result[name]['documents'], 'document')} {title}"
        for example in result[name]["examples"]:
            text = " ".join(example["text"].split())[:100]
            yield f"  {example['doc_id']} {place(example)} {', '.join(example['reasons'])}: {text}"
        if more := result[name]["documents"] - len(result[name]["examples"]):
            yield f"  and {more:,} more; --show {result[name]['documents']} lists all"
    yield "\n" + ("applied" if result["applied"] else "nothing was written; --apply writes it")


def _as_it_is(funnel: Mapping[str, Any]) -> Iterator[str]:
    """One column where nothing else was asked for, and what each rule drops, also alone."""
    yield from aligned([[name, f"{value:,}"] for name, value in _head(funnel).items()])
    reasons = [
        [name, f"{count:,}", f"{funnel['alone'].get(name, 0):,}"] for name, count in largest_first(funnel["reasons"])
    ]
    if reasons:
        yield from ("", *aligned([["", "drops", "alone"], *reasons]))
    sources = [[name, f"{count:,}"] for name, count in largest_first(funnel["sources"])]
    yield from ("", *aligned([["", "kept"], *sources]))


def _head(funnel: Mapping[str, Any]) -> dict[str, int]:
    names = ("documents_in", "kept", "cut", "dropped", "tokens_estimated")
    return {name.replace("_", " "): funnel[name] for name in names}


def _compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    then = _head(after)
    yield from aligned([["", *TITLES], *([name, *_change(value, then[name])] for name, value in _head(before).items())])
    for kind, words in KINDS.items():
        now, new = Counter(before[kind]), Counter(after[kind])
        ordered = [name for name, _ in largest_first(now | new)]
        moved = [name for name in ordered if now[name] != new[name]]
        same = len(ordered) - len(moved)
        if moved:
            title = f"{words}{f' ({same} more as now)' if same else ''}"
            rows = [[f"  {name}", *_change(now[name], new[name])] for name in moved]
            yield from ("", *aligned([[title, *TITLES], *rows]))


def _held(result: Mapping[str, Any]) -> Iterator[str]:
    """Why a lower threshold lets fewer through than one would think."""
    least = max(1, LEAST_HELD * result["before"]["documents_in"])
    held = [(name, found) for name, found in result["still_failing"].items() if found["still_failing"] >= least]
    for name, found in sorted(held, key=lambda item: -item[1]["still_failing"])[:MOST_HELD]:
        rules = list(found["by"].items())
        others = ", ".join(f"{rule} {count:,}" for rule, count in rules[:3])
        more = f" and {counted(len(rules) - 3, 'more rule')}" if len(rules) > 3 else ""
        passing, failing = found["would_pass"], found["still_failing"]
        which = "all" if passing == failing else f"{failing:,}"
        yield f"\nof {counted(passing, 'document')} that would pass {name}, {which} still fail others: {others}{more}"


def _change(before: int, after: int) -> list[str]:
    return [f"{before:,}", f"{after:,}", f"{after - before:+,}"]
