"""Kinds of files in the words of those who have them."""

import pytest

from pipeline.readers.raw import kinds
from pipeline.readers.records import unsupported
from pipeline.screen import kind_words
from pipeline.screen.kind_words import counted_kind, counted_reason, kinds_listed, reason_named, tally


def test_every_kind_that_is_told_by_its_bytes_has_a_word() -> None:
    told = (
        {kind for kind, _ in kinds._KINDS} | {kind for _, kind in kinds._PARTS} | {kinds.OCTETS, kinds._OPEN_DOCUMENT}
    )
    assert len(told) > 80
    assert {kind for kind in told if "(" in counted_kind(kind, 2)} == set()


def test_kinds_are_counted_in_words_and_named_by_media_type_only_without_one() -> None:
    assert counted_kind("application/pdf", 1) == "1 PDF file"
    assert counted_kind("application/java-vm", 1200) == "1,200 Java classes"
    assert counted_kind("font/woff2", 2) == "2 fonts"
    assert counted_kind("image/x-new", 2) == "2 pictures (image/x-new)"
    assert counted_kind("model/obj", 1) == "1 file (model/obj)"
    assert counted_kind("zip method 9", 3) == "3 files (zip method 9)"


def test_reasons_keep_their_names_but_for_kinds_that_are_not_read() -> None:
    assert counted_reason("empty_extraction", 4) == "empty_extraction 4"
    assert counted_reason(unsupported("image/jpeg"), 3) == "3 JPEG pictures not read"
    assert counted_reason("no_text_layer", 2) == "2 PDF files without a text layer, as scans"
    assert reason_named(unsupported("image/jpeg"), 1) == "JPEG picture"
    assert reason_named("outside_link", 2) == "links out of the folder"
    assert reason_named("output of an earlier dedup run", 2) == "output of an earlier dedup run"


def test_lists_are_largest_first_and_end_with_how_many_more_there_are() -> None:
    assert kinds_listed({"image/png": 2, "application/pdf": 12}) == "12 PDF files, 2 PNG pictures"
    assert tally({"text": 3, "html": 1200, unsupported("image/png"): 1}) == "html 1,200, text 3, 1 PNG picture not read"
    many = {f"a{number}": 1 for number in range(kind_words.MOST_KINDS + 2)}
    assert tally(many).endswith(", a7 1, and 2 more kinds")


@pytest.mark.parametrize("kind", sorted(kind_words._PLURALS))
def test_plurals_belong_to_words(kind: str) -> None:
    assert kind in kind_words._WORDS
