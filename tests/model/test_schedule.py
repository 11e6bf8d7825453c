"""Schedules whose parts do not go together are told before the first step."""

from pathlib import Path

import pytest

from model.training.report import Reporter
from model.training.start import train_run
from model.updates.schedule import last_stable_step, misfit, rate_factor
from pipeline.recipe.training_options import Train
from tests.model.runs import make_run


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"warmup_steps": 50}, "the training ends, at step 12 of 12"),
        ({"warmup_steps": 10, "schedule": "wsd"}, "the rate begins to fall, at step 6 of 12"),
        ({"warmup_steps": 12}, ""),
        ({"warmup_steps": 6, "schedule": "wsd"}, ""),
        ({"warmup_steps": 0, "schedule": "wsd", "decay_share": 1.0}, ""),
        ({}, ""),
    ],
)
def test_warmup_that_does_not_fit_is_told(keys: dict[str, object], said: str) -> None:
    told = misfit(Train.model_validate({"steps": 12, **keys}))
    assert (said in told) if said else not told


def test_warmup_that_does_not_fit_is_told_by_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(Reporter, "note", lambda self, text: said.append(text))
    train_run(make_run(tmp_path, overrides=("train.warmup_steps=9",)))
    assert any(text.startswith("train.warmup_steps = 9: the warm-up is not over") for text in said)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_rate_of_wsd_knows_nothing_of_the_steps_until_it_falls(share: float) -> None:
    short, long = (Train(steps=n, schedule="wsd", warmup_steps=3, decay_share=share) for n in (20, 50))
    stable = last_stable_step(short)
    rates = [[rate_factor(step, train) for step in range(20)] for train in (short, long)]
    assert rates[0][:stable] == rates[1][:stable]
    assert stable == 20 or rates[0][stable:] != rates[1][stable:]
