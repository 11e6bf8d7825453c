"""Somebody else's Hugging Face folder: what is not understood is refused by name, what training keeps is exported."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.export.folder import INDEX, export_folder, export_run, load_folder
from model.export.side_files import Delimiters
from model.network.config import ModelConfig
from model.network.transformer import Transformer
from model.stage import run as run_stage
from model.training.job import training_of, unfinished
from model.training.prepare import prepare
from model.training.start import train_run
from pipeline.base.errors import UserError
from pipeline.base.progress import Silent
from pipeline.lineage.training import Training
from pipeline.order.trained import end_of_text_of
from pipeline.recipe.load import load_recipe, recipe_toml
from pipeline.run.context import Context
from pipeline.run.folder import Run
from tests.model.runs import VOCABULARY, make_run


class Told(Silent):
    """Progress that remembers its notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


SHAPES = {
    "gpt2": ModelConfig("gpt2", VOCABULARY, 24, layers=1, heads=2, width=32),
    "llama": ModelConfig("qwen3", VOCABULARY, 48, layers=1, heads=2, width=32, qk_norm=False),
    "qwen2": ModelConfig("qwen3", VOCABULARY, 48, layers=1, heads=2, width=32, qk_norm=False, attention_bias=True),
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path)


def folder_of(kind: str, run: Run, **values: Any) -> Path:
    folder = Path(run.root).parent / kind
    folder.mkdir()
    export_folder(Transformer(SHAPES[kind]), Path(run.root) / "tokenizer/tokenizer.json", Delimiters(0), folder)
    change(folder / "config.json", **values)
    return folder


def change(path: Path, **values: Any) -> None:
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**found, **values}), encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        (
            "llama",
            {"quantization_config": {"quant_method": "fp8"}},
            r"quantization_config \(fp8\): its weights are codes",
        ),
        ("llama", {"rope_scaling": {"type": "longrope", "factor": 2.0}}, "rotary scaling 'longrope' is not supported"),
        ("llama", {"rope_scaling": {"type": "yarn"}}, "without factor"),
        ("llama", {"rope_scaling": {"rope_type": "linear", "factor": 2, "power": 3}}, "power = 3 is not understood"),
        ("llama", {"partial_rotary_factor": 0.5}, "partial_rotary_factor = 0.5 is not supported"),
        ("llama", {"residual_multiplier": 0.22}, "residual_multiplier = 0.22 is not understood"),
        ("llama", {"attention_bias": True}, "attention_bias = True is not supported"),
        ("llama", {"hidden_act": "gelu"}, "expected silu"),
        ("llama", {"model_type": "mixtral"}, "model_type 'mixtral'; expected gpt2, gpt_neox, llama, m"),
        ("llama", {"hidden_size": None}, "'hidden_size' is missing"),
        ("llama", {"num_hidden_layers": "two"}, "a value that is none of a llama model"),
        ("llama", {"num_hidden_layers": 2}, "no tensor model.layers.1"),
        ("qwen2", {"layer_types": ["sliding_attention"]}, "expected full_attention"),
        ("qwen2", {"use_sliding_window": True}, "use_sliding_window = True"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ("gpt2", {"activation_function": "gelu"}, "activation_function = 'gelu'"),
    ],
)
def test_what_is_not_understood_is_refused_by_its_key(run: Run, kind: str, values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_folder(folder_of(kind, run, **values))


def test_keys_of_no_weight_and_keys_that_are_off_are_taken(run: Run) -> None:
    values = {"transformers.js_config": {"dtype": "q4"}, "is_llama_config": True, "some_feature": False, "other": None}
    assert load_folder(folder_of("llama", run, **values)).config == SHAPES["llama"]


def test_window_of_mistral_bounds_the_context(run: Run) -> None:
    folder = folder_of("llama", run, model_type="mistral", sliding_window=16, attention_bias=None, mlp_bias=None)
    with pytest.raises(UserError, match=r"set model\.context_length to 16 or less"):
        load_folder(folder)
    assert load_folder(folder, context_length=16).config.context_length == 16


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("model.layers.0.mlp.up_proj.weight", torch.zeros(128, 32, dtype=torch.int8), "is int8, a quantised code"),
        ("model.layers.0.mlp.up_proj.weight_scale_inv", torch.ones(1), "holds model.layers.0.mlp.up_proj.weight_scale"),
        ("lm_head.weight", torch.ones(VOCABULARY, 32), "another matrix than the embedding"),
        ("model.norm.weight", torch.full((32,), torch.nan), "not finite"),
    ],
)
def test_weights_that_the_config_does_not_describe_are_refused(run: Run, name: str, value: Any, said: str) -> None:
    folder = folder_of("llama", run)
    path = folder / "model.safetensors"
    save_file({**load_file(path), name: value}, path)
    with pytest.raises(UserError, match=said):
        load_folder(folder)


def test_copy_of_the_embedding_and_buffers_are_no_weights_of_their_own(run: Run) -> None:
    folder = folder_of("gpt2", run)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    more = {"lm_head.weight": tensors["transformer.wte.weight"].clone(), "transformer.h.0.attn.bias": torch.ones(1, 1)}
    save_file({**tensors, **more}, path)
    assert load_folder(folder).config == SHAPES["gpt2"]


