"""The one door to a tokenizer: the state that somebody left in its file changes no id."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer as Theirs
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from pipeline.base.errors import FormatError
from pipeline.run.tokenizer import Tokenizer, special_tokens

TEXT = "the mill <|end|> grinds <pad> grain"


@pytest.fixture
def theirs() -> Theirs:
    tokenizer = Theirs(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|end|>", "<pad>"]
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(["the mill grinds grain"] * 3, trainer)
    return tokenizer


def test_state_of_the_file_changes_no_id(theirs: Theirs) -> None:
    plain = Tokenizer(theirs.to_str())
    expected = plain.ids(TEXT)
    theirs.enable_padding(length=64, pad_id=1, pad_token="<pad>")
    theirs.enable_truncation(8)
    theirs.post_processor = processors.TemplateProcessing("<|end|> $A <|end|>", special_tokens=[("<|end|>", 0)])
    opened = Tokenizer(theirs.to_str())
    assert opened.ids(TEXT) == opened.ids_of([TEXT, "a"])[0] == opened.offsets(TEXT)[0] == expected
    assert len(expected) > 8
    assert not {0, 1} & set(expected), "text that spells a special token is text"
    assert opened.text(expected) == TEXT
    assert opened.text([0, *expected], special=False) == TEXT


def test_file_that_is_none_is_named(tmp_path: Path, theirs: Theirs) -> None:
    path = tmp_path / "tokenizer.json"
    for damage in ("{", "{}", "\udcff"):
        path.write_bytes(damage.encode("utf-8", "surrogateescape"))
        for read in (Tokenizer.open, special_tokens):
            with pytest.raises(FormatError, match=r"tokenizer\.json: expected"):
                read(path)
    path.write_text(theirs.to_str())
    assert special_tokens(path) == {"<|end|>": 0, "<pad>": 1}
    assert Tokenizer.open(path).vocabulary() == json.loads(theirs.to_str())["model"]["vocab"]
