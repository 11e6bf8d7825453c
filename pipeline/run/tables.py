"""Every table on disk: its columns, its order and its format version.

``python -m pipeline.run.tables`` prints docs/formats.md.  The code that opens and writes them is in
pipeline/run/table_files.py.
"""

import pyarrow as pa

from pipeline.run import layout
from pipeline.run.table_files import Column, Table

DOC_ID = pa.binary(16)
BATCH_TEXT_BYTES = 8 << 20  # a record batch closes at 8 MiB of text ...
BATCH_ROWS = 65_536  # ... or at this many rows
SHARD_TEXT_BYTES = 256 << 20  # a shard closes at 256 MiB of text

DOCUMENTS = Table(
    "documents",
    layout.DOCUMENTS,
    (1, 2),
    (
        Column(
            "doc_id", DOC_ID, "BLAKE2b-128 of the source's name, the path below its root, and the byte offset or row"
        ),
        Column("id", pa.string(), "the record's own id", nullable=True),
        Column("text", pa.large_string(), "the cleaned text, NFC"),
        Column("source", pa.string(), "name of the source in the recipe; one value in each shard"),
        Column("url", pa.string(), "where the text came from", nullable=True),
        Column(
            "date",
            pa.string(),
            "the day of publication that the page or record states, ISO 8601 where it could be read",
            nullable=True,
        ),
        Column("licence", pa.string(), "SPDX id or the record's own words; null = unknown", nullable=True),
        Column(
            "language",
            pa.string(),
            "label of lid.176, or of what the record states; null where the text has no letters",
            nullable=True,
        ),
        Column(
            "language_score",
            pa.float32(),
            "probability of that label, 0 to 1; null where the record states it",
            nullable=True,
        ),
        Column("path", pa.string(), "input file, relative to the source's root"),
        Column("offset", pa.int64(), "byte offset of the record in its file (for JSONL, decompressed), or its row"),
        Column("metadata", pa.string(), "JSON object of everything else in the record", nullable=True),
        Column("title", pa.string(), "the page's title", nullable=True),
        Column("canonical_url", pa.string(), "the URL that the page names as its own", nullable=True),
        Column(
            "declared_language",
            pa.string(),
            "language tag that the page, its server or the record declares",
            nullable=True,
        ),
        Column(
            "licence_evidence",
            pa.string(),
            "record | json-ld | rel | meta | header | link | rdf | words | recipe",
            nullable=True,
        ),
        Column(
            "robots",
            pa.string(),
            "robots directives of the page and its server, sorted, comma-separated",
            nullable=True,
        ),
        Column("opt_out", pa.string(), "rights marks found, comma-separated (docs/rights.md)", nullable=True),
        Column("pii_email", pa.int32(), "e-mail addresses found"),
        Column("pii_ip", pa.int32(), "public IP addresses found"),
        Column("pii_phone", pa.int32(), "telephone numbers found"),
        Column("pii_iban", pa.int32(), "IBANs found whose checksum is right"),
        Column("pii_card", pa.int32(), "payment card numbers found whose checksum is right"),
        Column("pii_secret", pa.int32(), "API keys and private keys found"),
        Column(
            "decoded_as",
            pa.string(),
            "encoding that its bytes were read in, by its WHATWG name; null where the input is Unicode",
            nullable=True,
        ),
        Column("replaced_share", pa.float32(), "share of its characters that are U+FFFD: broken bytes", nullable=True),
        Column(
            "date_from",
            pa.string(),
            "record | json-ld | meta | microdata | time | url | text: where it is",
            nullable=True,
        ),
        Column("crawl_date", pa.string(), "when the page was fetched, as its WARC record says", nullable=True),
        Column("pii_national_id", pa.int32(), "identity numbers found of the countries that the recipe names"),
        Column(
            "page_type",
            pa.string(),
            "article | collection | documentation | forum | listing | product | service; null where its extractor is "
            "not tokenmill",
            nullable=True,
        ),
        Column(
            "extraction_score",
            pa.float32(),
            "how good the text of the page is likely to be: F1 by words, 0 to 1; null as page_type",
            nullable=True,
        ),
    ),
    "input order",
)

