"""Commands of the model: train, eval, sample, export, plan.  Thin; torch is imported when one of them runs."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from flows.display.answer import answer
from flows.display.options import (
    Checkpoint,
    Flag,
    GivenFile,
    Json,
    Output,
    Overrides,
    Overwrite,
    Several,
    refuse_overwriting,
)
from flows.display.standard import STANDARD, as_files, standard_text
from pipeline.base.console import release_stdout, say
from pipeline.base.errors import UserError, naming
from pipeline.base.processes import environment
from pipeline.base.progress import watcher
from pipeline.base.sizes import parse_memory
from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run

Dtype = Annotated[
    Literal["float32", "bfloat16", "float16"],
    Parameter(help="Of the weights; a checkpoint's own are float32. What they are rounded to here, an export has."),
]


def train(
    recipe: str,
    *,
    root: str,
    set: Overrides | None = None,
    previous: Flag = False,
    restart: Flag = False,
    json: Json = False,
) -> int:
    """Train the model of a run from its token shards; goes on from the last checkpoint.

    Example: tokenmill train configs/demo.toml --root runs/demo --set train.steps=500

    Parameters
    ----------
    recipe
        The recipe, a TOML file.
    root
        The run folder with tokens/.
    set
        KEY=VALUE that overrides the recipe; may be given several times.
    previous
        Go on from the checkpoint before the last one, when the last is damaged.
    restart
        Begin the training anew; the model that is there goes once the first new checkpoint is complete.
    """
    from model.stage import launch_command

    options = [*(f"--set={override}" for override in set or [])]
    options += ["--previous"] * previous + ["--restart"] * restart + ["--json"] * json
    command = launch_command(recipe, root, load_recipe(recipe, set or []).train.processes, *options)
    if json:
        release_stdout()  # the program that follows claims it for itself
    watcher().show(None)
    sys.stdout.flush()
    sys.stderr.flush()
    # this process becomes the training: signals, exit code and output are its own
    os.execve(command[0], command, environment())


def evaluate(
    root: str,
    *,
    choices: GivenFile | None = None,
    pairs: str | None = None,
    checkpoint: Checkpoint = None,
    previous: Flag = False,
    dtype: Dtype = "float32",
    json: Json = False,
) -> int:
    """Score the last checkpoint of a run: validation loss and bits per byte, in all and by source and language.

    Example: tokenmill eval runs/demo

    Parameters
    ----------
    root
        The run folder.
    choices
        A JSONL file of multiple-choice questions to score as well (docs/model.md has its form); - reads standard input.
    pairs
        Minimal pairs to score as well, such as BLiMP: a zip of JSONL files, or one of them.
    previous
        Use the checkpoint before the last one.
    """
    from model.evaluation.scoring import evaluate_run

    with as_files(*([choices] if choices else []), ending="jsonl") as files:
        asked = files[0] if files else None
        result = evaluate_run(
            Run.open(root), choices=asked, pairs=pairs, previous=previous, named=checkpoint, dtype=dtype
        )
    lines = []
    if "validation_loss" in result:
        lines.append(f"validation loss {result['validation_loss']}  bits per byte {result['bits_per_byte']}")
    for kind in ("by_source", "by_language"):
        for name, row in result.get(kind, {}).items():
            figures = f"loss {row['validation_loss']}  bits per byte {row['bits_per_byte']}"
            lines.append(f"  {name:24} {figures}  tokens {row['tokens']:,}")
    for kind, rows in (("choices", ("accuracy", "accuracy_by_bytes")), ("pairs", ("accuracy",))):
        for row in rows if kind in result else ():
            found = result[kind]
            interval = "{share:.4f}, 95 % interval {low:.4f} to {high:.4f}".format(**found[row])
            number = found.get("questions") or found["pairs"]
            lines.append(f"{kind} {row}: {interval}, chance {found['chance']:.4f}, of {number:,}")
    return answer(json, result, "\n".join(lines))


def sample(
    root: str,
    *,
    prompt: Annotated[str, Parameter(allow_leading_hyphen=True)] = "",
    checkpoint: Checkpoint = None,
    seed: int = 1,
    tokens: int = 200,
    temperature: float = 0.8,
    top_k: int = 50,
    top_p: float = 1.0,
    dtype: Dtype = "float32",
    json: Json = False,
) -> int:
    """Print text that the last checkpoint of a run writes after a prompt.

    Example: tokenmill sample runs/demo --prompt "The history of" --seed 7

    Parameters
    ----------
    root
        The run folder.
    prompt
        The beginning of the text; empty: the beginning of a document; -: what standard input holds.
    seed
        Of the draws: the same seed gives the same text.
    tokens
        Most tokens to write.
    temperature
        0 is greedy; higher is more varied.
    top_k
        Only the k likeliest tokens at each place; 0: all.
    top_p
        Only the likeliest tokens that together reach this probability.
    """
    from model.evaluation.generate import Sampling
    from model.evaluation.scoring import sample_run

    if prompt == STANDARD:
        prompt = standard_text("--prompt").removesuffix("\n")
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    text = sample_run(Run.open(root), prompt, tokens, sampling, named=checkpoint, dtype=dtype)
    return answer(json, {"prompt": prompt, "text": text, "seed": seed}, prompt + text, verbatim=True)


def export(
    root: str,
    *,
    output: Output,
    checkpoint: Checkpoint = None,
    previous: Flag = False,
    dtype: Dtype = "float32",
    file_size: str = "5GB",
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Write the last checkpoint of a run as a Hugging Face folder that transformers and vLLM load, with a model card.

    Example: tokenmill export runs/demo --output exported/demo

    Parameters
    ----------
    root
        The run folder.
    output
        The folder to write.
    previous
        Use the checkpoint before the last one.
    file_size
        Of weights in one file at most, such as 5GB; a larger model is written in several, with an index.
    """
    from model.export.folder import export_run

    run = Run.open(root)
    if output.is_file():
        raise UserError(f"--output {output}: is a file; name a folder")
    refuse_overwriting("--output", output, overwrite=overwrite)
    file_bytes = parse_memory(file_size, "--file-size")
    with naming(str(output)):
        files = export_run(run, output, previous=previous, named=checkpoint, dtype=dtype, file_bytes=file_bytes)
    return answer(json, {"output": str(output), "files": files}, f"{output}: {', '.join(files)}", made=True)


