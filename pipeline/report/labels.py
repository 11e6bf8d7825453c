"""Words for what tables, manifests and tokenizer reports call by a name: the same words on every page."""

import re
from collections.abc import Mapping

BITS = "bits per byte"
BOUNDS: Mapping[str, str] = {"min": "at least", "max": "at most"}

FIGURES: Mapping[str, str] = {
    "bits_per_byte": BITS,
    "unigram_bits_per_byte": f"{BITS} of the unigram baseline",
    "documents": "documents",
    "text_bytes": "bytes of text",
    "tokens": "tokens",
    "train_documents": "documents to train on",
    "train_tokens": "tokens to train on",
    "validation_documents": "documents held out",
    "validation_tokens": "tokens held out",
    "leakage_sample": "held-out documents looked up among those to train on",
    "leakage_at_0_8": "of these, found there again (similarity 0.8 or more)",
    "vocabulary_size": "entries of the vocabulary",
    "sample_documents": "documents that the tokenizer was tried on",
    "bytes_per_token": "bytes per token",
    "engine": "encoder",
    "engine_version": "version of the encoder",
    "engine_reason": "the encoder was chosen because it",
    "by_language": "By language",
    "by_source": "By source",
    "by_licence": "By licence",
    "round_trip": "Decoded again",
    "special_tokens": "Special tokens",
    "vocabulary_use": "Use of the vocabulary",
    "failures": "failures",
    "share": "share of its entries in use",
    "used": "entries in use",
    "tokens_counted": "tokens counted",
    "skipped_steps": "skipped steps",
    "parameters": "parameters",
    "steps": "steps",
    "trained_tokens": "tokens trained on",
    "train_loss": "training loss",
    "validation_loss": "validation loss",
    "mfu": "share of the processor's peak",
    "flops": "floating-point operations",
    "epochs": "epochs",
}

SIGNALS: Mapping[str, str] = {
    "word_count": "words",
    "mean_word_length": "mean characters of a word",
    "symbol_word_ratio": "hash signs or ellipses per word",
    "bullet_line_ratio": "share of lines that begin with a bullet",
    "ellipsis_line_ratio": "share of lines that end with an ellipsis",
    "alpha_word_ratio": "share of words with a letter",
    "stop_word_count": "different stop words",
    "character_count": "characters",
    "duplicate_line_ratio": "share of lines that are repeated",
    "duplicate_paragraph_ratio": "share of paragraphs that are repeated",
    "duplicate_line_char_ratio": "share of text in repeated lines",
    "duplicate_paragraph_char_ratio": "share of text in repeated paragraphs",
    "c4_sentence_count": "sentences, as C4 counts them",
    "c4_has_curly_bracket": "a curly bracket (1: yes)",
    "c4_has_lorem_ipsum": "lorem ipsum (1: yes)",
    "terminal_punctuation_line_ratio": "share of lines that end a sentence",
    "short_line_ratio": "share of lines of at most 30 characters",
    "fineweb_duplicate_char_ratio": "share of text in repeated lines, as FineWeb counts it",
    "newline_word_ratio": "line feeds per word",
}
_GRAMS = re.compile(r"(top|duplicate)_(\d+)gram_char_ratio")

REASONS: Mapping[str, str] = {
    "dedup.exact": "the same text as a document that is kept",
    "dedup.near": "nearly the same text as a document that is kept",
    "dedup.url": "the same address as a document that is kept",
    "language.languages": "in a language that was not asked for",
    "language.min_language_score": "language not certain enough",
    "language.too_short": "too short to tell the language",
    "text.max_replaced_share": "too many broken characters",
    "text.max_bad_words": "more of C4's bad words than allowed",
    "text.min_extraction_score": "text that is unlikely to be that of its page",
    "tokenize.near_validation": "too near to a document that is held out",
    "record_type": "a WARC record that is no page",
    "status": "a page that its server did not give",
    "content_type": "a kind of content that is not read",
    "url_scheme": "an address that is no page of the web",
    "url_list": "by the recipe's lists of addresses",
    "opt_out": "the page or its server says that it is not to be trained on",
    "empty": "no text",
    "no_text_layer": "a PDF file whose pages have no text, as a scan: OCR adds it",
    "empty_extraction": "no text in the page's main content",
    "nested_archive": "an archive inside an archive",
    "outside_link": "a link out of the source's folder",
    "broken_link": "a link to nothing",
    "truncated": "compressed data that ends early",
    "corrupt_compression": "damaged compressed data",
    "json_invalid": "a line that is no JSON",
    "json_not_object": "JSON, but no object",
    "missing_text": "no field with the text",
    "wrong_type": "a value of the wrong type",
    "not_utf8": "bytes that are not UTF-8",
    "not_text": "bytes that are no text in any encoding",
    "ragged_row": "a row that does not fit the header",
    "csv_invalid": "a row that is no CSV",
    "record_too_large": "larger than the recipe allows",
    "corrupt_file": "a file that cannot be read",
    "corrupt_rows": "rows that cannot be read",
    "encrypted": "needs a password",
    "unreadable": "the system does not give it",
}


def figure_label(name: str) -> str:
    """The words for a figure; of one without, its name without underscores.

    Example:
        >>> figure_label("unigram_bits_per_byte"), figure_label("made_up")
        ('bits per byte of the unigram baseline', 'made up')
    """
    return FIGURES.get(name, name.replace("_", " "))


def signal_label(name: str) -> str:
    """The words for a signal.

    Example:
        >>> signal_label("top_3gram_char_ratio"), signal_label("duplicate_5gram_char_ratio")
        ('share of text in the most frequent 3 words', 'share of text in repeated runs of 5 words')
    """
    if found := _GRAMS.fullmatch(name):
        which = "the most frequent" if found[1] == "top" else "repeated runs of"
        return f"share of text in {which} {found[2]} words"
    return SIGNALS.get(name, name.replace("_", " "))


def rule_words(signal: str, bound: str, threshold: float) -> str:
    """What a rule drops, in words.

    Example:
        >>> rule_words("word_count", "min", 40), rule_words("alpha_word_ratio", "min", 0.8)
        ('fewer than 40 words', 'share of words with a letter below 0.8')
    """
    label = signal_label(signal)
    if signal.endswith("_count"):
        return f"{'fewer' if bound == 'min' else 'more'} than {threshold:,g} {label}"
    if signal.startswith("c4_has_"):
        return label.partition(" (")[0]
    return f"{label} {'below' if bound == 'min' else 'above'} {threshold:g}"
