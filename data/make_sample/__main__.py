"""Builds data/sample from downloaded packages: ``python data/make_sample --cache FOLDER``.

The same packages give the same bytes (with the same pyarrow, warcio and zlib).  docs/sample-data.md says what is in
it; data/sample/README.md states the licences and is written by hand.
"""

import argparse
import gzip
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from faults import faulty_records, faulty_warc, spam
from packages import Cache
from web import Page, pages, revisions, take, warc
from wikipedia import articles, leads

SAMPLE = Path(__file__).resolve().parent.parent / "sample"
MB = 1_000_000
HANDBOOK = r"debian-handbook/html/(?P<key>(?P<lang>(?:en-US|de-DE|es-ES|fr-FR))/(?!ix|index|.*-index)[^/]+\.html)$"
APACHE = (
    r"apache2-doc/manual/(?P<key>(?P<lang>en|fr|es|de|ja|ko|tr)/(?!sitemap|mod/(?:directives|quickreference)).+\.html)$"
)
POSTGRES = r"postgresql-doc-15/html/(?P<key>(?!bookindex|index|features|errcodes|release-)[^/]+\.html)$"
CHAPTERS = r"cfi-en/html/(?P<key>ch(?:1|2|8|14)web\.htm)$"
FUNCTION_WORDS = {
    "en": re.compile(r"\b(?:the|of|and|is)\b"),
    "de": re.compile(r"\b(?:der|die|und|ist)\b"),
    "es": re.compile(r"\b(?:el|de|y|los)\b"),
    "fr": re.compile(r"\b(?:le|de|et|les)\b"),
}


class Sample:
    """The folder that is written, and what a run must make of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, dict[str, Any]] = {}

    def add(self, name: str, data: bytes, source: str, documents: int, excluded: int = 0, **more: Any) -> None:
        """Writes a file and notes its records."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        quarantined = more.pop("quarantined", 0)
        self.files[name] = {
            "source": source,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "records": documents + excluded + quarantined,
            "documents": documents,
            "excluded": excluded,
            "quarantined": quarantined,
            **more,
        }

    def add_with_faults(self, name: str, data: bytes, source: str, rows: list[dict[str, Any]]) -> None:
        """Writes a file whose every record has a stated outcome."""
        count = {kind: sum(row["outcome"] == kind for row in rows) for kind in ("document", "excluded", "quarantined")}
        numbers = {"excluded": count["excluded"], "quarantined": count["quarantined"]}
        self.add(name, data, source, count["document"], **numbers, outcomes=rows)


