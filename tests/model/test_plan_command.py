"""``tokenmill plan``: asked with a recipe, without sources, without a recipe; on known and other hardware."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows.cli.plan import plan
from model.plan.machines import chosen
from model.plan.plan import estimate, plan_text
from model.plan.wanted import amount, wanted
from pipeline.base.errors import UserError
from pipeline.run.manifest import Manifest, manifest_url, write_stage_manifest
from tests.model.runs import make_run


def planned(capsys: pytest.CaptureFixture[str], *arguments: Any, **options: Any) -> dict[str, Any]:
    assert plan(*arguments, **options, json=True) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_recipe_need_not_name_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "shape.toml"
    recipe.write_text("[model]\nlayers = 3\nheads = 4\nwidth = 64\n[train]\nsteps = 10\n")
    found = planned(capsys, str(recipe))
    assert found["shape"] == {"layers": 3, "heads": 4, "width": 64, "context_length": 256}
    assert found["tokens"] == 40_960


def test_a_question_without_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    found = planned(
        capsys, parameters="1.3B", tokens="26B", hardware=["H100 SXM"], price=2.0, devices=8, set=["train.steps=1"]
    )
    assert found["parameters"]["total"] == pytest.approx(1.3e9, rel=0.05)
    assert found["tokens"] == pytest.approx(26e9, rel=0.001)
    row, processor = found["hardware"]
    assert row["dollars"] == pytest.approx(row["hours"] * 8 * 2.0)
    assert processor["device"].startswith("this CPU")


@pytest.mark.parametrize("parameters", [2_000_000, 124_000_000, 7_000_000_000])
def test_no_other_depth_is_nearer(parameters: int) -> None:
    def total(*overrides: str) -> int:
        recipe, config = wanted(None, overrides)
        counts: dict[str, int] = estimate(config, recipe.train)["parameters"]
        return counts["total"]

    recipe, _ = wanted(None, [], parameters=str(parameters))
    near = abs(total(f"model.depth={recipe.model.depth}") - parameters)
    others = [depth for depth in (recipe.model.depth - 1, recipe.model.depth + 1) if depth > 0]
    assert all(abs(total(f"model.depth={depth}") - parameters) >= near for depth in others)


@pytest.mark.parametrize(
    ("text", "number"), [("1.3B", 1_300_000_000), ("124m", 124_000_000), ("30,000", 30_000), ("2T", 2 * 10**12)]
)
def test_numbers_as_people_say_them(text: str, number: int) -> None:
    assert amount(text, "--tokens") == number


@pytest.mark.parametrize("text", ["", "many", "-3", "0", "1.3 billion"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"--tokens .*: expected a number, such as 124M"):
        amount(text, "--tokens")


def test_shape_of_an_open_model_has_the_context_of_the_recipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The activations of a context that is not trained are not reckoned (8,192, where the recipe says 128)."""
    config = {
        **{"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4},
        **{"num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 300, "max_position_embeddings": 8192},
        **{"rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": True},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'[model]\ninit = "{tmp_path}"\ncontext_length = 128\n')
    found = planned(capsys, str(recipe))
    assert found["shape"]["context_length"] == 128
    longer = planned(capsys, str(recipe), set=["model.context_length=8192", "train.global_batch_tokens=8192"])
    assert longer["memory_bytes"]["activations"] > found["memory_bytes"]["activations"]


def test_tokens_of_a_run_stand_beside_those_that_are_wanted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_run(tmp_path).root
    made = Manifest("tokenize", "00000", "", 1, {}, {}, {}, [], {"tokens": 1200, "train_tokens": 1024})
    path = Path(manifest_url(root, "tokenize", "00000"))
    path.parent.mkdir(parents=True)
    path.write_bytes(made.to_bytes())
    write_stage_manifest(root, "tokenize", {"00000": made})
    found = planned(capsys, root=root)
    assert (found["tokens"], found["available_tokens"], found["epochs"]) == (2048, 1024, 2.0)
    assert plan(root=root) == 0
    assert "you have                         1,024   2.0 passes over them" in capsys.readouterr().out


def test_speed_of_a_training_on_this_processor_is_taken_from_its_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_run(tmp_path).root
    estimated = planned(capsys, root=root)["hardware"][-1]
    assert estimated["source"].startswith("estimated: ")
    metrics = Path(root) / "metrics/train.jsonl"
    metrics.parent.mkdir()
    metrics.write_text('{"step": 10, "tokens_per_second": 512.0, "mfu": null}\n')
    measured = planned(capsys, root=root)["hardware"][-1]
    assert measured["source"] == f"measured in {root}"
    assert measured["hours"] == pytest.approx(2048 / 512 / 3600)


def test_hardware_of_ones_own_and_every_device_of_a_name() -> None:
    (own,) = chosen(["Gaudi3=1835,128"], 3.0)
    assert (own.name, own.peak_flops, own.memory_bytes, own.dollars_per_hour) == ("Gaudi3", 1835e12, 128e9, 3.0)
    assert [device.name for device in chosen(["h100", "H100 SXM"], None)] == ["H100 PCIe", "H100 SXM"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("L4O", r"did you mean L4\?"),
        ("mine=fast", "expected NAME=TFLOPS,GB, such as MI250X=383,128"),
        ("mine=0,80", "both figures must be above 0"),
    ],
)
def test_hardware_that_is_not_known_is_told_how_to_be_given(given: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        chosen([given], None)


def test_figures_of_a_small_model_and_of_a_large_one_are_ones_that_people_say() -> None:
    def text(*overrides: str) -> str:
        recipe, config = wanted(None, overrides)
        return plan_text(estimate(config, recipe.train, hardware=chosen(["T4"], None)))

    assert "e-0" not in text("model.depth=2", "train.steps=10", "train.learning_rate=0.01")
    assert "under 1 s  under 0.01" in text("model.depth=1", "train.steps=1", "train.global_batch_tokens=2048")
    large = text("model.depth=40")
    assert "days" in large or "years" in large
    assert "where it does not fit: the plan needs" in large
