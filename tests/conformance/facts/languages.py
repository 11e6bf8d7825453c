"""Languages: texts of a known language, and what the model of the clean stage says."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from pipeline.clean.languages.identify import detect, stated_label
from pipeline.recipe.options import Clean, Filter  # type: ignore[attr-defined]
from tests.conformance.clones import Clone, Repository
from tests.conformance.facts.figures import Figure, measure

FOLDER = "language-testdata/"
EACH = 4  # one text in so many of a kind
TOGETHER = 5  # sentences in a document
SAME = {"no": {"no", "nn"}, "nn": {"no", "nn"}}  # a label for both written norms


@measure("lingua-py", Repository("pemistahl", "lingua-py"))
def languages(clone: Clone) -> Iterator[Figure]:
    """Shares of the languages that have a label, and how many texts in others are accepted."""
    kinds: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for path, data in clone.files(FOLDER):
        kind, _, name = path.removeprefix(FOLDER).partition("/")
        lines = [line for line in data.decode("utf-8").splitlines() if line.strip()]
        kinds[kind][name.removesuffix(".txt")] = lines
    together = {code: _joined(lines) for code, lines in kinds["sentences"].items()}
    yield from _figures("five sentences", together)
    for kind, what in (("sentences", "one sentence"), ("word-pairs", "a pair of words")):
        yield from _figures(what, {code: lines[::EACH] for code, lines in kinds[kind].items()})


def _joined(lines: Sequence[str]) -> list[str]:
    return ["\n".join(lines[at : at + TOGETHER]) for at in range(0, len(lines) - TOGETHER + 1, TOGETHER)]


def _figures(what: str, texts: dict[str, list[str]]) -> Iterator[Figure]:
    right, sure = {}, {}
    foreign = accepted = 0
    least = Filter().min_language_score
    for code, own in texts.items():
        label = stated_label(code)
        found, scores = detect(own, Clean().language_characters)
        taken = [score is not None and score >= least for score in scores]
        if label is None:
            foreign, accepted = foreign + len(own), accepted + sum(taken)
            continue
        same = [one in SAME.get(label, {label}) for one in found]
        right[code] = sum(same) / len(own)
        sure[code] = sum(a and b for a, b in zip(same, taken, strict=True)) / len(own)
    yield Figure(f"{what}: right", sum(right.values()) / len(right), len(right), mean=True)
    yield Figure(f"{what}: right and accepted", sum(sure.values()) / len(sure), len(sure), mean=True)
    if foreign:
        yield Figure(f"{what}: in a language without a label, and not accepted", foreign - accepted, foreign)
