"""What of evaluation sets is too short to be looked for, in words; nothing heavy is imported here."""

from collections.abc import Iterator, Mapping

from pipeline.base.words import counted

MIN_WORDS = 8
REACH = ("items", "out_of_reach")  # what is counted of each set


def out_of_reach(reach: Mapping[str, tuple[int, ...]], ngram: int) -> Iterator[str]:
    """For each set that has such items: how many are too short to be looked for."""
    words = min(MIN_WORDS, ngram)
    for name, (items, short) in reach.items():
        if short:
            left = f"{short:,} of {counted(items, 'item')} not looked for"
            yield f"evaluation set {name}: {left}: fewer than {words} words in each field"
