"""All signals of a batch of documents in one call, over the buffers of an Arrow string column.

Columns of the result are ``COLUMNS``, which pipeline/filter/rules/measure.py turns into the signals table.
"""

import numba
import numpy as np

from pipeline.kernels.jit import bare
from pipeline.kernels.lines import (
    ELLIPSIS,
    HASH,
    NOT_ASCII,
    SQUARE,
    all_line_ends,
    is_at,
    line_feeds,
    paragraphs,
    survey,
    table_size,
)
from pipeline.kernels.repetition import base_powers, parts_of, repeated_ngrams, top_ngrams
from pipeline.kernels.spans import MIX
from pipeline.kernels.tokens import ALL_SYMBOLS, HAS_LETTER, new_tokens, tokenize

COLUMNS = (
    "token_count",
    "word_count",
    "character_count",
    "byte_count",
    "mean_word_length",
    "longest_word",
    "symbol_word_ratio",
    "hash_word_ratio",
    "ellipsis_word_ratio",
    "alpha_word_ratio",
    "stop_word_count",
    "bullet_line_ratio",
    "ellipsis_line_ratio",
    "duplicate_line_ratio",
    "duplicate_paragraph_ratio",
    "duplicate_line_char_ratio",
    "duplicate_paragraph_char_ratio",
    "top_2gram_char_ratio",
    "top_3gram_char_ratio",
    "top_4gram_char_ratio",
    "duplicate_5gram_char_ratio",
    "duplicate_6gram_char_ratio",
    "duplicate_7gram_char_ratio",
    "duplicate_8gram_char_ratio",
    "duplicate_9gram_char_ratio",
    "duplicate_10gram_char_ratio",
    "terminal_punctuation_line_ratio",
    "short_line_ratio",
    "fineweb_duplicate_char_ratio",
    "newline_word_ratio",
    "sentence_count",
    "c4_sentence_count",
    "c4_has_curly_bracket",
    "c4_has_lorem_ipsum",
)
STOP_SLOTS = 1 << 14


@numba.njit(cache=True, nogil=True)
def measure_texts(data, offsets, stop_sets, stop_tables, split_unspaced, tables, cache):  # type: ignore[no-untyped-def]
    """Measures every text.

    Args:
        data: UTF-8 bytes of all texts.
        offsets: Where each begins, and where the last one ends, int64, shape (N + 1,).
        stop_sets: Which row of ``stop_tables`` holds the stop words of each text; -1 for none, shape (N,).
        stop_tables: Hashes of stop words, each row an open-addressing set of ``STOP_SLOTS``, 0 = empty.
        split_unspaced: Which texts are in a language written without spaces, shape (N,).
        tables: ``TokenTables``.
        cache: ``ChunkCache``.

    Returns:
        float64, shape (len(COLUMNS), N).
    """
    total = len(offsets) - 1
    result = np.zeros((34, total), np.float64)
    tokens, spare = new_tokens(4096), new_tokens(16)
    places = np.empty(4096, np.int64)
    powers = base_powers()
    seen_stop = np.full(STOP_SLOTS, -1, np.int64)
    for k in range(total):
        start, end = offsets[k], offsets[k + 1]
        if end == start:
            continue
        tokens, count, sentences, longest = tokenize(data, start, end, tables, cache, tokens, split_unspaced[k])
        row = result[:, k]
        row[3], row[5], row[30] = end - start, longest, sentences
        _words(tokens, count, row)
        if stop_sets[k] >= 0:
            row[10] = _stop_words(tokens, count, stop_tables[stop_sets[k]], seen_stop, k)
        if len(places) < end - start + 1:  # untouched room costs no memory
            places = np.empty(2 * (end - start) + 64, np.int64)
        kinds, feeds = survey(data, start, end, places)
        if kinds & (HASH | ELLIPSIS):
            _symbols(data, start, end, count, row)
        if kinds & SQUARE and len(spare.start) < end - start + 8:
            spare = new_tokens(2 * (end - start) + 64)
        table = np.zeros(table_size(feeds + 2), np.uint64)
        row[29] = _ratio(feeds, count)
        _lines(data, start, end, kinds, places, feeds, table, tables.classes, row)
        line = np.empty(end - start if kinds & SQUARE else 0, np.uint8)
        _line_ends(data, start, end, kinds, longest, places, tokens, count, tables, cache, spare, line, row)
        characters = row[2]
        parts = parts_of(count)
        top = top_ngrams(tokens, count, parts)
        for n in range(3):
            row[17 + n] = _ratio(top[n], characters)
        repeated = repeated_ngrams(tokens, count, powers, parts)
        for n in range(6):
            row[20 + n] = _ratio(repeated[n], characters)
    return result


