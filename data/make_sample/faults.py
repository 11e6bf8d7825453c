"""Records that a run must set aside, quarantine or drop: real ones, damaged on purpose, and what becomes of each."""

import email
import json
import re
from typing import Any

from packages import Cache
from web import Page, WarcFile

Expected = list[dict[str, Any]]

# business offers that name no private person; some are two or three mailings of one text
SPAM = ("00035", "00036", "00064", "00065", "00066", "00067", "00084", "00093", "00102", "00108")
DAMAGED_BYTES = 64


def _row(record: str, outcome: str, reason: str | None, note: str, **more: Any) -> dict[str, Any]:
    return {"record": record, "outcome": outcome, "reason": reason, "note": note, **more}


def faulty_warc(pages: list[Page], icon: bytes) -> tuple[bytes, Expected]:
    """A small WARC with everything that a crawl holds and a corpus does not want.

    Args:
        pages: At least six ordinary pages.
        icon: A picture.
    """
    file, rows = WarcFile("tokenmill data/make_sample"), []
    first = pages[0]
    site = first.url.rpartition("/")[0]

    file.info("web.warc.gz", "Real pages, some of them damaged on purpose; see expected.json", first.mtime)
    rows.append(_row("warcinfo", "excluded", "record_type", "every WARC begins with one"))
    file.request(first.url, first.mtime)
    rows.append(_row(first.url, "excluded", "record_type", "the request of the page that follows"))

    def add(url: str, body: bytes, outcome: str, reason: str | None, note: str, **http: Any) -> None:
        file.response(url, body, first.mtime, **http)
        rows.append(_row(url, outcome, reason, note))

    add(first.url, first.body, "document", None, "an ordinary page")
    gone = b"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1>"
    gone += b"<p>The requested URL was not found on this server.</p></body></html>\n"
    add(f"{site}/gone.html", gone, "excluded", "status", "HTTP 404", status="404 Not Found")
    moved = {"Location": first.url}
    add(f"{site}/old.html", b"", "excluded", "status", "HTTP 301", status="301 Moved Permanently", headers=moved)
    picture = {"Content-Type": "image/gif"}
    add(f"{site}/arrow.gif", icon, "excluded", "content_type", "a picture", headers=picture)
    marked = pages[1].body.replace(b"<head>", b'<head><meta name="robots" content="noai, noimageai" />', 1)
    add(pages[1].url, marked, "excluded", "opt_out", "a robots meta tag with noai")
    tagged = {"X-Robots-Tag": "noai"}
    add(pages[2].url, pages[2].body, "excluded", "opt_out", "an X-Robots-Tag header with noai", headers=tagged)
    hollow = re.sub(rb"(<body[^>]*>).*(</body>)", rb"\1\2", pages[3].body, flags=re.S)
    add(f"{site}/hollow.html", hollow, "excluded", "empty_extraction", "a page with a head and an empty body")
    latin = (
        pages[4].body.decode().replace("charset=UTF-8", "charset=ISO-8859-1", 1).encode("latin-1", "xmlcharrefreplace")
    )
    latin = latin.replace(b'encoding="UTF-8"', b'encoding="ISO-8859-1"', 1)
    latin_type = {"Content-Type": "text/html; charset=ISO-8859-1"}
    add(pages[4].url, latin, "document", None, "a page in ISO-8859-1, declared", headers=latin_type)

    add(f"{site}/damaged.html", pages[3].body, "quarantined", "corrupt_compression", "overwritten in mid member")
    damaged = len(file.starts) - 1
    add(pages[5].url, pages[5].body, "document", None, "an ordinary page after the damaged member")

    data, middle = bytearray(file.data()), (file.starts[damaged] + file.starts[damaged + 1]) // 2
    data[middle : middle + DAMAGED_BYTES] = b"\xff" * DAMAGED_BYTES
    for row, start in zip(rows, file.starts, strict=True):
        row["offset"] = start
    return bytes(data), rows


def faulty_records(leads: list[dict[str, Any]], french: dict[str, Any], short: str) -> tuple[bytes, Expected]:
    """JSON lines, most of them broken in one way each.

    Args:
        leads: Three English leads; the first also stands in the Parquet file.
        french: A French lead with accents.
        short: A text of a few words.
    """
    lines: list[bytes] = []
    rows: Expected = []

    def add(line: bytes, record: str, outcome: str, reason: str | None, note: str, **more: Any) -> None:
        rows.append(_row(record, outcome, reason, note, line=len(lines) + 1, offset=sum(map(len, lines)), **more))
        lines.append(line + b"\n")

    def record(identifier: str, text: Any, lead: dict[str, Any]) -> dict[str, Any]:
        return {"id": identifier, "text": text, "url": lead["url"], "licence": "CC-BY-SA-4.0"}

    def good(identifier: str, text: str, lead: dict[str, Any], note: str, **more: Any) -> None:
        add(_json(record(identifier, text, lead)), identifier, "document", None, note, **more)

    same, edited, whole = leads
    duplicate_of = {"stage": "dedup", "rule": "exact", "of": same["url"]}
    good("copy", same["extract"], same, "the text of a record of wikipedia-en.parquet", then=duplicate_of)
    near_of = {"stage": "dedup", "rule": "near", "of": "revision"}
    good("original", edited["extract"], edited, "an ordinary record; the longer one that follows is kept", then=near_of)
    changed = edited["extract"].rstrip(".") + ", as of this revision."
    good("revision", changed, edited, "the record before, its last sentence edited")
    half = _json(record("half", whole["extract"], whole))
    add(half[: len(half) // 2], "half", "quarantined", "json_invalid", "half a line")
    add(_json([whole["title"], whole["extract"]]), "list", "quarantined", "json_not_object", "a list, not an object")
    add(_json({"id": "textless", "url": whole["url"]}), "textless", "quarantined", "missing_text", "no text field")
    add(_json(record("number", 1861, whole)), "number", "quarantined", "wrong_type", "the text is a number")
    latin = _json(record("latin-1", french["extract"], french)).decode().encode("latin-1", "ignore")
    add(latin, "latin-1", "quarantined", "not_utf8", "a French record in ISO-8859-1")
    add(_json(record("empty", "", whole)), "empty", "excluded", "empty", "an empty text")
    too_short = {"stage": "filter", "reason": "gopher_quality.min_words"}
    good("short", short, whole, "a few words", then=too_short)
    return b"".join(lines), rows


def spam(cache: Cache) -> tuple[bytes, int]:
    """Unwanted mail as JSON lines, and how many: a filter's material, and near-duplicates by nature."""
    lines = []
    for member in cache.members("spam-assassin", rf"data/spam-2/(?:{'|'.join(SPAM)})\..*\.txt$"):
        message = email.message_from_bytes(member.data)
        payload = message.get_payload(decode=True)
        assert isinstance(payload, bytes)
        number = member.path.rpartition("/")[2].partition(".")[0]
        row = {"id": f"spam-2/{number}", "subject": message["Subject"], "body": payload.decode("latin-1").strip()}
        lines.append(_json(row) + b"\n")
    return b"".join(lines), len(lines)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
