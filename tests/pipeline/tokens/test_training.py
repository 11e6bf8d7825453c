"""The tokenizer: deterministic, on training documents alone, by weight; given ones as they are."""

import base64
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from pipeline.base.arrow import text_buffers
from pipeline.base.errors import UserError
from pipeline.run.context import Context
from pipeline.run.engine import Job, Outputs
from pipeline.tokens.tokenizer import definition as definitions
from pipeline.tokens.tokenizer import survey, training
from pipeline.tokens.tokenizer.byte_lengths import token_byte_lengths, token_bytes
from pipeline.tokens.tokenizer.definition import from_tiktoken
from pipeline.tokens.tokenizer.engines import make_encoder
from pipeline.tokens.tokenizer.training import train
from tests.pipeline.tokens.runs import do, doc_id, make_run, sentence, sides_of, texts_of

TEXTS = [sentence(n) for n in range(120)] + ["naïve café 東京は首都 12345 don't", "x <|endoftext|> y"]
CONFIG: dict[str, Any] = {
    "vocabulary_size": 350,
    "pretokenizer": "gpt2",
    "end_of_text": "<|endoftext|>",
    "special_tokens": ["<|pad|>"],
}
# of the published gpt2 encoding (tiktoken's openai_public.py, MIT)
GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"


def test_bytes_are_the_same_for_any_order_and_any_batches() -> None:
    expected = train([TEXTS], CONFIG)
    order = np.random.default_rng(1).permutation(len(TEXTS))
    assert train(([TEXTS[n]] for n in order), CONFIG) == expected
    assert train([pa.array(TEXTS[:50], pa.large_string()), TEXTS[50:]], CONFIG) == expected


def test_special_tokens_come_first_and_all_bytes_are_there() -> None:
    parsed = json.loads(train([TEXTS], CONFIG))
    assert [token["content"] for token in parsed["added_tokens"]] == ["<|endoftext|>", "<|pad|>"]
    assert [token["id"] for token in parsed["added_tokens"]] == [0, 1]
    lengths = token_byte_lengths(parsed)
    assert len(lengths) == 350
    assert (lengths == 1).sum() == 256
    assert (lengths[:2] == 0).all()


@pytest.mark.parametrize(
    ("pretokenizer", "pieces"),
    [
        ("gpt2", ["It", "'s", " 12345", " IT", "'", "S", "\n\n ", " ok", "!!"]),
        ("cl100k", ["It", "'s", " ", "123", "45", " IT", "'S", "\n\n", " ", " ok", "!!"]),
        ("qwen2", ["It", "'s", " ", "1", "2", "3", "4", "5", " IT", "'S", "\n\n", " ", " ok", "!!"]),
    ],
)
def test_pretokenizers_cut_as_those_of_their_models(pretokenizer: str, pieces: list[str]) -> None:
    text = "It's 12345 IT'S\n\n  ok!!"
    tokenizer = Tokenizer.from_str(train([TEXTS], {**CONFIG, "pretokenizer": pretokenizer}))
    found = [text[start:end] for _, (start, end) in tokenizer.pre_tokenizer.pre_tokenize_str(text)]
    assert found == pieces


def encoding(pretokenizer: str, ranks: dict[bytes, int]) -> tiktoken.Encoding:
    """tiktoken's own encoder of the ranks; its files cannot be fetched here, and it takes any ranks."""
    pattern = {"gpt2": GPT2_PATTERN, "cl100k": definitions.PATTERNS["cl100k"]}[pretokenizer]
    special = {"<|endoftext|>": len(ranks), "<|pad|>": len(ranks) + 1}
    return tiktoken.Encoding("ours", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)


def write_ranks(path: Path) -> dict[bytes, int]:
    tokens = [bytes([n]) for n in range(256)]
    for pair in (b"in", b"er", b" t", b"th", b" th", b"ver", b"iver", b" the", b"riv", b"river", b"ga", b"gar"):
        tokens.append(pair)
    path.write_bytes(b"".join(base64.b64encode(token) + b" %d\n" % n for n, token in enumerate(tokens)))
    return {token: n for n, token in enumerate(tokens)}