QUARANTINE = Table(
    "quarantine",
    layout.QUARANTINE,
    (1, 0),
    (
        Column("source", pa.string(), "name of the source in the recipe"),
        Column("path", pa.string(), "input file, relative to the source's root"),
        Column("offset", pa.int64(), "byte offset (or row) where the damage starts"),
        Column("length", pa.int64(), "number of damaged bytes; null = unknown", nullable=True),
        Column("reason", pa.string(), "what is wrong: one of the codes in docs/clean.md"),
        Column("detail", pa.string(), "what was found, in words", nullable=True),
        Column("head", pa.binary(), "the first 256 bytes of the damaged record"),
    ),
    "input order",
)

EXCLUDED = Table(
    "excluded",
    layout.EXCLUDED,
    (1, 0),
    (
        Column("source", pa.string(), "name of the source in the recipe"),
        Column("path", pa.string(), "input file, relative to the source's root"),
        Column("offset", pa.int64(), "byte offset of the record, or its row"),
        Column(
            "reason",
            pa.string(),
            "why the record was not wanted, before its text was looked at: one of the codes in docs/clean.md",
        ),
        Column("detail", pa.string(), "the value that decided, such as the HTTP status", nullable=True),
        Column("url", pa.string(), "the record's URL", nullable=True),
    ),
    "input order",
)

SIGNATURES = Table(
    "signatures",
    layout.SIGNATURES,
    (1, 0),
    (
        Column("doc_id", DOC_ID, "the document"),
        Column("text_hash", pa.binary(16), "BLAKE2b-128 of the text: equal texts are exact duplicates"),
        Column("num_shingles", pa.int32(), "distinct shingles of the document"),
        Column("text_length", pa.int64(), "characters of the text; what `keep = longest` compares"),
        Column("signature", pa.list_(pa.uint32()), "bands * rows MinHash values (datasketch affine32)"),
    ),
    "row-aligned with documents/",
    compression=None,  # MinHash values do not compress, and are read as they are in the file
)

CLUSTERS = Table(
    "clusters",
    layout.CLUSTERS,
    (1, 1),
    (
        Column("doc_id", DOC_ID, "the removed document"),
        Column(
            "kept_id",
            DOC_ID,
            "the document kept in its place; in a corpus that is not a run, BLAKE2b-128 of its id there",
        ),
        Column("similarity", pa.float64(), "exact Jaccard similarity of the two shingle sets"),
        Column("intersection", pa.int32(), "shingles in both"),
        Column("union", pa.int32(), "shingles in either"),
        Column("rule", pa.string(), "exact | near | url"),
        Column("cluster_id", DOC_ID, "first document of the connected component of verified pairs"),
        Column(
            "kept_corpus",
            pa.string(),
            "earlier run or corpus that holds the kept document; null: this run",
            nullable=True,
        ),
        Column("kept_name", pa.string(), "the kept document's id in that corpus", nullable=True),
        Column("cluster_size", pa.int64(), "number of documents in that component; null: not known", nullable=True),
        Column(
            "chosen_by", pa.string(), "what put the kept document first: source, licence, longest, …", nullable=True
        ),
    ),
    "document order of the removed document",
)

SURVIVORS = Table(
    "survivors",
    layout.SURVIVORS,
    (1, 0),
    (
        Column("doc_id", DOC_ID, "a kept document whose cluster keeps others as well"),
        Column("cluster_id", DOC_ID, "first document of the connected component of verified pairs"),
    ),
    "document order",
)

_NUMBER = Column("document", pa.int64(), "number of the document in the document order of the whole run, from 0")

_AT_WORK = "while the join is at work"

KEYS = Table(
    "keys",
    f"{layout.KEYS}, {_AT_WORK}",
    (1, 0),
    (
        Column("key", pa.uint64(), "what documents share: hash of the text or URL, key of a band; each kind its own"),
        Column("row", pa.uint32(), "a document of the shard that has it: the first one of its group"),
    ),
    "one range (record batch) for each partition of the keys, sorted by key",
    None,
)

GROUPS = Table(
    "groups",
    f"{layout.GROUPS}, {_AT_WORK}",
    (1, 0),
    (
        Column("row", pa.uint32(), "a document of the shard that shares a key with another one, or an earlier one"),
        Column("first", pa.uint32(), "the first document of the shard that it is connected with"),
    ),
    "document order",
    None,
)

