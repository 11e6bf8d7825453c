"""What a stage did with its documents, in a line: how many of how many, and the reasons with what each takes alone."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.base.words import counted, largest_first
from pipeline.screen.kind_words import counted_reason

MOST_REASONS = 5
FEW_KEPT = 0.3
IN_AND_OUT = (("records_in", "documents"), ("documents_in", "kept"))
REASONS = ("quarantined_reasons", "excluded_reasons", "reasons")
DROPPED = "dropped_"


def outcome_lines(stage: str, summary: Mapping[str, Any]) -> Iterator[str]:
    """The line of a stage that passes documents on, and a second one where few are left.

    Training says how its model stands to one that only counts; other stages have none.

    Example:
        >>> summary = {"documents_in": 10, "kept": 2, "reasons": {"a": 8, "b": 1}, "alone": {"a": 7}}
        >>> next(outcome_lines("filter", summary))
        'filter: 2 of 10 documents kept; a 8 (7 alone), b 1 (0 alone)'
    """
    if stage == "train":
        yield from _beside_counting(summary)
        return
    if stage == "tokenize":
        yield from _not_encoded(summary)
        return
    found = next((pair for pair in IN_AND_OUT if pair[0] in summary and pair[1] in summary), None)
    if found is None:
        return
    total, left = summary[found[0]], summary[found[1]]
    what = "records became documents" if found[0] == "records_in" else "documents kept"
    yield from (f"{stage}: {note}" for note in summary.get("notes", ()))
    yield f"{stage}: {left:,} of {total:,} {what}" + (f"; {words}" if (words := reasons_in_words(summary)) else "")
    if damaged := sum(summary.get("quarantined_reasons", {}).values()):
        which = "`tokenmill inspect` of quarantine/ in the run folder says which"
        yield f"{stage}: {counted(damaged, 'record')} {'is' if damaged == 1 else 'are'} damaged; {which}"
    if left < FEW_KEPT * total:
        other = ", `tokenmill filter RUN --set filter.preset=own` what the rules for texts of one's own would keep"
        yield (
            f"warning: {stage} keeps {left / total:.1%}; `tokenmill explain` and `tokenmill inspect` show documents "
            f"and records with their reasons{other if stage == 'filter' else ''}"
        )


def _not_encoded(summary: Mapping[str, Any]) -> Iterator[str]:
    """Says why fewer documents become tokens than the stage before has kept."""
    left = {
        "too near to a document that is held out for validation": summary.get("near_validation", 0),
        "on the list of tokenize.held_out": summary.get("held_out", 0),
    }
    made, out = summary.get("documents", 0), sum(left.values())
    if out:
        why = ", ".join(f"{count:,} {words}" for words, count in left.items() if count)
        yield f"tokenize: {made:,} of {made + out:,} documents became tokens; left out: {why}"


def _beside_counting(summary: Mapping[str, Any]) -> Iterator[str]:
    """How a model stands to one that knows how often each token occurs, and nothing else."""
    bits, unigram = summary.get("bits_per_byte"), summary.get("unigram_bits_per_byte")
    if bits is None or unigram is None:
        return
    if bits >= unigram:
        yield f"warning: {worse_than_counting(bits, unigram)}"
    else:
        less = f"{1 - bits / unigram:.0%} below a unigram model ({unigram:.3f})"
        yield f"train: {bits:.3f} bits per byte of validation text, {less}"


def worse_than_counting(bits: float, unigram: float) -> str:
    """What to say of a model that needs no fewer bits per byte than the unigram model of the same tokens."""
    return (
        f"the model needs {bits:.3f} bits per byte of validation text, a unigram model {unigram:.3f}, though that "
        "knows only how often each token occurs: more train.steps are the first thing to try; `tokenmill plan` shows "
        "how many tokens a model of this size asks for"
    )


def reasons_in_words(summary: Mapping[str, Any]) -> str:
    """The commonest reasons with their counts; where it is known, with what each takes that no other does."""
    counts: dict[str, int] = {}
    for kind in REASONS:
        counts |= summary.get(kind, {})
    counts |= {key.removeprefix(DROPPED): value for key, value in summary.items() if key.startswith(DROPPED) and value}
    alone = summary.get("alone")
    ordered = largest_first(counts)
    shown = [
        counted_reason(name, count) + (f" ({alone.get(name, 0):,} alone)" if alone else "")
        for name, count in ordered[:MOST_REASONS]
    ]
    more = len(ordered) - len(shown)
    return ", ".join([*shown, *([f"{more} more"] if more > 0 else [])])
