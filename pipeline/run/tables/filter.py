"""Tables of the filter stage: what is measured of a document, and what each stage decides about it."""

import pyarrow as pa

from pipeline.run import layout
from pipeline.run.table_files import Column, Table
from pipeline.run.tables.limits import DOC_ID

SIGNALS = Table(
    "signals",
    layout.SIGNALS,
    (1, 0),
    (
        Column("doc_id", DOC_ID, "the document"),
        Column("token_count", pa.int32(), "tokens by spaCy's English rules; punctuation marks are tokens too"),
        Column("word_count", pa.int32(), "tokens that are not all punctuation"),
        Column("character_count", pa.int32(), "Unicode code points of the text"),
        Column("byte_count", pa.int32(), "UTF-8 bytes of the text"),
        Column("mean_word_length", pa.float32(), "mean characters per word; 0 without words"),
        Column("longest_word", pa.int32(), "characters of the longest run without white space"),
        Column("symbol_word_ratio", pa.float32(), "the larger of the next two"),
        Column("hash_word_ratio", pa.float32(), "# characters per token"),
        Column("ellipsis_word_ratio", pa.float32(), "ellipses (... or U+2026) per token"),
        Column("alpha_word_ratio", pa.float32(), "tokens with a letter / tokens"),
        Column(
            "stop_word_count", pa.int32(), "distinct stop words; null: there is no list for the language", nullable=True
        ),
        Column("bullet_line_ratio", pa.float32(), "lines that start with a bullet or hyphen / lines"),
        Column("ellipsis_line_ratio", pa.float32(), "lines that end with an ellipsis / lines"),
        Column("duplicate_line_ratio", pa.float32(), "repeated lines / lines"),
        Column("duplicate_paragraph_ratio", pa.float32(), "repeated paragraphs / paragraphs"),
        Column("duplicate_line_char_ratio", pa.float32(), "characters of repeated lines / characters"),
        Column("duplicate_paragraph_char_ratio", pa.float32(), "characters of repeated paragraphs / characters"),
        *(
            Column(f"top_{n}gram_char_ratio", pa.float32(), f"characters of the most frequent {n}-gram / characters")
            for n in (2, 3, 4)
        ),
        *(
            Column(f"duplicate_{n}gram_char_ratio", pa.float32(), f"characters of repeated {n}-grams / characters")
            for n in range(5, 11)
        ),
        Column("terminal_punctuation_line_ratio", pa.float32(), "lines that end a sentence / lines with text"),
        Column("short_line_ratio", pa.float32(), "lines of at most 30 characters / lines with text"),
        Column("fineweb_duplicate_char_ratio", pa.float32(), "characters of repeated lines / characters in lines"),
        Column("newline_word_ratio", pa.float32(), "line feeds per token"),
        Column("sentence_count", pa.int32(), "sentences of the text"),
        Column("c4_sentence_count", pa.int32(), "sentences in the lines that C4 keeps"),
        Column("c4_has_curly_bracket", pa.bool_(), "true where a line that C4 looks at has {"),
        Column("c4_has_lorem_ipsum", pa.bool_(), "true where a line that C4 looks at has lorem ipsum"),
    ),
    "row-aligned with documents/",
)

VERDICTS = Table(
    "verdicts",
    layout.verdicts_folder("<stage>"),
    (1, 0),
    (
        Column("doc_id", DOC_ID, "the document"),
        Column(
            "keep", pa.bool_(), "false = this stage drops it; null = an earlier stage has dropped it", nullable=True
        ),
        Column("reasons", pa.list_(pa.string()), "every rule that the document failed in this stage"),
    ),
    "row-aligned with documents/",
)