LINKS = Table(
    "links",
    f"{layout.LINKS}, {_AT_WORK}",
    (1, 0),
    (_NUMBER, Column("linked", pa.int64(), "number of an earlier document of the run that it is connected with")),
    "one range (record batch) for each partition of the documents; document order",
    None,
)

COMPONENTS = Table(
    "components",
    f"{layout.COMPONENTS}, {_AT_WORK}",
    (1, 0),
    (
        Column("row", pa.uint32(), "a document of the shard that shares a key with one of another shard"),
        Column("component", pa.int64(), "number of the first document that it is connected with"),
    ),
    "one range (record batch) for each document shard; document order",
    None,
)

SETS = Table(
    "sets",
    f"{layout.SETS}, {_AT_WORK}",
    (1, 0),
    (
        _NUMBER,
        Column("doc_id", DOC_ID, "the document"),
        Column("text_hash", pa.binary(16), "hash of its text"),
        Column("num_shingles", pa.int32(), "distinct shingles"),
        Column("text_length", pa.int64(), "Unicode code points of the text"),
        Column("band_keys", pa.list_(pa.uint64()), "the key of each band of its signature"),
        Column(
            "shingles",
            pa.list_(pa.uint64()),
            "hashes of its shingles; null: those of an earlier document of the shard with the same text",
            nullable=True,
        ),
        Column("url_hash", pa.binary(16), "hash of its URL; null: none, or URLs do not count", nullable=True),
        Column("source", pa.string(), "its source, where the recipe prefers some", nullable=True),
        Column("licence", pa.string(), "its licence, where the recipe prefers some", nullable=True),
    ),
    "one range (record batch) for each part of the linked documents; document order; `keep`, the column that the "
    "recipe's `dedup.keep` names, may be one more",
    None,
)

CLUSTER_PIECES = Table(
    "cluster_pieces",
    f"{layout.PIECES}, {_AT_WORK}",
    CLUSTERS.version,
    (_NUMBER, *CLUSTERS.columns),
    f"one range (record batch) for each document shard; {CLUSTERS.order}",
    None,
)

SURVIVOR_PIECES = Table(
    "survivor_pieces",
    f"{layout.SURVIVOR_PIECES}*.arrow, {_AT_WORK}",
    SURVIVORS.version,
    (_NUMBER, *SURVIVORS.columns),
    f"one range (record batch) for each document shard; {SURVIVORS.order}",
    None,
)

REMOVED = Table(
    "removed",
    "removed.arrow of `tokenmill dedup run`",
    (1, 1),
    (
        Column("id", pa.string(), "the removed record's id; path:row where it has none"),
        Column("kept_id", pa.string(), "id of the record kept in its place"),
        Column(
            "similarity", pa.float64(), "exact Jaccard similarity of the two shingle sets; estimated with --no-verify"
        ),
        Column("intersection", pa.int32(), "shingles in both; with --no-verify, equal signature values"),
        Column("union", pa.int32(), "shingles in either; with --no-verify, signature values"),
        Column("rule", pa.string(), "exact | near | url"),
        Column(
            "cluster_id",
            pa.string(),
            "id of the first record of the connected component of verified pairs; its path:row where two have one id",
        ),
        Column("path", pa.string(), "path of the input file below the folder that all inputs share"),
        Column("row", pa.int64(), "line (JSON Lines) or row in that file, from 0"),
        Column(
            "kept_path", pa.string(), "path of the kept record's input file; null for an earlier record", nullable=True
        ),
        Column("kept_row", pa.int64(), "its line or row in that file, from 0", nullable=True),
        Column("cluster_size", pa.int64(), "number of records in the component"),
        Column(
            "chosen_by",
            pa.string(),
            "what put the kept record first: source, licence, longest, a field, first, earlier",
        ),
        Column(
            "kept_corpus",
            pa.string(),
            "earlier run or corpus that holds the kept record; null: these files",
            nullable=True,
        ),
    ),
    "input order of the removed record",
)

KEPT_CLUSTERS = Table(
    "kept_clusters",
    "clusters.arrow of `tokenmill dedup run`",
    (1, 0),
    (
        Column("id", pa.string(), "a kept record that has duplicates; path:row where it has no id"),
        Column("path", pa.string(), "path of the input file below the folder that all inputs share"),
        Column("row", pa.int64(), "line (JSON Lines) or row in that file, from 0"),
        Column(
            "cluster_id",
            pa.string(),
            "id of the first record of its connected component; its path:row where two have one id",
        ),
        Column("cluster_size", pa.int64(), "number of records in the component, for upsampling by size"),
    ),
    "input order",
)

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