@given(st.text(alphabet="rivegathn er1é", max_size=30))
@settings(max_examples=80, deadline=None)
def test_tiktoken_file_encodes_by_its_ranks(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "ranks.tiktoken"
    ranks = write_ranks(path)
    tokenizer = Tokenizer.from_str(from_tiktoken(path, "cl100k", "<|endoftext|>", ["<|pad|>"]))
    assert tokenizer.encode(text).ids == encoding("cl100k", ranks).encode(text)
    assert tokenizer.token_to_id("<|endoftext|>") == len(ranks)
    assert tokenizer.token_to_id("<|pad|>") == len(ranks) + 1


TIKTOKEN_TEXTS = [
    *TEXTS,
    "The river's THE\u00a0don't I'LL  \t x\r\n\r\n\n  1234567 3.14 --- ...!?\n",
    "garden gardens' 12 345\n\n\n   indented\n\tif x:\n\t\treturn  ",
    "مرحبا नमस्ते 👩‍👩‍👧 e\u0301 Ⅷ ²³ \x00\x1f <|pad|><|endoftext|>",
    "",
]


@pytest.mark.parametrize("pretokenizer", ["gpt2", "cl100k"])
@pytest.mark.parametrize("engine", ["gigatoken", "tokenizers"])
def test_tiktoken_file_gives_the_ids_of_tiktoken(tmp_path: Path, pretokenizer: str, engine: str) -> None:
    """On ranks that a training makes."""
    trained = json.loads(train([TEXTS], {**CONFIG, "pretokenizer": pretokenizer, "special_tokens": []}))
    tokens = [token for _, token in sorted(token_bytes(trained).items())]
    ranks = {token: rank for rank, token in enumerate(tokens)}
    path = tmp_path / "ranks.tiktoken"
    path.write_bytes(b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items()))
    definition = from_tiktoken(path, pretokenizer, "<|endoftext|>", ["<|pad|>"])
    theirs = encoding(pretokenizer, ranks)
    ids, offsets = make_encoder(engine, definition, cut_long_texts=True)(pa.array(TIKTOKEN_TEXTS, pa.large_string()))
    found = [ids[start:end].tolist() for start, end in itertools.pairwise(offsets.tolist())]
    assert found == [theirs.encode(text, disallowed_special=()) for text in TIKTOKEN_TEXTS]
    assert max(max(row, default=0) for row in found) > 256, "merges took part"


def test_given_tokenizer_json_is_used_as_it_is(tmp_path: Path) -> None:
    given_file = tmp_path / "given.json"
    given_file.write_text(train([TEXTS], CONFIG))
    run = make_run(tmp_path / "run", {"web": TEXTS}, tokenize={"tokenizer": str(given_file)})
    assert do(run)["vocabulary_size"] == 350
    assert Path(run.local("tokenizer/tokenizer.json")).read_bytes() == given_file.read_bytes()


