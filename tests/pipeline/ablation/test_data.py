"""The data of the variants: text once, what is scored the same for all, and none of it trained on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.session.stages import STAGES, run_stage
from pipeline.ablation.runner import Plan, Runner
from pipeline.ablation.variants import Variant, read_variants
from pipeline.base.errors import UserError
from pipeline.base.pool import Pool
from pipeline.base.progress import Silent
from pipeline.inspection.verify import verify_run
from pipeline.recipe.load import load_recipe
from pipeline.run.context import Context
from pipeline.run.folder import Run
from pipeline.run.manifest import load_manifests
from pipeline.run.table_files import read_table
from pipeline.run.tables import DOCUMENTS
from pipeline.tokens.shards.token_shard import map_batches, open_folder
from pipeline.tokens.tokenizer.byte_lengths import token_byte_lengths
from tests.pipeline.ablation import noise

VARY = ['filter.rules=[[], ["gopher_quality"]]', "tokenize.vocabulary_size=[300, 500]"]


class Made:
    """An ablation up to its data."""

    def __init__(self, recipe: Path, root: Path, vary: list[str], **options: Any) -> None:
        self.plan = Plan(str(root), load_recipe(recipe), read_variants(str(recipe), [], vary), [1, 2], **options)

    def run(self) -> None:
        with Pool(2) as pool:
            runner = Runner(self.plan, pool, Silent(), STAGES, "model.trial:score_trial")
            held_out = runner._make_base()
            for variant in self.plan.variants:
                runner._make_data(variant, held_out)

    def data(self, variant: Variant) -> Path:
        return Path(self.plan.data_root(variant))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    return noise.write(tmp_path_factory.mktemp("noise"), sample, documents=200)


@pytest.fixture(scope="module")
def made(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    found = Made(recipe, tmp_path_factory.mktemp("ablation"), VARY, validate_on=["prose", "spam"])
    found.run()
    return found


def ids(folder: Path) -> set[bytes]:
    return {row.tobytes() for path in sorted(folder.glob("*.arrow")) for b in map_batches(path) for row in b.doc_ids}


def test_text_and_signals_are_the_files_of_the_base_run(made: Made) -> None:
    base = Path(made.plan.root) / "base"
    for variant in made.plan.variants:
        for folder in ("documents", "signals", "signatures"):
            names = sorted(path.name for path in (base / folder).iterdir())
            assert names
            same = [(made.data(variant) / folder / name).samefile(base / folder / name) for name in names]
            assert all(same), f"{folder} was made again for {variant.name}"


def test_every_folder_is_a_whole_run_whose_manifests_are_right(made: Made) -> None:
    for root in {str(Path(made.plan.root) / "base"), *(str(made.data(v)) for v in made.plan.variants)}:
        files, damaged = verify_run(root)
        assert files > 10
        assert damaged == []


def test_second_run_does_nothing(made: Made) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path(made.plan.root).rglob("*.arrow")}
    made.run()
    assert {path: path.stat().st_mtime_ns for path in Path(made.plan.root).rglob("*.arrow")} == before


def test_no_variant_trains_on_what_is_scored(made: Made) -> None:
    held_out = {
        doc_id
        for path in (Path(made.plan.root) / "base/ablation/documents").glob("*.arrow")
        for doc_id in read_table(path, DOCUMENTS, ["doc_id"])["doc_id"].to_pylist()
    }
    assert len(held_out) > 5
    for variant in made.plan.variants:
        trained = ids(made.data(variant) / "tokens/train")
        assert trained
        assert not held_out & trained
        split = load_manifests(str(made.data(variant)), "tokenize.split")["all"]
        assert split.counts["held_out"] > 0


def test_filter_of_a_variant_decides_what_it_trains_on(made: Made) -> None:
    everything, filtered = (len(ids(made.data(v) / "tokens/train")) for v in made.plan.variants[::2])
    assert filtered < everything


def test_every_byte_is_scored_once_whatever_the_tokenizer(made: Made) -> None:
    base = load_manifests(str(Path(made.plan.root) / "base"), "ablation.held_out")
    text = sum(manifest.counts["text_bytes"] for manifest in base.values())
    assert text > 1000
    for variant in made.plan.variants:
        lengths = token_byte_lengths(made.data(variant) / "tokenizer/tokenizer.json")
        assert len(lengths) == variant.recipe.tokenize.vocabulary_size
        scored = sum(_scored_bytes(shards, lengths) for shards in _by_source(made.data(variant)).values())
        assert scored == text


def _by_source(root: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for shard in open_folder(root / "ablation/tokens"):
        found.setdefault(shard.source, []).append(shard)
    return found


def _scored_bytes(shards: list[Any], lengths: Any) -> int:
    """Bytes of the targets of a source's windows, as the validator cuts them."""
    tokens, scored = [], []
    for shard in shards:
        rows = 0
        for batch in map_batches(shard.path):
            for row in range(len(batch.doc_ids)):
                part = batch.tokens[batch.offsets[row] : batch.offsets[row + 1]]
                tokens.append(part)
                scored.append(np.full(len(part), rows + row not in shard.withdrawn))
            rows += len(batch.doc_ids)
    stream, counts = np.concatenate(tokens), np.concatenate(scored)
    length = 64
    targets = slice(1, (len(stream) - 1) // length * length + 1)
    return int(lengths[stream[targets]][counts[targets]].sum())


def test_variant_without_dedup_does_not_train_on_twins_of_what_is_scored(recipe: Path, tmp_path: Path) -> None:
    doubled = tmp_path / "doubled"
    doubled.mkdir()
    text = (recipe.parent / "prose.jsonl").read_text()
    (doubled / "prose.jsonl").write_text(text + text)
    path = doubled / "recipe.toml"
    head = recipe.read_text(encoding="utf-8").split('[[sources]]\nname = "spam"')[0]
    path.write_text(head + "[tokenize]\nvalidation_share = 0.3\n")
    stages = 'stages=[["clean","dedup","tokenize","train"],["clean","tokenize","train"]]'
    made = Made(path, tmp_path / "ablation", [stages])
    made.run()
    split = load_manifests(str(made.data(made.plan.variants[1])), "tokenize.split")["all"].counts
    held_out = load_manifests(str(tmp_path / "ablation/base"), "tokenize.split")["all"].counts["validation_documents"]
    assert split["held_out"] == 2 * held_out, "each twin is kept out"


def test_unknown_source_to_score_on_is_named(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="prosa: no such source; the recipe has prose, spam"):
        Made(recipe, tmp_path, VARY, validate_on=["prosa"])


@pytest.mark.slow
def test_signatures_of_other_settings_are_refused(made: Made, recipe: Path, tmp_path: Path) -> None:
    given = made.data(made.plan.variants[0]) / "ablation/signatures.arrow"
    overrides = [f'tokenize.held_out="{given}"', "dedup.ngram=4", "dedup.bands=10"]
    run = Run(str(tmp_path), load_recipe(recipe, overrides))
    with run.lock(), Pool(2) as pool:
        for stage in ("clean", "dedup", "filter"):
            run_stage(stage, Context(run, pool))
        with pytest.raises(UserError, match="another ngram, bands than"):
            run_stage("tokenize", Context(run, pool))