def test_weights_in_several_files_are_all_there_or_refused(run: Run, tmp_path: Path) -> None:
    train_run(run)
    files = export_run(run, tmp_path / "out", file_bytes=20_000)
    names = [name for name in files if name.endswith(".safetensors")]
    assert len(names) > 2
    index = json.loads((tmp_path / "out" / INDEX).read_text())
    assert set(index["weight_map"].values()) == set(names)
    for name, value in load_folder(tmp_path / "out").state_dict().items():
        rows = slice(0, VOCABULARY if name == "token_embedding" else None)
        assert torch.equal(value[rows], Transformer.from_run(run.root).state_dict()[name][rows])
    (tmp_path / "out" / names[1]).unlink()
    with pytest.raises(UserError, match=f"{names[1]} is missing or incomplete"):
        load_folder(tmp_path / "out")


def continued(run: Run, folder: Path, *more: str) -> Run:
    """The run with a recipe that goes on from a folder and says nothing of its shape."""
    text = (Path(run.root).parent / "recipe.toml").read_text()
    lines = [line for line in text.splitlines() if line.split(" = ")[0] not in ("layers", "heads", "width")]
    lines = [f'init = "{folder}"' if line.startswith("context_length") else line for line in lines]
    path = Path(run.root).parent / "continued.toml"
    path.write_text("\n".join(lines))
    return Run(run.root, load_recipe(path, ("train.global_batch_tokens=192", "train.micro_batch_sequences=2", *more)))


def test_learned_positions_fix_the_context_of_training_and_lineage(run: Run) -> None:
    going_on = continued(run, folder_of("gpt2", run))
    assert going_on.recipe.model.context_length == 24
    train_run(going_on)
    assert Training(Run.open(run.root)).context_length == 24
    assert Training(Run.open(run.root)).sequences == 192 // 24
    again = load_recipe(Path(run.root) / "recipe.toml")
    assert recipe_toml(again) == recipe_toml(going_on.recipe)
    assert "layers" not in recipe_toml(going_on.recipe), "the folder says it"


@pytest.mark.parametrize("trained", [False, True])
def test_context_of_learned_positions_counts_more_than_the_key(
    run: Run, trained: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = continued(run, folder_of("gpt2", run), "model.context_length=16")
    asked.write_recipe()
    if trained:
        train_run(asked)
        assert "passed over: model.context_length = 16 (there 24)" in capsys.readouterr().err
    assert Training(Run.open(run.root)).context_length == 24


def test_flow_trains_with_keys_that_the_folder_overrules_to_its_end_and_tells_them(run: Run) -> None:
    """The process that trains reads the recipe in the run folder, the flow that of the user: both mean one training."""
    asked = continued(run, folder_of("llama", run), "model.layers=9", "model.context_length=32")
    asked.write_recipe()
    told = Told()
    assert run_stage(Context(asked, progress=told))["steps"] == 8
    assert any("passed over: model.layers = 9 (there 1)" in note for note in told.notes)
    assert unfinished(asked, training_of(asked)) is None
    assert unfinished(Run.open(run.root), training_of(Run.open(run.root))) is None


def test_keys_that_the_folder_overrules_are_told(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    from model.devices.world import ALONE
    from model.training.report import Reporter

    asked = continued(run, folder_of("llama", run), "model.layers=9", "model.context_length=32")
    prepare(asked, training_of(asked), ALONE, Reporter(leads=True, events=False))
    assert "passed over: model.layers = 9 (there 1)" in capsys.readouterr().err


def test_export_is_the_base_folder_with_other_weights(run: Run, tmp_path: Path) -> None:
    base = folder_of("llama", run, bos_token_id=5, pad_token_id=7, eos_token_id=[9, 0], max_position_embeddings=48)
    change(base / "generation_config.json", eos_token_id=[9, 0], temperature=0.6, do_sample=False)
    change(base / "tokenizer_config.json", bos_token="a", chat_template="{{ messages }}", model_max_length=48)
    (base / "chat_template.jinja").write_text("{{ messages }}")
    going_on = continued(run, base, "model.context_length=32")
    train_run(going_on)
    export_run(Run.open(run.root), tmp_path / "out")
    for name in ("tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "generation_config.json"):
        found, expected = (folder / name for folder in (tmp_path / "out", base))
        read = json.loads if name.endswith("json") else str
        assert read(found.read_text()) == read(expected.read_text()), name
    values = json.loads((tmp_path / "out/config.json").read_text())
    assert values == {**json.loads((base / "config.json").read_text()), "dtype": "float32"}
    weights = [load_file(folder / "model.safetensors") for folder in (base, tmp_path / "out")]
    assert weights[0].keys() == weights[1].keys()
    assert not torch.equal(*(part["model.norm.weight"] for part in weights))


def test_export_says_when_the_base_folder_has_gone(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = folder_of("llama", run)
    train_run(continued(run, base, "model.context_length=32"))
    base.rename(tmp_path / "elsewhere")
    export_run(Run.open(run.root), tmp_path / "out")
    assert "cannot be taken over; bring it back and export again" in capsys.readouterr().err
    assert load_folder(tmp_path / "out").config.context_length == 32


def test_token_that_ended_the_documents_is_recorded_and_not_guessed(run: Run, tmp_path: Path) -> None:
    train_run(run)
    assert end_of_text_of(run, 8) == 0
    path = Path(run.root) / "checkpoints/step-0000008/state.json"
    state = json.loads(path.read_text())
    assert state.pop("end_of_text") == 0
    path.write_text(json.dumps({**state, "end_of_text": 17}))
    assert end_of_text_of(run, 8) == 17
    path.write_text(json.dumps(state))  # as an earlier tokenmill wrote it: the shards say it
    assert end_of_text_of(run, 8) == 0
