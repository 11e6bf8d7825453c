"""A large file of which the sample reads the beginning alone: the record that is cut there is sound in its file."""

import csv
import gzip
import io
import json
from pathlib import Path

import pytest

from pipeline.base.pool import InProcess
from pipeline.proposal.estimate import Sample, of_presets

WORDS = 'The valve on the third pump, "number {}",\nis closed by hand before the filter is taken out.'
PIECE = 30_000


def json_lines() -> bytes:
    return b"".join(json.dumps({"text": WORDS.format(number)}).encode() + b"\n" for number in range(2000))


def table(delimiter: str) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(["id", "text"])
    writer.writerows([number, WORDS.format(number)] for number in range(2000))
    return out.getvalue().encode()


def warc(member: bool) -> bytes:
    records = []
    for number in range(400):
        page = f"<html><body><p>{WORDS.format(number)}</p><p>{WORDS.format(-number)}</p></body></html>"
        http = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n{page}"
        head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.example/{number}{'a' * 200}\r\n"
        record = f"{head}Content-Type: application/http\r\nContent-Length: {len(http)}\r\n\r\n{http}\r\n\r\n".encode()
        records.append(gzip.compress(record, 0) if member else record)
    return b"".join(records)


FILES = {
    "a.jsonl": json_lines,
    "a.jsonl.gz": lambda: gzip.compress(json_lines(), 0),
    "a.csv": lambda: table(","),
    "a.csv.gz": lambda: gzip.compress(table(","), 0),
    "a.tsv": lambda: table("\t"),
    "a.warc": lambda: warc(False),
    "a.warc.gz": lambda: warc(True),
}


def sampled(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: bytes, piece: int) -> Sample:
    monkeypatch.setattr("pipeline.proposal.sample.SAMPLE_BYTES", 2 * PIECE)
    monkeypatch.setattr("pipeline.proposal.sample.PIECE_BYTES", piece)
    monkeypatch.setattr("pipeline.proposal.estimate.Pool", lambda _workers: InProcess())  # to start one takes longer
    (folder / "in").mkdir(exist_ok=True)
    (folder / "in" / name).write_bytes(data)
    return of_presets([{"name": "files", "paths": [str(folder / "in")]}], 1).sample


@pytest.mark.parametrize("piece", [PIECE, PIECE + 37, PIECE + 201, PIECE + 333])
@pytest.mark.parametrize("name", FILES)
def test_record_at_the_end_of_a_piece_is_not_told_as_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, piece: int
) -> None:
    found = sampled(tmp_path, monkeypatch, name, FILES[name](), piece)
    assert 20 < found.documents <= found.records < 400
    assert (found.quarantined, found.damaged_places, found.damaged_share) == ({}, [], 0.0)


def test_damage_before_the_end_of_a_piece_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = sampled(tmp_path, monkeypatch, "a.jsonl", b'{"text": "a broken line\n' + json_lines(), PIECE)
    assert found.quarantined == {"json_invalid": 1}
    assert found.damaged_places == ["json_invalid: a.jsonl"]
    assert 0 < found.damaged_share < 0.1


def test_file_that_ends_early_and_is_read_whole_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = sampled(tmp_path, monkeypatch, "a.jsonl.gz", gzip.compress(json_lines(), 0)[:PIECE], 2 * PIECE)
    assert found.quarantined == {"truncated": 1}
