"""Stop words by language: Gopher's eight for English, the lists of the package ``stopwordsiso`` (MIT) for others.

The languages are those with a list that lid.176 can name.  Where a language has none, its documents get a null
``stop_word_count``, and the rule on it judges nothing.
"""

from functools import cache

GOPHER_ENGLISH = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
_SAME_LIST = {"nb": "no", "nn": "no", "fil": "tl", "wuu": "zh", "yue": "zh"}  # lid.176 label -> label of the list


@cache
def stop_words(language: str) -> frozenset[str]:
    """The stop words of a language (label of lid.176); empty where no list is known."""
    if language == "en":
        return GOPHER_ENGLISH
    if not language:
        return frozenset()
    import stopwordsiso

    label = _SAME_LIST.get(language, language)
    if not stopwordsiso.has_lang(label):
        return frozenset()
    return frozenset(stopwordsiso.stopwords(label))
