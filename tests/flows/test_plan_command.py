"""`tokenmill plan` reckons with what the training will do, and with the tokens of the run folder."""

import json
from pathlib import Path

import pytest

from flows.cli.model import plan

LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "vocab_size": 100,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
}
RECIPE = """
name = "more"
[[sources]]
name = "own"
paths = ["own.txt"]
[model]
init = "open-model"
context_length = 128
"""


def test_model_to_go_on_from_has_the_context_of_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "open-model").mkdir()
    (tmp_path / "open-model" / "config.json").write_text(json.dumps(LLAMA))
    (tmp_path / "own.txt").write_text("The lamp on the pier burned all night.")
    (tmp_path / "more.toml").write_text(RECIPE)
    assert plan("more.toml", hardware=["h200"], price=2.0, json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["shape"]["context_length"] == 128
    assert found["available_tokens"] is None
    assert [row["device"] for row in found["hardware"]][1:] == ["H200"]