@bare
def _ratio(part, whole):  # type: ignore[no-untyped-def]
    return part / whole if whole else 0.0


@bare
def _words(tokens, count, row):  # type: ignore[no-untyped-def]
    """Counts of words; ``tokens.chars`` becomes the characters of the first 0, 1, ... ``count`` tokens."""
    chars, total = np.int64(tokens.chars[0]), np.int64(0)
    tokens.chars[0] = 0
    words, word_chars, with_letter = 0, np.int64(0), 0
    for i in range(count):
        flags = tokens.flags[i]
        if not flags & ALL_SYMBOLS:
            words += 1
            word_chars += chars
        if flags & HAS_LETTER:
            with_letter += 1
        total += chars
        chars = np.int64(tokens.chars[i + 1])  # there is room for one more token
        tokens.chars[i + 1] = total
    row[0], row[1] = count, words
    row[4], row[9] = _ratio(word_chars, words), _ratio(with_letter, count)


@bare
def _stop_words(tokens, count, table, seen, document):  # type: ignore[no-untyped-def]
    """Distinct stop words among the tokens; ``seen`` remembers in which document a slot was last met."""
    found = 0
    mask = len(table) - 1
    for i in range(count):
        key = tokens.hash[i]
        slot = np.int64((key * MIX) >> np.uint64(32)) & mask
        while table[slot] != 0:
            if table[slot] == key:
                if seen[slot] != document:
                    seen[slot] = document
                    found += 1
                break
            slot = (slot + 1) & mask
    return found


@bare
def _symbols(data, start, end, count, row):  # type: ignore[no-untyped-def]
    """# and ellipses a token, as ``str.count`` counts them."""
    hashes, ellipses = 0, 0
    i = start
    while i < end:
        byte = data[i]
        if byte == 0x23:
            hashes += 1
        elif is_at(data, i, end, 0x2E, 0x2E, 0x2E) or is_at(data, i, end, 0xE2, 0x80, 0xA6):
            ellipses += 1
            i += 2
        i += 1
    row[7], row[8] = _ratio(hashes, count), _ratio(ellipses, count)
    row[6] = max(row[7], row[8])


@bare
def _lines(data, start, end, kinds, places, feeds, table, classes, row):  # type: ignore[no-untyped-def]
    ascii_only = not kinds & NOT_ASCII
    lines, repeated, repeated_chars, full, terminal, short, full_repeated_chars, characters = line_feeds(
        data, start, end, classes, ascii_only, places, feeds, table
    )
    row[2] = characters
    row[13], row[15] = _ratio(repeated, lines), _ratio(repeated_chars, characters)
    row[26], row[27] = _ratio(terminal, full), _ratio(short, full)
    row[28] = _ratio(full_repeated_chars, characters - feeds)
    table[:] = 0
    parts, repeated, repeated_chars = paragraphs(data, start, end, classes, ascii_only, places, feeds, table)
    row[14], row[16] = _ratio(repeated, parts), _ratio(repeated_chars, characters)


@bare
def _line_ends(data, start, end, kinds, longest, places, tokens, count, tables, cache, spare, line, row):  # type: ignore[no-untyped-def]
    lines, bullets, ellipses, sentences, bracket, lorem = all_line_ends(
        data, start, end, kinds, longest, places, tokens, count, tables, cache, spare, line
    )
    row[11], row[12] = _ratio(bullets, lines), _ratio(ellipses, lines)
    row[31], row[32], row[33] = sentences, bracket, lorem
