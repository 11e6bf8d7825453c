"""Each gold set's own measure of one page, and of a set; written anew from what their scorers do.

WCXB counts lower-case words; scrapinghub runs of four words; trafilatura the marked segments that are there.
magic-html measures ROUGE-L over jieba's words; here its sets are counted in words, a character of Chinese being one.
"""

import re
from collections import Counter
from collections.abc import Sequence

from pipeline.extractor_training.gold import GoldPage
from pipeline.extractor_training.labels import words

Score = tuple[float, float, float]  # precision, recall, F1; of segments: hits, said, wanted


def page_score(name: str, page: GoldPage, said: str) -> Score:
    """What a text is worth against a page's gold."""
    if name == "trafilatura":
        low = _squeezed(said)
        hits = sum(_squeezed(segment) in low for segment in page.wanted)
        return hits, hits + sum(_squeezed(segment) in low for segment in page.unwanted), len(page.wanted)
    assert page.text is not None, "a page without a gold text"
    if name == "scrapinghub":
        return _bags(_shingles(said), _shingles(page.text))
    if name.startswith("magic"):
        return _bags(Counter(words(said)), Counter(words(page.text)))
    return _bags(Counter(re.findall(r"\w+", said.lower())), Counter(re.findall(r"\w+", page.text.lower())))


def set_score(name: str, scores: Sequence[Score]) -> Score:
    """What the pages' scores make of a set, as its scorer joins them."""
    columns = list(zip(*scores, strict=True))
    if name == "trafilatura":
        hits, said, wanted = map(sum, columns)
        return _prf(hits, said, wanted)
    precision, recall, f1 = (sum(column) / len(column) for column in columns)
    if name.startswith("wcxb"):
        return precision, recall, f1
    return precision, recall, 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _prf(hits: float, said: float, wanted: float) -> Score:
    precision, recall = hits / said if said else 0.0, hits / wanted if wanted else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _bags(said: Counter[object], wanted: Counter[object]) -> Score:
    if not said and not wanted:
        return 1.0, 1.0, 1.0
    return _prf((said & wanted).total(), said.total(), wanted.total())


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _shingles(text: str) -> Counter[object]:
    tokens = re.findall(r"\w+", text)
    return Counter(tuple(tokens[i : i + 4]) for i in range(max(1, len(tokens) - 3)) if tokens[i : i + 4])
