"""The whole stage on small corpora: what is in the shards, and what happens to unusual documents."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from flows.session.stages import run_stage
from pipeline.base.errors import RunError, UserError
from pipeline.run.context import Context, NeedsWork
from pipeline.run.folder import Run
from pipeline.run.manifest import digest_file
from pipeline.run.table_files import open_table
from pipeline.run.tables import TOKENS
from pipeline.tokens import encode
from pipeline.tokens.documents.split import keyed_hash
from pipeline.tokens.shards.shard_facts import known_shards
from pipeline.tokens.shards.token_shard import map_batches, open_folder
from pipeline.tokens.tokenizer import engines
from tests.pipeline.tokens.runs import do, doc_id, make_run, sentence, sides_of, texts_of, tokens_of

ODD = [
    "<|endoftext|>",
    "before <|endoftext|> after",
    "",
    " \n\t\n ",
    "naïve café — 東京は首都 🎉👩‍👩‍👧 مرحبا שלום नमस्ते",
    "12345 67890 1.5e10",
    "x" * 3000,
    "don't I'LL we've\r\n\r\nnew paragraph\u2028line\x00nul\ufeffbom",
]
SOURCES = {"web": [sentence(n) for n in range(150)] + ODD, "books": [sentence(1000 + n, 90) for n in range(60)]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, dict[str, Any]]:
    run = make_run(tmp_path_factory.mktemp("stage"), SOURCES, tokenize={"validation_share": 0.1})
    return run, do(run)


def tokenizer_of(run: Run) -> Tokenizer:
    return Tokenizer.from_file(str(run.local("tokenizer/tokenizer.json")))


def test_every_document_is_on_one_side_and_decodes_to_its_text(finished: tuple[Run, dict[str, Any]]) -> None:
    run, summary = finished
    train, validation = tokens_of(run, "train"), tokens_of(run, "validation")
    texts = texts_of(SOURCES)
    assert not train.keys() & validation.keys()
    assert train.keys() | validation.keys() == texts.keys()
    assert summary["documents"] == len(texts)
    assert summary["train_documents"] == len(train)
    assert 5 < summary["validation_documents"] == len(validation) < 60
    tokenizer = tokenizer_of(run)
    for found, tokens in (train | validation).items():
        assert tokens[-1] == 0
        assert 0 not in tokens[:-1], "text never gives a special token"
        assert tokenizer.decode(tokens[:-1], skip_special_tokens=False) == texts[found]
    assert summary["tokens"] == sum(map(len, (train | validation).values()))


def test_document_that_is_only_the_end_of_text_string_is_ordinary_text(finished: tuple[Run, dict[str, Any]]) -> None:
    run, _ = finished
    found = (tokens_of(run, "train") | tokens_of(run, "validation"))[doc_id("web", 150)]
    assert len(found) > 3
    assert found.count(0) == 1


def test_document_shard_i_gives_token_shard_i_of_one_source(finished: tuple[Run, dict[str, Any]]) -> None:
    run, _ = finished
    for split in ("train", "validation"):
        shards = open_folder(Path(run.root) / "tokens" / split)
        assert [shard.path.stem for shard in shards] == ["00000", "00001", "00002"]
        assert [shard.source for shard in shards] == ["web", "web", "books"]
        assert {shard.format.tokenizer for shard in shards} == {digest_file(run.local("tokenizer/tokenizer.json"))}
        assert {shard.format.end_of_text for shard in shards} == {0}


def test_documents_stand_in_keyed_hash_order(finished: tuple[Run, dict[str, Any]]) -> None:
    run, _ = finished
    for path in sorted(Path(run.root).glob("tokens/*/*.arrow")):
        ids = np.concatenate([batch.doc_ids for batch in map_batches(path)])
        hashes = keyed_hash(ids, "order 1")
        assert (np.diff(hashes.astype(object)) > 0).all()


def test_values_are_not_compressed_and_are_read_without_a_copy(finished: tuple[Run, dict[str, Any]]) -> None:
    run, _ = finished
    path = run.local("tokens/train/00000.arrow")
    raw = path.read_bytes()
    for batch in map_batches(path):
        assert batch.tokens.tobytes() in raw
        assert not batch.tokens.flags.owndata
    assert open_table(path, TOKENS).schema.field("tokens").type == pa.large_list(pa.uint16())


def test_token_shards_match_golden_v1(finished: tuple[Run, dict[str, Any]]) -> None:
    """Other content under the same logic version would be trusted where it must be made again."""
    run, _ = finished
    found = hashlib.blake2b(digest_size=16)
    for path in sorted(Path(run.root).glob("tokens/*/*.arrow")):
        for batch in map_batches(path):
            found.update(batch.doc_ids.tobytes() + batch.offsets.tobytes() + batch.tokens.tobytes())
    assert found.hexdigest() == "7b2feaf00a775f64f07c9ccb47c94375"


def test_finished_stage_is_skipped_and_a_new_seed_is_not(finished: tuple[Run, dict[str, Any]]) -> None:
    run, summary = finished
    assert run_stage("tokenize", Context(run, dry=True))["tokens"] == summary["tokens"]
    values = run.recipe.model_dump(exclude_unset=True)
    values["tokenize"]["seed"] = 2
    other = Run(run.root, type(run.recipe).model_validate(values))
    with pytest.raises(NeedsWork) as planned:
        run_stage("tokenize", Context(other, dry=True))
    assert planned.value.reasons == {"all": "seed was 1, is 2"}


def test_leakage_and_tokenizer_report_are_written(finished: tuple[Run, dict[str, Any]]) -> None:
    run, summary = finished
    leakage = json.loads(run.local("tokens/leakage.json").read_bytes())
    assert leakage["validation_documents"] == summary["validation_documents"] == summary["leakage_sample"]
    assert leakage["training_documents"] == summary["train_documents"]
    assert leakage["all_shards"] is True
    report = json.loads(run.local("tokenizer/report.json").read_bytes())
    assert report["round_trip"] == {"documents": report["sample_documents"], "failures": 0, "first_failure": None}
    assert report["by_source"].keys() == {"web", "books"}
    assert report["by_language"]["en"]["documents"] == report["sample_documents"]
    use = report["vocabulary_use"]
    assert 0.3 < use["share"] <= 1.0
    assert len(use["longest"]) == len(use["rarest"]) == 20
    assert use["longest"][0]["bytes"] >= use["longest"][-1]["bytes"]
    assert use["rarest"][0]["count"] <= use["rarest"][-1]["count"]


@pytest.mark.parametrize(("bound", "encoders"), [(1, 4), (1 << 20, 1)])
def test_encoder_is_kept_for_further_shards_until_it_has_seen_so_much_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: int, encoders: int
) -> None:
    """Its cache of words grows without bound, and makes it faster; the ids are the same."""
    used = []
    real = engines.shard_encoder

    def noted(*arguments: Any, **options: Any) -> Any:
        used.append(real(*arguments, **options))
        return used[-1]

    monkeypatch.setattr(encode, "shard_encoder", noted)
    monkeypatch.setattr(engines, "CACHE_TEXT_BYTES", bound)
    engines.forget_encoder()
    run = make_run(tmp_path / "run", {"web": [sentence(n) for n in range(40)]}, shard_documents=10)
    do(run)
    assert len(used) == 4
    assert len({id(encoder) for encoder in used}) == encoders
    whole = make_run(tmp_path / "whole", {"web": [sentence(n) for n in range(40)]})
    do(whole)
    assert tokens_of(run, "train") == tokens_of(whole, "train")


def test_engine_tokenizers_gives_the_shards_of_gigatoken(finished: tuple[Run, dict[str, Any]], tmp_path: Path) -> None:
    assert finished[1]["engine"] == "gigatoken"
    run = make_run(tmp_path, SOURCES, tokenize={"validation_share": 0.1, "engine": "tokenizers"})
    assert do(run)["engine"] == "tokenizers"
    for split in ("train", "validation"):
        assert tokens_of(run, split) == tokens_of(finished[0], split)


def test_dropped_documents_are_neither_trained_nor_validated_on(tmp_path: Path) -> None:
    twins = {"web": [sentence(n, 60) for n in range(40)] * 2}
    run = make_run(tmp_path, twins, stages=("clean", "dedup", "tokenize"), tokenize={"validation_share": 0.2})
    summary = do(run)
    assert summary["documents"] == 40
    kept = tokens_of(run, "train") | tokens_of(run, "validation")
    assert len({tuple(tokens) for tokens in kept.values()}) == len(kept) == 40
    dropped = [row for found, row in sides_of(run).items() if found not in kept]
    assert len(dropped) == 40
    assert {(row["keep"], row["split"]) for row in dropped} == {(None, None)}


def test_empty_corpus_after_filtering_says_where_to_look(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"web": []})
    with pytest.raises(RunError, match=r"no training document is left.*tokenmill report RUN"):
        do(run)
    assert not (Path(run.root) / "tokenizer/tokenizer.json").exists()


def test_corpus_of_empty_texts_is_an_empty_corpus(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no training document is left"):
        do(make_run(tmp_path, {"web": ["", ""]}))


def test_vocabulary_larger_than_the_corpus_supports_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path, {"web": ["one two one two"]}, tokenize={"vocabulary_size": 5000, "validation_share": 0.0})
    summary = do(run)
    assert 257 < summary["vocabulary_size"] < 300
    size = summary["vocabulary_size"]
    assert f"the vocabulary has {size:,} entries instead of the 5,000 that were asked for" in capsys.readouterr().err
    assert open_folder(Path(run.root) / "tokens/train")[0].format.vocabulary_size == size


def test_weight_of_an_unknown_source_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"web": ["a b"]}, tokenize={"tokenizer_weights": {"wbe": 2.0}})
    with pytest.raises(UserError, match=r"tokenizer_weights names wbe; the sources are web"):
        do(run)


def test_document_of_many_megabytes_is_one_row(tmp_path: Path) -> None:
    large = "\n".join(sentence(n, 30) for n in range(20_000))
    assert len(large) > 4 << 20, "long enough that tokenizers is given it in pieces"
    for engine in ("auto", "tokenizers"):
        run = make_run(
            tmp_path / engine, {"web": [large, "short"]}, tokenize={"validation_share": 0.0, "engine": engine}
        )
        do(run)
        found = tokens_of(run, "train")
        assert len(found) == 2
        assert tokenizer_of(run).decode(found[doc_id("web", 0)][:-1]) == large


@pytest.mark.slow
def test_document_of_100_megabytes_is_one_row(tmp_path: Path) -> None:
    large = "\n".join(sentence(n, 30) for n in range(500_000))
    assert len(large) > 100_000_000
    run = make_run(tmp_path, {"web": [large, "short"]}, tokenize={"validation_share": 0.0})
    summary = do(run)
    assert summary["documents"] == 2
    assert len(tokens_of(run, "train")[doc_id("web", 0)]) > 10_000_000


@pytest.mark.parametrize("given", [False, True], ids=["trained", "given"])
def test_documents_begin_with_the_token_that_is_asked_for(
    given: bool, finished: tuple[Run, dict[str, Any]], tmp_path: Path
) -> None:
    wanted: dict[str, Any] = {"begin_of_text": "<|begin|>", "validation_share": 0.1}
    if given:
        definition = json.loads(tokenizer_of(finished[0]).to_str())
        added = {**definition["added_tokens"][0], "id": len(definition["model"]["vocab"]), "content": "<|begin|>"}
        definition["added_tokens"].append(added)
        (tmp_path / "given.json").write_text(json.dumps(definition))
        wanted["tokenizer"] = str(tmp_path / "given.json")
    run = make_run(tmp_path / "run", SOURCES, tokenize=wanted)
    summary = do(run)
    tokenizer, texts = tokenizer_of(run), texts_of(SOURCES)
    begin = tokenizer.token_to_id("<|begin|>")
    found = tokens_of(run, "train") | tokens_of(run, "validation")
    assert found.keys() == texts.keys()
    for name, tokens in found.items():
        assert (tokens[0], tokens[-1]) == (begin, 0)
        assert not {0, begin} & set(tokens[1:-1]), "text never gives a special token"
        assert tokenizer.decode(tokens[1:-1], skip_special_tokens=False) == texts[name]
    assert summary["tokens"] == sum(map(len, found.values()))
    shards = open_folder(Path(run.root) / "tokens/train")
    assert {shard.format.begin_of_text for shard in shards} == {begin}
    assert open_folder(Path(run.root) / "tokens/train", known_shards(run, Path(run.root) / "tokens/train")) == shards


def test_token_that_begins_documents_must_be_known_to_a_given_tokenizer(
    finished: tuple[Run, dict[str, Any]], tmp_path: Path
) -> None:
    given = finished[0].local("tokenizer/tokenizer.json")
    run = make_run(tmp_path, SOURCES, tokenize={"begin_of_text": "<s>", "tokenizer": str(given)})
    with pytest.raises(UserError, match="begin_of_text = '<s>' is no special token of this tokenizer"):
        do(run)