def add_wikipedia(sample: Sample, cache: Cache) -> list[dict[str, Any]]:
    """The Parquet file of English text and the JSON lines in French, Spanish and some English; returns the leads."""
    english = leads(cache, "en-us", int(2.6 * MB))
    rows = articles(cache)
    for lead in english:
        rows.append(
            {
                "id": f"en/{lead['title']}",
                "title": lead["title"],
                "text": lead["extract"],
                "url": lead["url"],
                "date": None,
                "licence": "CC-BY-SA-4.0",
            }
        )
    names = ("id", "title", "text", "url", "date", "licence")
    table = pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in names})
    sink = pa.BufferOutputStream()
    options = {"compression": "zstd", "compression_level": 22, "use_dictionary": ["licence"], "data_page_size": 1 << 26}
    pq.write_table(table, sink, row_group_size=len(rows) // 2 + 1, **options)
    sample.add("wikipedia-en.parquet", sink.getvalue().to_pybytes(), "wikipedia-en", len(rows))

    # forty English leads stand in both files, as they do in overlapping dumps
    mixed = leads(cache, "fr-fr", int(1.8 * MB)) + leads(cache, "es-es", int(1.5 * MB)) + english[:40]
    mixed.sort(key=lambda lead: hashlib.sha1(lead["url"].encode()).digest())
    lines = "".join(json.dumps(lead, ensure_ascii=False) + "\n" for lead in mixed).encode()
    data = gzip.compress(lines, 9, mtime=0)
    languages = {code: sum(lead["language"] == code for lead in mixed) for code in ("en", "fr", "es")}
    copies = [lead["url"] for lead in english[:40]]
    sample.add(
        "wikipedia-leads.jsonl.gz", data, "wikipedia-leads", len(mixed), languages=languages, also_in_parquet=copies
    )
    return english


def add_manuals(sample: Sample, cache: Cache) -> list[Page]:
    """Three WARC files of manuals; returns handbook pages that are in none of them."""
    newer = pages(cache, "apache2-doc", APACHE, "apache2-doc.example", "2.4.71")
    older = pages(cache, "apache2-doc-old", APACHE, "apache2-doc.example", "2.4.68")
    prose = [page for page in newer if "/mod/" not in page.key]
    budgets = {"en": 1.3 * MB, "fr": 0.6 * MB, "es": 0.6 * MB, "de": 0.8 * MB, "ja": 80_000, "ko": 80_000, "tr": 80_000}
    chosen = [page for language, budget in budgets.items() for page in take(prose, language, int(budget))]
    add_manual(
        sample,
        "apache-manual.warc.gz",
        "apache-manual",
        "Apache HTTP Server manual",
        chosen,
        revisions(older, chosen, 28),
    )

    newer = pages(cache, "postgresql-doc", POSTGRES, "postgresql-doc.example", "15.20")
    older = pages(cache, "postgresql-doc-old", POSTGRES, "postgresql-doc.example", "15.18")
    chosen = take(newer, "en", int(0.8 * MB))
    add_manual(
        sample,
        "postgresql-manual.warc.gz",
        "postgresql-manual",
        "PostgreSQL manual",
        chosen,
        revisions(older, chosen, 12),
    )

    found = pages(cache, "debian-handbook", HANDBOOK, "debian-handbook.example", "11")
    found = [page for page in found if is_translated(page)]
    budgets = {"en": 0.3 * MB, "fr": 0.3 * MB, "es": 0.3 * MB, "de": 1.2 * MB}
    chosen = [page for language, budget in budgets.items() for page in take(found, language, int(budget))]
    add_manual(sample, "debian-handbook.warc.gz", "debian-handbook", "The Debian Administrator's Handbook", chosen, [])
    taken = {page.key for page in chosen}
    return [
        page for page in found if page.key not in taken and 6000 < len(page.body) < 15_000 and page.language == "fr"
    ]


def add_manual(sample: Sample, name: str, source: str, title: str, chosen: list[Page], old: list[Page]) -> None:
    """One WARC, with the older release of some of its pages."""
    data = warc(name, f"{title}, pages of Debian packages; see data/sample/README.md", chosen + old)
    bodies = {page.key: page for page in chosen}
    pairs = [
        {"a": bodies[page.key].url, "b": page.url, "identical": page.body == bodies[page.key].body} for page in old
    ]
    languages = {
        code: sum(page.language == code for page in chosen + old) for code in ("en", "fr", "es", "de", "ja", "ko", "tr")
    }
    more = {"languages": {code: number for code, number in languages.items() if number}, "two_releases": pairs}
    sample.add(name, data, source, len(chosen) + len(old), 1, **more)


def is_translated(page: Page) -> bool:
    """Whether a page of the handbook is in its language, and not still in English."""
    text = re.sub(r"<[^>]*>", " ", page.body.decode())
    found = {language: len(words.findall(text)) for language, words in FUNCTION_WORDS.items()}
    return page.language == "en" or found[page.language] > 2 * found["en"]


def add_files(sample: Sample, cache: Cache) -> None:
    """A folder of HTML files and one of plain text."""
    for member in cache.members("cfi-en", CHAPTERS):
        name = member.path.rpartition("/")[2]
        sample.add(f"html/{name}", member.data, "cfi-en", 1)
    for name, target in (("alice29", "alice-in-wonderland"), ("asyoulik", "as-you-like-it")):
        sample.add(f"text/{target}.txt", cache.member("brotli", rf"testdata/{name}\.txt$").data, "books", 1)
    devil = gzip.decompress(cache.member("dict-devil", r"devil\.dict\.dz$").data).decode("utf-8")
    start, end = devil.index("ABASEMENT, n."), devil.index("GALLOWS, n.")
    sample.add("text/devils-dictionary-a-f.txt", devil[start:end].encode(), "books", 1)


def add_faults(sample: Sample, cache: Cache, english: list[dict[str, Any]], spare: list[Page]) -> None:
    """The small files with records that must not reach the model."""
    icon = cache.member("cfi-en", r"arrowleft\.gif$").data
    data, rows = faulty_warc(spare, icon)
    sample.add_with_faults("faults/web.warc.gz", data, "faulty-web", rows)
    taken = {lead["title"] for lead in english}
    unused = [lead for lead in leads(cache, "en-us", 4 * MB) if lead["title"] not in taken]
    long = [lead for lead in unused if len(lead["extract"].split()) > 120]
    same = next(lead for lead in english[40:] if len(lead["extract"].split()) > 120)
    french = next(lead for lead in leads(cache, "fr-fr", 2 * MB) if lead["extract"].count("é") > 5)
    data, rows = faulty_records([same, *long[:2]], french, english[0]["title"])
    sample.add_with_faults("faults/records.jsonl", data, "faulty-records", rows)
    sample.add("faults/empty.jsonl", b"", "faulty-records", 0)
    data, number = spam(cache)
    sample.add("mail/spam.jsonl", data, "mail", number)


def main() -> None:
    """Writes every file of the sample and ``expected.json``."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder with the downloaded packages")
    parser.add_argument("--out", type=Path, default=SAMPLE, help="folder to write (default: data/sample)")
    arguments = parser.parse_args()
    cache, sample = Cache(arguments.cache), Sample(arguments.out)
    english = add_wikipedia(sample, cache)
    spare = add_manuals(sample, cache)
    add_files(sample, cache)
    add_faults(sample, cache, english, spare)
    files = dict(sorted(sample.files.items()))
    totals = {
        key: sum(file[key] for file in files.values())
        for key in ("bytes", "records", "documents", "excluded", "quarantined")
    }
    expected = {"version": 1, "totals": totals, "files": files}
    text = json.dumps(expected, indent=1, ensure_ascii=False) + "\n"
    (arguments.out / "expected.json").write_text(text, encoding="utf-8")
    for name, file in files.items():
        sys.stdout.write(f"{file['bytes']:>9,} {file['records']:>6,} records  {name}\n")
    sys.stdout.write(f"{totals}\n")


if __name__ == "__main__":
    main()