def test_given_tiktoken_file_encodes_a_run(tmp_path: Path) -> None:
    given_file = tmp_path / "given.tiktoken"
    ranks = write_ranks(given_file)
    run = make_run(tmp_path / "run", {"web": TEXTS}, tokenize={"tokenizer": str(given_file), "pretokenizer": "cl100k"})
    summary = do(run)
    assert summary["vocabulary_size"] == len(ranks) + 1
    assert summary["engine"] in ("gigatoken", "tokenizers")
    report = json.loads(Path(run.local("tokenizer/report.json")).read_bytes())
    assert report["round_trip"]["failures"] == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.json", None, "no such file"),
        ("broken.json", "{", "not a tokenizer.json"),
        ("plain.json", "no special", r"'<\|endoftext\|>' is no special token of this tokenizer; it has '<\|other\|>'"),
        ("broken.tiktoken", "YQ== x\n", "line 1 is not `<base64 token> <rank>`"),
        ("few.tiktoken", "YQ== 0\n", "no token for 255 of the 256 bytes"),
    ],
)
def test_given_file_that_cannot_be_used_is_named(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    path = tmp_path / name
    if content == "no special":
        content = train([TEXTS], {**CONFIG, "end_of_text": "<|other|>", "special_tokens": []})
    if content is not None:
        path.write_text(content)
    run = make_run(tmp_path / "run", {"web": TEXTS}, tokenize={"tokenizer": str(path)})
    with pytest.raises(UserError, match=message) as caught:
        do(run)
    assert name in str(caught.value) or "end_of_text" in str(caught.value)


def test_special_token_that_ordinary_text_gives_is_refused(tmp_path: Path) -> None:
    texts = ["PAD PAD the PAD end"] * 20
    run = make_run(tmp_path, {"web": texts}, tokenize={"special_tokens": ["PAD"], "validation_share": 0.0})
    with pytest.raises(UserError, match="the special tokens 'PAD' are also what this tokenizer makes of plain text"):
        do(run)


def outputs_of(run: Any) -> tuple[Outputs, list[str]]:
    context = Context(run)
    inputs = {path: digest for m in context.manifests("clean").values() for path, digest in m.digests().items()}
    for step in ("tokenize.split", "tokenize.survey"):
        for manifest in context.manifests(step).values():
            inputs |= manifest.digests()
    return Outputs(run.root, Job("all", {}, inputs)), list(context.document_shards())


def test_validation_documents_never_train_the_tokenizer(tmp_path: Path) -> None:
    sources = {"web": [sentence(n) for n in range(200)], "books": [sentence(500 + n) for n in range(50)]}
    run = make_run(tmp_path, sources, tokenize={"validation_share": 0.2})
    do(run)
    outputs, shards = outputs_of(run)
    found = survey.merge(outputs, shards)
    shares = training.sample_shares(found.train_bytes, {"web": 1.0, "books": 1.0}, 10**9)
    seen = {text for batch in training.training_texts(outputs, found, shares, 1) for text in batch}
    sides, texts = sides_of(run), texts_of(sources)
    expected = {texts[one] for one, row in sides.items() if row["split"] == "train"}
    assert seen == expected
    assert sum(row["split"] == "validation" for row in sides.values()) > 20
    assert found.train_bytes == {
        name: sum(len(t) for n, t in enumerate(items) if sides[doc_id(name, n)]["split"] == "train")
        for name, items in sources.items()
    }


def test_sample_follows_the_weights_within_the_budget() -> None:
    sizes = {"web": 1_000_000, "books": 100_000, "code": 50_000, "empty": 0}
    shares = training.sample_shares(sizes, {"web": 1.0, "books": 2.0, "code": 0.0}, 300_000)
    assert shares.keys() == {"web", "books"}
    assert shares["books"] == pytest.approx(2 * shares["web"])
    assert sizes["web"] * shares["web"] + sizes["books"] * shares["books"] == pytest.approx(300_000)
    assert training.sample_shares(sizes, {"web": 1.0, "books": 1.0, "code": 1.0}, 10**9) == {
        "web": 1.0,
        "books": 1.0,
        "code": 1.0,
    }
    assert training.sample_shares({"web": 0}, {}, 100) == {}


def test_source_of_weight_0_leaves_no_trace_in_the_tokenizer(tmp_path: Path) -> None:
    sources = {"web": [sentence(n) for n in range(60)], "odd": ["qzqzqz qzqzqz qzqzqz"] * 60}
    weighted = make_run(tmp_path / "a", sources, tokenize={"tokenizer_weights": {"odd": 0.0}})
    do(weighted)
    plain = make_run(tmp_path / "b", sources)
    do(plain)
    tokens = [Tokenizer.from_file(str(run.local("tokenizer/tokenizer.json"))) for run in (weighted, plain)]
    assert not any("qz" in token for token in tokens[0].get_vocab())
    assert any("qz" in token for token in tokens[1].get_vocab())


def proof_of(run: Any) -> list[survey.Sample]:
    outputs, shards = outputs_of(run)
    return survey.merge(outputs, shards).proof


def test_proof_holds_a_sample_of_each_source_and_documents_with_code_points_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "PROOF_DOCUMENTS", 5)
    monkeypatch.setattr(survey, "CODE_POINT_DOCUMENTS", 8)
    rare = [f"{sentence(900 + n)} {chr(0x4E00 + n)}" for n in range(20)]
    sources = {"web": [sentence(n) for n in range(40)] + rare, "books": [sentence(500 + n) for n in range(40)]}
    run = make_run(tmp_path / "1", sources)
    do(run)
    proof = proof_of(run)
    assert [sample.source for sample in proof[:10]] == ["web"] * 5 + ["books"] * 5
    added = proof[10:]
    assert len(added) == 4, "four of the eight for each of two sources, and books has none"
    assert {sample.source for sample in added} == {"web"}
    shown = {character for sample in proof[:10] for character in sample.text}
    assert all(any(ord(c) > 127 and c not in shown for c in sample.text) for sample in added)
    assert proof_of(run) == proof
    cut_finer = make_run(tmp_path / "2", sources, shard_documents=7)
    do(cut_finer)
    assert sorted(proof_of(cut_finer)[:10], key=repr) == sorted(proof[:10], key=repr)
    assert [sample.text for sample in proof_of(cut_finer)[10:]] == [sample.text for sample in added]
    other = make_run(tmp_path / "3", sources, tokenize={"seed": 2})
    do(other)
    assert proof_of(other) != proof


def test_code_points_far_inside_a_long_document_are_proven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "PROOF_BYTES", 400)
    monkeypatch.setattr(survey, "LEAD_BYTES", 30)
    long = "é" + sentence(1, 300) + " 東京 " + sentence(2, 300) + " 🎉 end"
    run = make_run(tmp_path, {"web": [sentence(n, 20) for n in range(30)] + [long]}, tokenize={"validation_share": 0.0})
    do(run)
    proof = proof_of(run)
    assert max(len(sample.text.encode()) for sample in proof) <= 400
    assert {"é", "東", "京", "🎉"} <= {character for sample in proof for character in sample.text}
    assert all(sample.text in long for sample in proof if not sample.text.isascii())


@given(st.lists(st.text(alphabet="ab é東🎉\u07ff\uffff", max_size=40), max_size=8), st.integers(0, 8))
@settings(max_examples=80, deadline=None)
def test_new_code_points_are_those_of_plain_python(texts: list[str], known: int) -> None:
    seen = np.zeros(0x110000, bool)
    before = {character for text in texts[:known] for character in text if ord(character) > 127}
    seen[[ord(character) for character in before]] = True
    offsets, data = text_buffers(pa.array(texts, pa.large_string()))
    points, documents, places = survey.new_code_points(offsets, data, seen)
    expected: dict[int, tuple[int, int]] = {}
    for number, text in enumerate(texts):
        for place, character in enumerate(text):
            if ord(character) > 127 and character not in before:
                expected.setdefault(ord(character), (number, len(text[:place].encode())))
    found = zip(points.tolist(), documents.tolist(), places.tolist(), strict=True)
    assert {point: (document, place) for point, document, place in found} == expected
