"""No faulty file ends the process that reads it, hangs, or loses a byte: some known ones, some new ones every day."""

import datetime

import pytest

from tests.fuzz.files import faulty, seeds
from tests.fuzz.run import search
from tests.fuzz.trial import complaints


def test_sound_files_give_no_complaint(tmp_path):  # type: ignore[no-untyped-def]
    assert len(seeds()) > 30
    for name, data in seeds().items():
        assert list(complaints(tmp_path, name, data)) == [], name


def test_file_belongs_to_its_number() -> None:
    assert faulty(7) == faulty(7)
    assert len({faulty(number) for number in range(200)}) > 190


@pytest.mark.parametrize("first", [0, datetime.date.today().toordinal() * 1_000_000])
def test_faulty_files_are_read(first: int) -> None:
    findings = search("files", first, 5)
    assert findings.tried > 0
    assert findings.lines() == []
