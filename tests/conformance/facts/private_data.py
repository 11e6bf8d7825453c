"""Personal data: the texts of presidio-research, whose spans are known, and what the clean stage finds in them."""

import json
from collections import Counter
from collections.abc import Iterator

from pipeline.clean import pii
from tests.conformance.clones import Clone, Repository
from tests.conformance.facts.figures import Figure, measure

SETS = ("data/synth_dataset_v2.json", "tests/data/generated_large.json")
KINDS = {
    "EMAIL_ADDRESS": "email",
    "IP_ADDRESS": "ip",
    "PHONE_NUMBER": "phone",
    "IBAN_CODE": "iban",
    "CREDIT_CARD": "card",
}
NAMES = {
    "email": "e-mail addresses",
    "ip": "IP addresses",
    "phone": "telephone numbers",
    "iban": "IBANs",
    "card": "cards",
}
Spans = list[tuple[int, int, str]]


@measure("presidio-research", Repository("microsoft", "presidio-research"))
def private_data(clone: Clone) -> Iterator[Figure]:
    """Of each kind: how many of what is found is so, and how many of what is there are found."""
    cases = [case for path, data in clone.files(*SETS) if path in SETS for case in json.loads(data)]
    found = pii.find([case["full_text"] for case in cases])
    said, right, there, hit = (Counter[str]() for _ in range(4))
    for number, case in enumerate(cases):
        true = [(s["start_position"], s["end_position"], KINDS.get(s["entity_type"], "")) for s in case["spans"]]
        ours = _in_characters(*found.get(number, (b"", [])))
        for span in ours:
            said[span[2]] += 1
            right[span[2]] += any(_same(span, other) for other in true)
        for span in true:
            there[span[2]] += 1
            hit[span[2]] += any(_same(span, other) for other in ours)
    for kind, name in NAMES.items():
        yield Figure(f"{name}: of those found, right", right[kind], said[kind])
        yield Figure(f"{name}: of those there, found", hit[kind], there[kind])


def _in_characters(text: bytes, spans: list[pii.Span]) -> Spans:
    return [(len(text[:first].decode()), len(text[:last].decode()), kind) for first, last, kind in spans]


def _same(one: tuple[int, int, str], other: tuple[int, int, str]) -> bool:
    """Of one kind, and half of the longer one is in both."""
    common = min(one[1], other[1]) - max(one[0], other[0])
    return one[2] == other[2] and 2 * common >= max(one[1] - one[0], other[1] - other[0])
