"""Makes one document shard: reads a partition, and takes its records through the steps a slice at a time.

1. read        a part's reader gives records, damaged and excluded ones, in input order
2. URL         block and allow lists; what the page's site says of all of its pages
3. body        bytes -> text: decoding, and where it is HTML the limits, the facts, and extraction
4. normalise   line ends, invisible characters, mojibake, NFC; lines that the recipe drops
5. language    a fastText model on a sample
6. PII         counted, and replaced by placeholders
7. write       rows, in input order

What a step raises becomes one row of the quarantine; a step that takes many texts at a time is repeated one by one.
Every item that a reader gives ends in exactly one of the three tables; that is counted, and checked.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from pipeline.base import storage
from pipeline.base.errors import GateError
from pipeline.base.pool import Pool, WorkerKilledError
from pipeline.base.progress import count_done
from pipeline.clean import pii
from pipeline.clean.decode import NotText, decode
from pipeline.clean.extract import ExtractionError, Extractor
from pipeline.clean.facts.site_files import read_sites
from pipeline.clean.html_facts import Facts
from pipeline.clean.languages.identify import detect, stated_label
from pipeline.clean.lines import clean_lines
from pipeline.clean.net import guarded_step, one_by_one
from pipeline.clean.normalise import normalise
from pipeline.clean.settings import Settings
from pipeline.clean.shard import PartitionWriter
from pipeline.clean.urls import UrlRules
from pipeline.readers.parts.formats import PAPERS
from pipeline.readers.parts.part_reader import PartReader
from pipeline.readers.parts.partition import Part
from pipeline.readers.raw.ledger import DOCUMENTS, EXCLUDED, QUARANTINED
from pipeline.readers.raw.whatwg import BROKEN
from pipeline.readers.records import HEAD_BYTES, Damaged, Excluded, Item, Record
from pipeline.run.engine import Job, Outputs

# of raw text or HTML worked on at a time: each step then finds its tables in the caches for longer than it takes to
# load them (the language model's alone cost a third of its time in slices of 1 MiB)
SLICE_BYTES = 8 << 20
SLICE_ITEMS = 4096
MOST_OF_A_CODE = 40  # characters of a language code that is not known, and as many codes are counted by name
SITE_FILES = {"robots": "robots_txt", "tdmrep": "tdmrep"}  # what a reader calls them, and why they are no document
WEAK_EVIDENCE = ("link", "rdf", "words")  # of a page's licence: the recipe's own word goes before
NO_PII = {f"pii_{kind}": 0 for kind in pii.KINDS}


def clean_partition(job: Job, outputs: Outputs) -> None:
    """Cleans one partition; the engine's step function.

    A job with the argument ``careful`` has killed its worker: what ends a process is then found out, and left out.
    """
    settings = Settings.from_config(job.config)
    parts = [Part(**part) for part in job.config["parts"]]
    deadly = deadly_parts(job, parts) if job.arguments.get("careful") else frozenset()
    planned = {path: (size, version) for path, (size, version) in job.arguments.get("versions", {}).items()}
    names = job.arguments.get("names", {})
    reader = PartReader(job.arguments["root"], settings.read_options(), names, deadly=deadly, planned=planned)
    writer = PartitionWriter(outputs, job.shard, settings.source.name)
    cleaner = Cleaner(settings, **{name: job.arguments.get(name) for name in ("lists", "robots", "language_model")})
    records_in = papers_lost = 0
    for part in parts:
        for items in slices(reader.read(part)):
            records_in += len(items)
            cleaner.work(items, writer)
            count_done(len(items))
        lost = -writer.tally.bytes_of[QUARANTINED]
        writer.tally.settle(reader.ledger)
        if part.format in PAPERS:
            papers_lost += lost + writer.tally.bytes_of[QUARANTINED]
    outputs.count(bytes_of_papers_quarantined=papers_lost)
    writer.close()
    _count(outputs, writer, cleaner, reader, records_in)
    outputs.read.update(reader.digests)


def deadly_parts(job: Job, parts: Sequence[Part]) -> frozenset[str]:
    """Keys of the parts that end the process which cleans them; each is tried in one of its own, and thrown away."""
    deadly = set()
    arguments = {name: value for name, value in job.arguments.items() if name != "careful"}
    with Pool(1, fork=True, tries=1) as pool:
        for part in parts:
            alone = Job(job.shard, {**job.config, "parts": [asdict(part)]}, job.inputs, arguments)
            try:
                list(pool.run(_try, [((alone,), part)]))
            except WorkerKilledError:
                deadly.add(part.key)
    return frozenset(deadly)


def _try(job: Job) -> None:
    with tempfile.TemporaryDirectory(prefix="tokenmill-careful-") as folder:
        outputs = Outputs(folder, job)
        clean_partition(job, outputs)
        outputs.discard()


def _count(outputs: Outputs, writer: PartitionWriter, cleaner: "Cleaner", reader: PartReader, records_in: int) -> None:
    quarantined, excluded = writer.quarantined.total(), writer.excluded.total()
    if records_in != writer.documents + excluded + quarantined:
        raise GateError(
            f"clean lost records: {records_in:,} in, but {writer.documents:,} documents + {excluded:,} excluded + "
            f"{quarantined:,} quarantined; this is a fault of tokenmill"
        )
    outputs.count(
        records_in=records_in,
        documents=writer.documents,
        excluded=excluded,
        quarantined=quarantined,
        text_bytes=writer.text_bytes,
        mojibake_repaired=cleaner.repaired,
        decoded_as=dict(cleaner.decoded_as),
        pii=dict(cleaner.pii),
        excluded_reasons=dict(writer.excluded),
        quarantined_reasons=dict(writer.quarantined),
        **writer.tally.counts(),
        **_told_of_fields(reader, cleaner),
    )


def _told_of_fields(reader: PartReader, cleaner: "Cleaner") -> dict[str, Any]:
    """What the stage tells of a source's ``language``, ``metadata`` and globs of members; nothing without these."""
    told: dict[str, Any] = {}
    if "language" in cleaner.source.fields:
        told["languages_stated"] = cleaner.stated_languages
        told["languages_unknown"] = dict(cleaner.unknown_languages.most_common(MOST_OF_A_CODE))
    if cleaner.source.metadata is not None:
        kept = reader.options.fields.kept
        told["metadata_kept"] = {cleaner.source.name: {name: kept[name] for name in cleaner.source.metadata}}
    if (members := reader.options.members) is not None:
        told["members_named"] = {cleaner.source.name: dict(members.counts)}
    return told