def plan(
    recipe: str,
    *,
    set: Overrides | None = None,
    root: str | None = None,
    hardware: Several | None = None,
    price: float | None = None,
    devices: int = 1,
    mfu: float = 0.4,
    json: Json = False,
) -> int:
    """Estimate before spending: parameters, FLOPs, memory, time and cost on named hardware, compute-optimal tokens.

    Example: tokenmill plan configs/demo.toml --set model.depth=12 --hardware h100 --devices 8 --price 2.50

    Parameters
    ----------
    recipe
        The recipe, a TOML file.
    set
        KEY=VALUE that overrides the recipe.
    root
        The run folder whose tokens are there to train on; by default runs/NAME, where it has some.
    hardware
        Words of the names of the devices to show; cpu: this machine alone. By default all that are known.
    price
        Dollars for an hour of one device, in place of the table's.
    devices
        Devices that train together.
    mfu
        Share of the peak rate that training reaches.
    """
    from model.network.config import ModelConfig
    from model.plan.plan import chosen_devices, estimate, plan_text

    shown = chosen_devices(hardware or [], price)
    if price is not None and price < 0:
        raise UserError(f"--price {price:g}: expected 0 or more dollars an hour")
    if devices < 1 or not 0.0 < mfu <= 1.0:
        raise UserError(f"--devices {devices} --mfu {mfu}: expected devices >= 1 and 0 < mfu <= 1")
    loaded = load_recipe(recipe, set or [])
    config = ModelConfig.from_recipe(loaded.model, loaded.tokenize.vocabulary_size)
    if loaded.model.init is not None:
        from model.export.foreign_config import read_config

        config = read_config(Path(loaded.model.init), loaded.model.context_length)
        say(f"the shape is that of {loaded.model.init}")
    tokens = _tokens_of(root or f"runs/{loaded.name}")
    result: dict[str, Any] = estimate(
        config, loaded.train, devices=devices, mfu=mfu, available_tokens=tokens, hardware=shown
    )
    return answer(json, result, plan_text(result))


def _tokens_of(root: str) -> int | None:
    """Tokens that a run folder holds to train on; None where it has none yet."""
    from pipeline.run.manifest import load_manifests, total_counts

    return total_counts(load_manifests(root, "tokenize").values()).get("train_tokens")
