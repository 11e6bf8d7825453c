"""``tokenmill plan``: what a training would need.  The counting is in model/plan."""

from typing import Annotated, Any

from cyclopts import Parameter

from flows.display.answer import answer
from flows.display.options import Json, Overrides, Repeated
from pipeline.base import storage
from pipeline.base.console import say
from pipeline.base.errors import UserError
from pipeline.run import layout
from pipeline.run.manifest import load_manifests, total_counts

Price = Annotated[
    float | None, Parameter(help="Dollars per hour of a device, in the place of the ones that are known.")
]


def plan(
    recipe: str | None = None,
    *,
    set: Overrides | None = None,
    root: str | None = None,
    parameters: str | None = None,
    tokens: str | None = None,
    devices: int = 1,
    hardware: Repeated | None = None,
    price: Price = None,
    mfu: float = 0.4,
    json: Json = False,
) -> int:
    """Estimate before spending: parameters, FLOPs, memory, hours and cost on named hardware, compute-optimal tokens.

    Without a recipe, for a number of parameters: the depth that is nearest to them, and 20 tokens for each weight.

    Example: tokenmill plan configs/demo.toml --set model.depth=12 --devices 8

    Example: tokenmill plan --parameters 1.3B --hardware "H100 SXM" --devices 8 --price 2.5

    Parameters
    ----------
    recipe
        The recipe, a TOML file; it need not name sources.
    set
        KEY=VALUE that overrides the recipe.
    root
        A run folder: its recipe, where none is given, the tokens that it has, and the speed of its training; by
        default runs/NAME.
    parameters
        So many, such as 124M or 1.3B, by model.depth.
    tokens
        Tokens to train on, such as 30B, by train.steps.
    devices
        Devices that train together.
    hardware
        A known device, or another one as NAME=TFLOPS,GB; may be given several times; by default all that are known.
    mfu
        Share of the peak rate that training reaches.
    """
    from model.plan.machines import chosen, this_processor
    from model.plan.plan import estimate, plan_text
    from model.plan.wanted import wanted

    if devices < 1 or not 0.0 < mfu <= 1.0:
        raise UserError(f"--devices {devices} --mfu {mfu}: expected devices >= 1 and 0 < mfu <= 1")
    if recipe is None and root is not None:
        recipe = storage.join(storage.absolute(root), layout.RECIPE)
    loaded, config = wanted(recipe, set or [], parameters, tokens)
    if loaded.model.init is not None:
        say(f"the shape is that of {loaded.model.init}")
    run = root or f"runs/{loaded.name}"
    result: dict[str, Any] = estimate(
        config,
        loaded.train,
        devices=devices,
        mfu=mfu,
        available_tokens=_tokens_of(run),
        hardware=chosen(hardware or [], price),
        processor=this_processor(run),
    )
    return answer(json, result, plan_text(result))


def _tokens_of(root: str) -> int | None:
    """Tokens to train on that a run has; None where there is no such run."""
    if not storage.exists(storage.join(root, layout.stage_manifest("tokenize"))):
        return None
    return total_counts(load_manifests(root, "tokenize").values()).get("train_tokens", 0)
