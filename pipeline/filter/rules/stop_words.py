"""Stop words by language: Gopher's eight for English, the lists of the package ``stopwordsiso`` (MIT) for others.

A list of a language that is written without spaces keeps its words of one character: each character is a word there.
The languages are those with a list that clean can name.  Where a language has none, its documents get a null
``stop_word_count``, and the rule on it judges nothing.
"""

from functools import cache

GOPHER_ENGLISH = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
UNSPACED_LANGUAGES = frozenset({"zh", "ja", "th", "lo", "km", "my", "wuu", "yue"})
_SAME_LIST = {"nb": "no", "nn": "no", "fil": "tl", "wuu": "zh", "yue": "zh"}  # label -> label of the list


@cache
def stop_words(language: str) -> frozenset[str]:
    """The stop words of a language (label that clean gives); empty where no list is known."""
    if language == "en":
        return GOPHER_ENGLISH
    if not language:
        return frozenset()
    import stopwordsiso

    label = _SAME_LIST.get(language, language)
    if not stopwordsiso.has_lang(label):
        return frozenset()
    words = frozenset(stopwordsiso.stopwords(label))
    return frozenset(word for word in words if len(word) == 1) if language in UNSPACED_LANGUAGES else words
