"""Export to and import from other trainers' files, read with their own readers where these are installed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.cli.commands import build_app
from flows.cli.tokens import import_tokens
from model.data.batches import TokenDataset
from pipeline.base.errors import FormatError, UserError
from pipeline.tokens.shards.exchange import export_megatron, export_nanogpt, import_megatron, import_nanogpt
from pipeline.tokens.shards.token_shard import TokenFormat, map_batches, open_folder, write_token_shard
from tests.full_disk import files_of_at_most
from tests.pipeline.tokens.runs import do, make_run, sentence
from tests.pipeline.tokens.shards import FORMAT, doc_id
from tests.trees import tree


def write_folder(folder: Path, documents: list[list[int]], token_format: TokenFormat = FORMAT) -> Path:
    """Two shards of documents, each with the end-of-text token after it."""
    folder.mkdir(parents=True, exist_ok=True)
    middle = len(documents) // 2
    for number, part in enumerate((documents[:middle], documents[middle:])):
        rows = [(doc_id(1000 * number + n), [*ids, token_format.end_of_text]) for n, ids in enumerate(part)]
        write_token_shard(folder / f"{number:05d}.arrow", token_format, "web", rows)
    return folder


def documents_in(folder: Path) -> list[list[int]]:
    found = []
    for shard in open_folder(folder):
        for batch in map_batches(shard.path):
            found += [batch.tokens[a:b].tolist() for a, b in zip(batch.offsets, batch.offsets[1:], strict=False)]
    return found


DOCUMENTS = [[5, 6, 7], [9], [], [1, 2, 3, 4] * 50, [999, 998]]
ENDED = [[*ids, 0] for ids in DOCUMENTS]


@given(st.lists(st.lists(st.integers(1, 999), max_size=9), min_size=1, max_size=12), st.sampled_from([1000, 70_000]))
@settings(max_examples=25, deadline=None)
def test_megatron_round_trip_returns_the_same_documents(
    tmp_path_factory: pytest.TempPathFactory, documents: list[list[int]], vocabulary: int
) -> None:
    base = tmp_path_factory.mktemp("megatron")
    token_format = TokenFormat("a" * 32, vocabulary, 0)
    folder = write_folder(base / "in", documents, token_format)
    counts = export_megatron(folder, base / "corpus")
    assert counts == {"documents": len(documents), "tokens": sum(len(ids) + 1 for ids in documents)}
    assert import_megatron(base / "corpus", base / "out", token_format, "web") == {**counts, "shards": 1}
    assert documents_in(base / "out") == [[*ids, 0] for ids in documents]


def test_megatrons_own_reader_finds_our_documents(tmp_path: Path) -> None:
    indexed = pytest.importorskip("megatron.core.datasets.indexed_dataset")
    export_megatron(write_folder(tmp_path / "in", DOCUMENTS), tmp_path / "corpus")
    found = indexed.IndexedDataset(str(tmp_path / "corpus"))
    assert [found[n].tolist() for n in range(len(found))] == ENDED
    assert found.document_indices.tolist() == list(range(len(ENDED) + 1))


def test_nanogpt_reads_our_file_and_we_read_it_again(tmp_path: Path) -> None:
    export_nanogpt(write_folder(tmp_path / "in", DOCUMENTS), tmp_path / "train.bin")
    data = np.memmap(tmp_path / "train.bin", dtype=np.uint16, mode="r")  # as nanoGPT's get_batch does
    assert data.tolist() == [token for ids in ENDED for token in ids]
    counts = import_nanogpt(tmp_path / "train.bin", tmp_path / "out", FORMAT, "web")
    assert counts == {"documents": 5, "tokens": len(data), "shards": 1}
    assert documents_in(tmp_path / "out") == ENDED


@pytest.mark.parametrize("export", [export_megatron, export_nanogpt])
def test_export_that_cannot_be_written_leaves_nothing_and_what_stood_before(
    tmp_path: Path, export: Callable[[Path, Path], object]
) -> None:
    shards = write_folder(tmp_path / "in", DOCUMENTS)
    export(shards, tmp_path / "before/corpus")
    before = tree(tmp_path / "before")
    for place in ("before", "deep/new"):
        with files_of_at_most(100), pytest.raises(OSError, match="File too large"):
            export(shards, tmp_path / place / "corpus")
    assert tree(tmp_path / "before") == before
    assert not (tmp_path / "deep").exists()
    with pytest.raises(UserError, match="expected a file, or a name that is free"):
        export_nanogpt(shards, Path("/dev/null"))


def test_import_that_cannot_be_written_leaves_no_run_folder(tmp_path: Path) -> None:
    path = tmp_path / "train.bin"
    run = make_run(tmp_path / "run", {"web": [sentence(1)]})
    do(run)
    tokenizer = Path(run.local("tokenizer/tokenizer.json"))
    np.tile(np.arange(1, 200, dtype=np.uint16), 1000).tofile(path)
    with files_of_at_most(4_000), pytest.raises(OSError, match="File too large"):
        import_tokens(path, output=tmp_path / "deep/out", tokenizer=tokenizer, layout="nanogpt")
    assert not (tmp_path / "deep").exists()


def test_huggingface_datasets_opens_our_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    folder = write_folder(tmp_path / "in", DOCUMENTS)
    files = [str(path) for path in sorted(folder.glob("*.arrow"))]
    found = datasets.load_dataset("arrow", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert found["tokens"][:] == ENDED
    assert [len(row) for row in found["doc_id"]] == [16] * 5


def test_import_is_cut_into_shards_of_whole_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.tokens.shards.exchange.SHARD_TOKENS", 10)
    documents = [[7] * n for n in (3, 4, 25, 2, 2, 2)]
    export_nanogpt(write_folder(tmp_path / "in", documents), tmp_path / "x.bin")
    assert import_nanogpt(tmp_path / "x.bin", tmp_path / "out", FORMAT, "web")["shards"] == 3
    assert documents_in(tmp_path / "out") == [[*ids, 0] for ids in documents]
    ids = [row.tobytes() for s in open_folder(tmp_path / "out") for b in map_batches(s.path) for row in b.doc_ids]
    assert len(set(ids)) == 6


def test_imported_document_without_an_end_is_given_one(tmp_path: Path) -> None:
    np.array([5, 6, 0, 7, 8], np.uint16).tofile(tmp_path / "x.bin")
    import_nanogpt(tmp_path / "x.bin", tmp_path / "out", FORMAT, "web")
    assert documents_in(tmp_path / "out") == [[5, 6, 0], [7, 8, 0]]


def test_vocabulary_beyond_16_bits_does_not_fit_nanogpt(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", DOCUMENTS, TokenFormat("a" * 32, 70_000, 0))
    with pytest.raises(UserError, match="a vocabulary of 70,000 does not fit uint16; export to megatron"):
        export_nanogpt(folder, tmp_path / "x.bin")


def break_index(path: Path, how: str) -> None:
    raw = path.read_bytes()
    changed = {
        "magic": b"MMIDIDY" + raw[7:],
        "version": raw[:9] + b"\2" + raw[10:],
        "type": raw[:17] + b"\x63" + raw[18:],
        "short": raw[:-5],
        "head": raw[:20],
        "documents": raw[:-8] + (99).to_bytes(8, "little"),
    }
    path.write_bytes(changed[how])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("magic", "not a Megatron index"),
        ("version", "Megatron index of version 2"),
        ("type", "integer type 99: not known"),
        ("short", "truncated: 5 sequences and 6 documents do not fit it"),
        ("head", "not a Megatron index"),
        ("documents", "its documents do not go from sequence 0 to 5 in order"),
    ],
)
def test_damaged_megatron_index_is_named(tmp_path: Path, how: str, message: str) -> None:
    export_megatron(write_folder(tmp_path / "in", DOCUMENTS), tmp_path / "corpus")
    break_index(tmp_path / "corpus.idx", how)
    with pytest.raises(FormatError, match=message) as caught:
        import_megatron(tmp_path / "corpus", tmp_path / "out", FORMAT, "web")
    assert "corpus.idx" in str(caught.value)


def test_files_that_do_not_fit_each_other_or_the_tokenizer_are_refused(tmp_path: Path) -> None:
    export_megatron(write_folder(tmp_path / "in", DOCUMENTS), tmp_path / "corpus")
    binary = tmp_path / "corpus.bin"
    with pytest.raises(FormatError, match=r"ids from 0 to 999, the tokenizer has 500 entries: another tokenizer"):
        import_megatron(tmp_path / "corpus", tmp_path / "out", TokenFormat("a" * 32, 500, 0), "web")
    binary.write_bytes(binary.read_bytes()[:-2])
    with pytest.raises(FormatError, match=r"corpus\.bin: 210 tokens, its index says 211"):
        import_megatron(tmp_path / "corpus", tmp_path / "out2", FORMAT, "web")
    binary.write_bytes(binary.read_bytes()[:-1])
    with pytest.raises(FormatError, match=r"corpus\.bin: 419 bytes: not a sequence of uint16"):
        import_megatron(tmp_path / "corpus", tmp_path / "out2", FORMAT, "web")
    (tmp_path / "odd.bin").write_bytes(b"abc")
    with pytest.raises(FormatError, match="3 bytes: not a sequence of uint16"):
        import_nanogpt(tmp_path / "odd.bin", tmp_path / "out3", FORMAT, "web")


@pytest.mark.parametrize("importer", [import_megatron, import_nanogpt])
def test_missing_file_is_a_usage_error(tmp_path: Path, importer: Callable[..., object]) -> None:
    with pytest.raises(UserError, match="no such file; --layout"):
        importer(tmp_path / "none", tmp_path / "out", FORMAT, "web")


@pytest.mark.parametrize("text", ["x", "{}", "[]"])
def test_tokenizer_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(UserError, match=r"t\.json: expected the tokenizer\.json"):
        import_tokens(tmp_path / "none", output=tmp_path / "out", tokenizer=tmp_path / "t.json")


def test_folder_with_shards_is_not_written_into(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", DOCUMENTS)
    export_nanogpt(folder, tmp_path / "x.bin")
    with pytest.raises(UserError, match="holds token shards already; give an empty folder"):
        import_nanogpt(tmp_path / "x.bin", folder, FORMAT, "web")


def test_import_over_imported_shards_needs_overwrite_and_replaces_them_when_the_new_ones_are_whole(
    tmp_path: Path,
) -> None:
    tokenizer = tmp_path / "t.json"
    tokenizer.write_text(
        json.dumps(
            {
                "model": {"vocab": {str(n): n for n in range(9)}},
                "added_tokens": [{"id": 9, "content": "<|endoftext|>", "special": True}],
            }
        )
    )
    np.array([1, 2, 9], "<u2").tofile(tmp_path / "first.bin")
    np.array([3, 4, 5, 9], "<u2").tofile(tmp_path / "second.bin")
    np.array([3, 400, 5, 9], "<u2").tofile(tmp_path / "wrong.bin")
    out, options = tmp_path / "out", {"tokenizer": tokenizer, "layout": "nanogpt"}
    import_tokens(tmp_path / "first.bin", output=out, **options)  # type: ignore[arg-type]
    first = tree(out)
    with pytest.raises(UserError, match=r"holds 00000\.arrow; name another, or replace it with --overwrite"):
        import_tokens(tmp_path / "second.bin", output=out, **options)  # type: ignore[arg-type]
    with pytest.raises(FormatError, match="another tokenizer made this file"):
        import_tokens(tmp_path / "wrong.bin", output=out, overwrite=True, **options)  # type: ignore[arg-type]
    assert tree(out) == first
    import_tokens(tmp_path / "second.bin", output=out, overwrite=True, **options)  # type: ignore[arg-type]
    assert tree(out).keys() == first.keys()
    assert tree(out) != first


def test_tokens_are_not_imported_over_those_that_a_run_has_made(tmp_path: Path) -> None:
    (tmp_path / "out/manifests").mkdir(parents=True)
    (tmp_path / "out/manifests/tokenize.json").write_text("{}")
    (tmp_path / "t.json").write_text(
        json.dumps({"model": {"vocab": {}}, "added_tokens": [{"id": 0, "content": "<|endoftext|>", "special": True}]})
    )
    with pytest.raises(UserError, match="a run that has made tokens of its own"):
        import_tokens(tmp_path / "x.bin", output=tmp_path / "out", tokenizer=tmp_path / "t.json", overwrite=True)


def command(*arguments: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    build_app(list(arguments))(list(arguments))
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_commands_export_a_run_and_import_it_as_a_run_to_train_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run", {"web": [sentence(n) for n in range(60)]}, tokenize={"validation_share": 0.0})
    do(run)
    capsys.readouterr()
    target, imported = str(tmp_path / "out" / "demo"), str(tmp_path / "imported")
    written = command("tokens", "export", run.root, "--output", target, "--json", capsys=capsys)
    assert written["documents"] == 60
    tokenizer = str(run.local("tokenizer/tokenizer.json"))
    options = ("--output", imported, "--tokenizer", tokenizer, "--source", "web", "--json")
    back = command("tokens", "import", target, *options, capsys=capsys)
    assert back["tokens"] == written["tokens"]
    ours, theirs = (TokenDataset(Path(r) / "tokens/train", 16, seed=1) for r in (run.root, imported))
    assert len(ours) == len(theirs)
    assert sorted(map(tuple, documents_in(Path(run.root) / "tokens/train"))) == sorted(
        map(tuple, documents_in(Path(imported) / "tokens/train"))
    )
    other = tmp_path / "other.json"
    other.write_bytes(Path(tokenizer).read_bytes() + b"\n")
    with pytest.raises(UserError, match="another tokenizer"):
        command("tokens", "import", target, "--output", imported, "--tokenizer", str(other), capsys=capsys)