def _each(items: Iterable[Item]) -> Iterator[Item]:
    """The items; in the place of a record of which the recipe makes several documents, these."""
    for item in items:
        if isinstance(item, Record) and item.parts is not None:
            yield from item.parts
        else:
            yield item


def slices(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Groups items, so that a step has many to work on and the memory is bounded; a large record is alone."""
    group: list[Item] = []
    size = 0
    for item in _each(items):
        given = max(len(item.text) + len(item.body or b""), item.weight) if isinstance(item, Record) else 0
        if given >= SLICE_BYTES and group:
            yield group
            group, size = [], 0
        group.append(item)
        size += given
        del item
        if size >= SLICE_BYTES or len(group) >= SLICE_ITEMS:
            yield group
            group, size = [], 0
    if group:
        yield group


class Cleaner:
    """The steps, with what they keep between slices.

    Args:
        settings: The recipe's part.
        lists: Where the URL lists lie.
        robots: Folder of robots.txt files.
        language_model: Where the recipe's own model lies.
    """

    def __init__(
        self,
        settings: Settings,
        lists: dict[str, str] | None = None,
        robots: str | None = None,
        language_model: str | None = None,
    ) -> None:
        self._language_model = None if language_model is None else str(storage.open_local(language_model))
        self.options = settings.clean
        self.source = settings.source
        self.repaired = 0
        self.pii: Counter[str] = Counter()
        self.decoded_as: Counter[str] = Counter()
        self.stated_languages = 0
        self.unknown_languages: Counter[str] = Counter()
        self._extractor: Extractor | None = None
        options = settings.clean
        listed = options.url_block or options.url_allow or options.url_only_allowed
        self._sites = read_sites(robots, options.robots_agents)
        self._urls: UrlRules | None = None
        if listed:
            self._urls = UrlRules(options.url_block, options.url_allow, options.url_only_allowed, lists or {})

    def work(self, items: list[Item], writer: PartitionWriter) -> None:
        """Takes one slice of items through all steps and writes them in order."""
        stood_for = [_weight(item) for item in items]
        items, rows = self.cleaned(items)
        for item, weight in zip(items, stood_for, strict=True):
            if isinstance(item, Damaged):
                writer.damaged(item)
                writer.tally.add(QUARANTINED, *weight)
            elif isinstance(item, Excluded):
                writer.exclude(item)
                writer.tally.add(EXCLUDED, *weight)
            else:
                kept = writer.document(item, rows[id(item)])
                writer.tally.add(DOCUMENTS if kept else QUARANTINED, *weight)

    def cleaned(self, items: list[Item]) -> tuple[list[Item], dict[int, dict[str, Any]]]:
        """What one slice of items becomes, in order, and the computed columns of each document by its ``id()``."""
        if self._urls is not None:
            items = [guarded_step(self._wanted, item) for item in items]
        if len(self._sites) or any(isinstance(item, Record) and item.body_type in SITE_FILES for item in items):
            items = [guarded_step(self._of_its_site, item) for item in items]
        if any(isinstance(item, Record) and item.body is not None for item in items):
            for step in (self._decode, self._extract):
                items = [guarded_step(partial(_with_body, step), item) for item in items]
        items = self._together(self._normalise, items)
        rows: dict[int, dict[str, Any]] = {}
        return self._together(lambda records: self._columns(records, rows), items), rows

    def read_body(self, item: Item) -> Item:
        """An item as the first steps leave it: a body of bytes is decoded, and where it is HTML its text extracted."""
        for step in (self._decode, self._extract):
            item = guarded_step(partial(_with_body, step), item)
        return item

    @staticmethod
    def _together(work: Callable[[list[Record]], list[Item]], items: list[Item]) -> list[Item]:
        """The items, with what ``work`` makes of all records among them."""
        records = [item for item in items if isinstance(item, Record)]
        made = iter(one_by_one(work, records) if records else [])
        return [next(made) if isinstance(item, Record) else item for item in items]

    def _normalise(self, records: list[Record]) -> list[Item]:
        texts, repaired = normalise(_taken_texts(records), fix_mojibake=self.options.fix_mojibake)
        if self.options.clean_lines:
            texts = [clean_lines(text, self.options.clean_lines) for text in texts]
        self.repaired += repaired
        return [_with_text(record, text) for record, text in zip(records, texts, strict=True)]

    def _columns(self, records: list[Record], rows: dict[int, dict[str, Any]]) -> list[Item]:
        """Puts the computed columns of each document into ``rows``; replaces personal data in its text."""
        texts = _taken_texts(records)
        languages, scores = self._languages(records, texts)
        found = {} if self.options.pii == "off" else pii.find(texts, self.options.national_ids)
        if self.options.pii == "replace":
            for number, (text, spans) in found.items():
                texts[number] = ""
                texts[number] = pii.replace(text, spans)
        for number, record in enumerate(records):
            row: dict[str, Any] = {"language": languages[number], "language_score": scores[number], **NO_PII}
            for _, _, kind in found[number][1] if number in found else ():
                row[f"pii_{kind}"] += 1
                self.pii[kind] += 1
            record.text = texts[number]
            row |= record.columns or {}
            row["replaced_share"] = replaced_share(record.text)
            if (encoding := row.get("decoded_as")) is not None:
                self.decoded_as[encoding] += 1
            if record.language and row.get("declared_language") is None:
                row["declared_language"] = record.language
            rows[id(record)] = row
        return list(records)

    def _told(self, texts: list[str]) -> tuple[list[str | None], list[float | None]]:
        options = self.options
        return detect(texts, options.language_characters, self._language_model, options.language_labels)

    def _languages(self, records: list[Record], texts: list[str]) -> tuple[list[str | None], list[float | None]]:
        """The language of each text and how sure it is: null where a record states it itself."""
        if "language" not in self.source.fields:
            return self._told(texts)
        languages = [stated_label(record.language) if record.language else None for record in records]
        told = (record.language for record, label in zip(records, languages, strict=True) if label is None)
        self.unknown_languages.update(word[:MOST_OF_A_CODE] for word in told if word)
        unknown = [number for number, label in enumerate(languages) if label is None]
        scores: list[float | None] = [None] * len(texts)
        found = self._told([texts[number] for number in unknown])
        for number, label, score in zip(unknown, *found, strict=True):
            languages[number], scores[number] = label, score
        self.stated_languages += len(texts) - len(unknown)
        return languages, scores

    def _wanted(self, record: Record) -> Item:
        assert self._urls is not None, "no lists"
        refused = self._urls.refuses(record.url)
        return record if refused is None else Excluded(record.path, record.offset, "url_list", refused, record.url)

    def _of_its_site(self, record: Record) -> Item:
        """Excludes a page that its site reserves; a robots.txt is no page, and counts for the pages after it."""
        if record.body_type in SITE_FILES:
            text = (record.body or b"").decode("utf-8", "replace")
            self._sites.add(urlsplit(record.url or "").netloc.rpartition("@")[2], record.body_type, text)
            return Excluded(record.path, record.offset, SITE_FILES[record.body_type], None, record.url)
        reserved = self._sites.reserves(record.url)
        if reserved is None or reserved[0] not in self.options.opt_outs:
            return record
        return Excluded(record.path, record.offset, "opt_out", f"{reserved[0]}: {reserved[1]}", record.url)

    def _decode(self, record: Record) -> Item:
        """The record with its text, or with the HTML of its page; an excluded item where the page opts out."""
        if record.body_type == "html":
            excluded = self._look(record)
            if excluded is not None:
                return excluded
        else:
            record.text, encoding, _ = decode(record.body or b"", record.charset)
            record.body, record.columns = None, {"decoded_as": encoding, **(record.columns or {})}
        if record.licence is None and self.source.licence is not None:
            record.licence, record.licence_evidence = self.source.licence, "recipe"
        return record

    def _look(self, record: Record) -> Excluded | None:
        """Makes the record's text the page's HTML, and fills in what the page says about itself."""
        if self._extractor is None:
            self._extractor = Extractor(self.options)
        page = self._extractor.look(record)
        facts = page.facts
        refused = [mark for mark in (facts.opt_out or "").split(",") if mark in self.options.opt_outs]
        if refused:
            return Excluded(record.path, record.offset, "opt_out", ",".join(refused), record.url)
        # a bare link is weaker than the recipe's own word
        if facts.licence and not (facts.licence_evidence in WEAK_EVIDENCE and self.source.licence):
            record.licence, record.licence_evidence = facts.licence, facts.licence_evidence
        if facts.date:
            record.crawl_date = record.crawl_date or record.date
            record.date, record.date_from = facts.date, facts.date_from
        record.text, record.columns = page.html, {"decoded_as": page.decoded_as, **_page_columns(facts)}
        return None

    def _extract(self, record: Record) -> Item:
        """The record with the text of its page."""
        assert self._extractor is not None, "a page was looked at without an extractor"
        found = self._extractor.text(record.text)
        record.text, record.body = found.text, None
        record.columns = {**(record.columns or {}), "page_type": found.page_type, "extraction_score": found.score}
        return record


def _taken_texts(records: list[Record]) -> list[str]:
    """The texts of records; a lone record, which may be large, keeps but its text's head, in case that a step fails."""
    texts = [record.text for record in records]
    if len(records) == 1:
        records[0].text = texts[0][:HEAD_BYTES]
    return texts


def replaced_share(text: str) -> float:
    """Share of a text's characters that are U+FFFD: what stands for broken bytes, here or where the text came from."""
    return 0.0 if text.isascii() else text.count(BROKEN) / len(text)


def _weight(item: Item) -> tuple[int | None, int | None, int]:
    """What a reader's item stands for, as the tally counts it."""
    return (item.length, item.lost, item.given) if isinstance(item, Damaged) else (item.length, None, 0)


def _with_body(step: Callable[[Record], Item], record: Record) -> Item:
    """What a step makes of a record that has a body still; any other record as it is."""
    if record.body is None:
        return record
    try:
        return step(record)
    except NotText as error:
        reason, detail = "not_text", str(error)
    except ExtractionError as error:
        reason, detail = error.reason, str(error)
    return Damaged(record.path, record.offset, len(record.body), reason, detail, record.body)


def _with_text(record: Record, text: str) -> Item:
    """The record with its normalised text; an excluded item where nothing is left of it."""
    record.text = text
    if text:
        return record
    reason = "empty_extraction" if record.body_type == "html" else "empty"
    return Excluded(record.path, record.offset, reason, None, record.url)


def _page_columns(facts: Facts) -> dict[str, Any]:
    return {
        "title": facts.title,
        "canonical_url": facts.canonical_url,
        "declared_language": facts.language,
        "robots": facts.robots,
        "opt_out": facts.opt_out,
    }
