"""Token shards: round trip, what is refused on opening, and with which words."""

import errno
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.data.batches import TokenDataset
from pipeline.base.errors import FormatError, UserError
from pipeline.run.manifest import digest_file
from pipeline.run.table_files import FORMAT_KEY, TABLE_KEY
from pipeline.run.tables import tokens_table
from pipeline.tokens.shards import token_shard as shards
from pipeline.tokens.shards.token_shard import (
    TokenFormat,
    check_tokenizer,
    common_format,
    map_batches,
    open_folder,
    open_shard,
    write_token_shard,
)
from tests.pipeline.tokens.shards import FORMAT, doc_id

DOCUMENTS = st.lists(st.lists(st.integers(0, 999), max_size=12), max_size=20)


@given(DOCUMENTS, st.sampled_from([1000, 65_536, 65_537]), st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_round_trip_returns_the_same_documents(
    tmp_path_factory: pytest.TempPathFactory, documents: list[list[int]], vocabulary: int, batch_tokens: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "round-trip.arrow"
    token_format = TokenFormat("a" * 32, vocabulary, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "BATCH_TOKENS", batch_tokens)
        write_token_shard(path, token_format, "web", [(doc_id(n), ids) for n, ids in enumerate(documents)])
    found, ids = [], []
    for batch in map_batches(path):
        assert batch.tokens.dtype == (np.uint32 if vocabulary > 65_536 else np.uint16)
        found += [batch.tokens[a:b].tolist() for a, b in zip(batch.offsets, batch.offsets[1:], strict=False)]
        ids += [row.tobytes() for row in batch.doc_ids]
    assert found == documents
    assert ids == [doc_id(n) for n in range(len(documents))]
    shard = open_shard(path)
    assert (shard.source, shard.format, shard.documents) == ("web", token_format, len(documents))
    assert shard.tokens == sum(map(len, documents))


def small(folder: Path, name: str = "00000", token_format: TokenFormat = FORMAT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.arrow"
    write_token_shard(path, token_format, "web", [(doc_id(n), [*range(1, 40), 0]) for n in range(5)])
    return path


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (TokenFormat("b" * 32, 1000, 0), "b" * 32),
        (TokenFormat("a" * 32, 1001, 0), "1,001 entries"),
        (TokenFormat("a" * 32, 1000, 7), "end of text 7"),
    ],
)
def test_shards_of_two_tokenizers_in_one_folder_are_refused_with_both(
    tmp_path: Path, other: TokenFormat, words: str
) -> None:
    small(tmp_path)
    small(tmp_path, "00001", other)
    with pytest.raises(FormatError, match="token shards of two tokenizers") as caught:
        common_format(open_folder(tmp_path))
    for needed in ("a" * 32, "1,000 entries", words, "00000.arrow", "00001.arrow"):
        assert needed in str(caught.value)


def test_shards_of_another_tokenizer_than_their_run_are_refused_on_open_with_both_digests(tmp_path: Path) -> None:
    small(tmp_path / "run/tokens/train")
    tokenizer = tmp_path / "run/tokenizer/tokenizer.json"
    tokenizer.parent.mkdir()
    tokenizer.write_text("{}")
    with pytest.raises(FormatError, match=r"made by another tokenizer.*--stages tokenize") as caught:
        TokenDataset(tmp_path / "run/tokens/train", 8, seed=1)
    assert "a" * 32 in str(caught.value)
    assert digest_file(tokenizer) in str(caught.value)
    check_tokenizer(FORMAT, "a" * 32, "here")


def rewrite(path: Path, changes: dict[bytes, bytes | None]) -> None:
    """The same rows under other schema metadata."""
    table = pa.ipc.open_file(path.read_bytes()).read_all()
    metadata = {**table.schema.metadata, **{k: v for k, v in changes.items() if v is not None}}
    for key, value in changes.items():
        if value is None:
            del metadata[key]
    table = table.replace_schema_metadata(metadata)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({FORMAT_KEY: b"2.0"}, r"format 2.0 of table tokens; this tokenmill reads 1.x: use the tokenmill that wrote"),
        ({TABLE_KEY: b"documents"}, r"expected a tokens table, found documents"),
        ({TABLE_KEY: None}, r"expected a tokens table, found no table name"),
        ({b"tokenmill.tokenizer": None}, r"without 'tokenmill.tokenizer' in its schema metadata; .*tokenmill verify"),
        ({b"tokenmill.vocabulary_size": b"70000"}, r"its vocabulary asks for large_list<item: uint32"),
    ],
)
def test_shard_that_does_not_say_what_it_must_is_refused(
    tmp_path: Path, changes: dict[bytes, bytes | None], message: str
) -> None:
    path = small(tmp_path)
    rewrite(path, changes)
    with pytest.raises(FormatError, match=message) as caught:
        open_shard(path)
    assert "00000.arrow" in str(caught.value)


@pytest.mark.parametrize("kept", [0, 5, 200, -1, -40])
def test_truncated_shard_is_named_with_the_command_that_rebuilds_it(tmp_path: Path, kept: int) -> None:
    path = small(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(FormatError, match=r"00000\.arrow.*tokenmill verify"):
        open_folder(tmp_path)


def test_offsets_that_do_not_fit_the_tokens_are_damage(tmp_path: Path) -> None:
    path = small(tmp_path)
    raw = path.read_bytes()
    wanted = struct.pack("<6q", *range(0, 240, 40))
    assert raw.count(wanted) == 1
    path.write_bytes(raw.replace(wanted, struct.pack("<6q", 0, 40, 80, 120, 160, 2_000_000)))
    with pytest.raises(FormatError, match=r"00000\.arrow: damaged token shard: its offsets do not fit"):
        open_shard(path)


def test_compressed_shard_is_refused(tmp_path: Path) -> None:
    path = small(tmp_path)
    table = pa.ipc.open_file(path.read_bytes()).read_all()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    with pytest.raises(FormatError, match=r"00000\.arrow: compressed; expected an uncompressed file"):
        open_shard(path)


def test_empty_folder_is_refused_with_the_command_that_fills_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no token shards; `tokenmill run RECIPE --stages tokenize`"):
        open_folder(tmp_path)


def test_record_batches_close_at_the_formats_constants(tmp_path: Path) -> None:
    """Other constants would give other bytes: a new major version."""
    assert shards.BATCH_TOKENS == 4 << 20
    path = tmp_path / "00000.arrow"
    write_token_shard(path, FORMAT, "web", [(doc_id(n), [1]) for n in range(65_537)])
    assert [len(batch.doc_ids) for batch in map_batches(path)] == [65_536, 1]
    assert tokens_table(65_536).schema.field("tokens").type.value_type == pa.uint16()
    assert tokens_table(65_537).schema.field("tokens").type.value_type == pa.uint32()


def test_shard_that_the_system_does_not_give_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "00000.arrow"
    path.symlink_to(path.name)  # a link to itself: the system refuses to open it, whatever its bytes are
    for opened in (map_batches, open_shard):
        with pytest.raises(OSError, match=r"00000\.arrow") as raised:
            opened(path)
        assert raised.value.errno == errno.ELOOP
