"""What is refused before anything starts: every stage's own refusals, asked of the recipe alone."""

import json
from pathlib import Path

import pytest

from flows.session.refusals import refuse_what_cannot_work
from pipeline.base.errors import UserError
from pipeline.recipe.load import load_recipe
from pipeline.run.engines import EngineOptions, make_workers
from pipeline.run.folder import Run
from pipeline.run.stages import StagePlan

RECIPE = '[[sources]]\nname = "s"\npaths = ["in.txt"]\n'
SET = '[[filter.decontamination.sets]]\nname = "quiz"\npath = "quiz.jsonl"\n'
TRAINED = "[filter.classifiers.good]\npositive = ['source=wiki']\nnegative = ['source=s']\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in.txt").write_text("some text\n")
    return tmp_path


def refuse(folder: Path, more: str, *overrides: str, done: tuple[str, ...] = (), engine: str = "local") -> None:
    path = folder / "recipe.toml"
    path.write_text(RECIPE + more)
    run = Run(str(folder / "run"), load_recipe(path, overrides))
    plans = [StagePlan(stage, "done" if stage in done else "after") for stage in run.recipe.stages]
    refuse_what_cannot_work(run, plans, EngineOptions.of(engine, []))


def hugging_face(folder: Path) -> Path:
    """A folder that looks like a checkpoint, with a tokenizer of its own."""
    place = folder / "hf"
    place.mkdir()
    shape = {"n_embd": 32, "n_positions": 64, "n_layer": 1, "n_head": 2}
    (place / "config.json").write_text(json.dumps({"model_type": "gpt2", "vocab_size": 300, **shape}))
    for name in ("model.safetensors", "tokenizer.json"):
        (place / name).touch()
    return place


@pytest.mark.parametrize(
    ("more", "override", "words"),
    [
        ("", "model.width=65", "heads = 4 does not divide model.width = 65"),
        ("", "train.global_batch_tokens=4095", "not a multiple of model.context_length = 256; 4096 is"),
        ("", "model.init=nowhere", "nowhere': no such Hugging Face folder"),
        ("", "train.runs=['other']", "other is no run folder"),
        ("", "train.weights={a = 2.0}", "train.weights names a; the sources are s"),
        ("", "tokenize.tokenizer=tok.json", "tok.json: no such file"),
        ("", "tokenize.tokenizer=in.txt", "not a tokenizer.json"),
        ("", "tokenize.held_out=held.arrow", "tokenize.held_out = .*held.arrow: no such file"),
        ("", "tokenize.tokenizer_weights={a = 2.0}", "tokenizer_weights names a; the sources are s"),
        ("", "dedup.against=['before']", "dedup.against: .*before is neither"),
        ("", "clean.url_block=['@block.txt']", "block.txt: not found"),
        ("", "clean.extractor=resilliparse", "clean.extractor = 'resilliparse': allowed are tokenmill, resiliparse"),
        ("", "filter.url.blocklist=block.txt", "filter.url.blocklist = .*block.txt': no such file"),
        ("", "filter.classifiers.good.path=good.bin", "filter.classifiers.good.path = .*good.bin': no such file"),
        ("", "filter.classifiers.good.path=in.txt", "good.path: .*in.txt: not a fastText model"),
        (SET, "name=x", "sets.quiz.path = .*quiz.jsonl': no such file"),
        (SET, "filter.decontamination.sets.quiz.path=in.txt", ""),
        (TRAINED, "name=x", "query 'source=wiki': no source is named 'wiki'; the sources are s"),
        ("", "filter.rules=['datatrove.no.Such']", "datatrove.no.Such: no such class"),
    ],
)
def test_what_a_later_stage_would_refuse_is_refused_first(folder: Path, more: str, override: str, words: str) -> None:
    if not words:
        refuse(folder, more, override)
        return
    with pytest.raises(UserError, match=words) as caught:
        refuse(folder, more, override)
    assert len(str(caught.value).splitlines()) == 1


def test_all_that_cannot_work_is_told_at_once(folder: Path) -> None:
    with pytest.raises(UserError) as caught:
        refuse(folder, SET, "model.width=65", "tokenize.tokenizer=tok.json")
    assert [line.split(" ")[0] for line in str(caught.value).splitlines()] == [
        "filter.decontamination.sets.quiz.path",
        "tokenize.tokenizer",
        "model.heads",
    ]


def test_field_that_no_item_of_an_evaluation_set_has(folder: Path) -> None:
    (folder / "quiz.jsonl").write_text('{"question": "Which?", "answer": "That."}\n')
    refuse(folder, SET)
    with pytest.raises(UserError, match="has no field 'choices'; it has question, answer"):
        refuse(folder, SET, 'filter.decontamination.sets.quiz.fields=["choices"]')


def test_what_is_done_is_not_asked_again(folder: Path) -> None:
    refuse(folder, "", "tokenize.tokenizer=tok.json", done=("tokenize",))
    every = ("clean", "dedup", "filter", "tokenize", "train", "report")
    refuse(folder, SET, "model.width=65", done=every, engine="slurm")


def test_checkpoint_to_go_on_from_wants_its_own_tokenizer(folder: Path) -> None:
    place = hugging_face(folder)
    with pytest.raises(UserError, match=r"set tokenize.tokenizer = '.*hf/tokenizer.json'"):
        refuse(folder, "", "model.init=hf", "model.context_length=64")
    (place / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"no such Hugging Face folder \(config.json and \*.safetensors\)"):
        refuse(folder, "", "model.init=hf", "model.context_length=64")


@pytest.mark.parametrize(
    ("engine", "words"),
    [("ray", "the package ray is not installed; pip install"), ("slurm", "sbatch, squeue, scancel")],
)
def test_engine_that_is_not_here(folder: Path, engine: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=words):
        refuse(folder, "", engine=engine)
    with pytest.raises(UserError, match=words):
        make_workers(EngineOptions.of(engine, []))