def tokens_table(vocabulary_size: int) -> Table:
    """The token table for a vocabulary: uint16 ids up to 65,536 entries, uint32 above."""
    token_type = pa.uint16() if vocabulary_size <= 65_536 else pa.uint32()
    return Table(
        "tokens",
        f"{layout.TRAIN_TOKENS}, {layout.VALIDATION_TOKENS}",
        (1, 0),
        (
            Column("doc_id", DOC_ID, "the document"),
            Column("tokens", pa.large_list(token_type), "its token ids; the last is the end-of-text token"),
        ),
        "by a keyed hash of doc_id",
        compression=None,
    )


TOKENS = tokens_table(65_536)

BATCH_ROWS_KEY = "tokenmill.batch_rows"  # of DOC_INDEX: rows of each record batch of each document shard
DOC_INDEX = Table(
    "doc_index",
    layout.DOC_INDEX,
    (1, 0),
    (
        Column("doc_id", DOC_ID, "the document"),
        Column("shard", pa.int32(), "position of its shard in the sorted list of document shards"),
        Column("row", pa.int32(), "its row in that shard"),
    ),
    "doc_id",
    compression=None,
)

KEY_INDEX = Table(
    "key_index",
    layout.KEY_INDEX,
    (1, 0),
    (
        Column("key", pa.uint64(), "BLAKE2b-64 of `id` or `url`, a NUL byte, and the value"),
        Column("shard", pa.int32(), "position of the document's shard in the sorted list of document shards"),
        Column("row", pa.int32(), "its row in that shard"),
    ),
    "key",
    compression=None,
)

INDEX_MATCHES = Table(
    "index_matches",
    "the file that --output or --removed of `tokenmill dedup index` names",
    (1, 0),
    (
        Column("id", pa.string(), "the new document"),
        Column("kept_id", pa.string(), "the earlier document that it duplicates; for add, also another new one"),
        Column("kept_corpus", pa.string(), "the corpus of that document"),
        Column("similarity", pa.float64(), "exact Jaccard similarity of the two shingle sets"),
        Column("intersection", pa.int32(), "shingles in both"),
        Column("union", pa.int32(), "shingles in either"),
        Column("rule", pa.string(), "exact | near"),
    ),
    "input order of the new documents; for each, the most similar match first",
)

TABLES = (  # in the order of docs/formats.md
    DOCUMENTS,
    QUARANTINE,
    EXCLUDED,
    SIGNATURES,
    CLUSTERS,
    SURVIVORS,
    KEYS,
    GROUPS,
    LINKS,
    COMPONENTS,
    SETS,
    CLUSTER_PIECES,
    SURVIVOR_PIECES,
    SIGNALS,
    VERDICTS,
    TOKENS,
    DOC_INDEX,
    KEY_INDEX,
    INDEX_MATCHES,
    REMOVED,
    KEPT_CLUSTERS,
)


def formats_page() -> str:
    """The text of docs/formats.md."""
    lines = [
        "# Formats",
        "",
        "Every table on disk, with its columns. Generated from `pipeline/run/tables.py` by",
        "`python -m pipeline.run.tables`; a test keeps it so.",
        "",
        "Every table is an Arrow IPC file. Its schema metadata carries `tokenmill.table` (the name) and",
        "`tokenmill.format` (`major.minor`); a reader accepts its own major version only. Record batches close at",
        f"{BATCH_TEXT_BYTES >> 20} MiB of text or {BATCH_ROWS:,} rows, shards at {SHARD_TEXT_BYTES >> 20} MiB of text.",
    ]
    for table in TABLES:
        version = f"{table.version[0]}.{table.version[1]}"
        lines += ["", f"## {table.name} (format {version})", ""]
        lines += [f"Where: `{table.folder}`. Order: {table.order}. Compression: {table.compression or 'none'}.", ""]
        lines += ["| column | type | null | what it holds |", "|---|---|---|---|"]
        for column in table.columns:
            kind = str(column.type).replace("|", "\\|")
            description = column.description.replace("|", "\\|")
            lines.append(f"| `{column.name}` | {kind} | {'yes' if column.nullable else 'no'} | {description} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(formats_page())
