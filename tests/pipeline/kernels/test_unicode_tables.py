import sys
import unicodedata

import pytest

from pipeline.kernels.unicode_tables import LETTER, RANGES_FILE, SEPARATOR, SINGLE, generate, unicode_tables

COMMITTED_VERSION = "14.0.0"


def test_tables_state_their_unicode_version() -> None:
    assert unicode_tables().unicode_version == COMMITTED_VERSION


@pytest.mark.skipif(unicodedata.unidata_version != COMMITTED_VERSION, reason="this Python has another Unicode version")
def test_committed_ranges_are_what_the_generator_writes() -> None:
    assert generate() == RANGES_FILE.read_text(encoding="ascii")


@pytest.mark.skipif(unicodedata.unidata_version != COMMITTED_VERSION, reason="this Python has another Unicode version")
def test_every_code_point_agrees_with_unicodedata() -> None:
    tables = unicode_tables()
    words = 0
    for code_point in range(0, sys.maxunicode + 1):
        character = chr(code_point)
        kind, lowered = tables.lookup(code_point)
        in_word = unicodedata.category(character)[0] in "LMN" or character == "_"
        assert (kind != SEPARATOR) == in_word, hex(code_point)
        if in_word and len(character.lower()) == 1:
            assert lowered == ord(character.lower()), hex(code_point)
        words += in_word
    assert words > 130_000


@pytest.mark.parametrize("character", list("東あアーกກកမ々"))
def test_character_of_a_script_without_spaces_is_a_word(character: str) -> None:
    assert unicode_tables().lookup(ord(character))[0] == SINGLE


@pytest.mark.parametrize("character", list("aZéЖωשבहि한_9²Ⅷ"))
def test_character_of_a_script_with_spaces_is_part_of_a_word(character: str) -> None:
    assert unicode_tables().lookup(ord(character))[0] == LETTER


def test_capital_i_with_dot_lowers_to_one_code_point() -> None:
    assert unicode_tables().lookup(0x130) == (LETTER, ord("i"))
