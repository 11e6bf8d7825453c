"""Tables of the clean stage: documents, and what was damaged or not wanted."""

import pyarrow as pa

from pipeline.run import layout
from pipeline.run.table_files import Column, Table
from pipeline.run.tables.limits import DOC_ID

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
            "label of the language, or of what the record states; null where the text is in none that can be told",
            nullable=True,
        ),
        Column(
            "language_score",
            pa.float32(),
            "how sure that label is, 0 to 1, on one scale for all languages; null where the record states it",
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
