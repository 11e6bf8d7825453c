"""A checkpoint <-> a Hugging Face folder: weights (in one file or several), and what stands beside them."""

import contextlib
import json
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from model.checkpoints import elsewhere
from model.checkpoints.checkpoint import MODEL_FILE
from model.checkpoints.tensor_file import load_tensors, of_the_system
from model.export.card import card
from model.export.foreign_config import read_config
from model.export.side_files import Delimiters, side_files
from model.export.tensors import from_hf_tensors, prefix_of, to_hf_tensors
from model.network.transformer import Transformer, load_model, load_weights
from pipeline.base import storage
from pipeline.base.console import say
from pipeline.base.errors import UserError, parse_json
from pipeline.order.trained import begin_of_text_of, end_of_text_of, tokenizer_of
from pipeline.run import layout
from pipeline.run.checkpoints import chosen, recorded
from pipeline.run.folder import Run
from pipeline.run.manifest import digest_file

Dtype = Literal["float32", "bfloat16", "float16"]
INDEX = "model.safetensors.index.json"
_WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors")
FILE_BYTES = 5_000_000_000  # of weights, after which another file begins; transformers' own limit


def load_folder(folder: str | Path, context_length: int | None = None) -> Transformer:
    """The model in a Hugging Face folder of one of the classes that ``foreign_config`` knows, or in a checkpoint.

    Args:
        folder: With config.json and *.safetensors, or a checkpoint of a run.
        context_length: A shorter context than the model's own; gpt2 keeps its own, which its positions fix.

    Raises:
        UserError: If it cannot be read, saying why.
    """
    folder = Path(folder)
    config = read_config(folder, context_length)
    if elsewhere.is_checkpoint(folder):
        model = Transformer(config)
        load_weights(model, elsewhere.open_tensors(folder, MODEL_FILE), str(folder / MODEL_FILE))
        return model
    names = storage.list_files(str(folder), ".safetensors")
    files = [folder / name for name in names if "/" not in name and not name.startswith(".")]
    if not files:
        raise UserError(f"{folder}: no *.safetensors; other formats are not read, since they can run code")
    try:
        tensors = {name: value for file in files for name, value in load_tensors(file).items()}
        _check_index(folder, tensors)
    except SafetensorError as error:
        raise UserError(f"{folder}: its *.safetensors are damaged ({error}); copy the folder anew") from error
    prefix = prefix_of(config)
    if not any(name.startswith(prefix) for name in tensors):  # saved without the head's wrapper
        tensors = {f"{prefix}{name}": value for name, value in tensors.items()}
    return from_hf_tensors(config, tensors, str(folder))


def _check_index(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuses a folder of several files that lacks one of those that its index names."""
    path = folder / INDEX
    if not path.is_file():
        return
    try:
        named = parse_json(path.read_bytes())["weight_map"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged ({error!r}); copy the folder anew") from error
    if missing := sorted({file for name, file in named.items() if name not in tensors}):
        raise UserError(f"{folder}: {missing[0]} is missing or incomplete, which {INDEX} names; copy the folder anew")


def export_run(
    run: Run,
    output: Path,
    *,
    previous: bool = False,
    named: str | None = None,
    dtype: Dtype = "float32",
    file_bytes: int = FILE_BYTES,
) -> list[str]:
    """Writes a run's last checkpoint, or the one that is named, as a Hugging Face folder; returns the file names.

    Args:
        run: The run.
        output: The folder.
        previous: Take the checkpoint before the last one.
        named: The checkpoint to take, by step or folder.
        dtype: Of the weights; the run's own are float32.
        file_bytes: Of weights in one file; a larger model is written in several, with an index.

    Raises:
        UserError: If there is no checkpoint, or ``output`` is a file.
        RunError: If its tokenizer is gone.
    """
    step = chosen(run.root, named, previous=previous)
    model, tokenizer = load_model(run.root, step), tokenizer_of(run, step)
    around = Delimiters(end_of_text_of(run, step), begin_of_text_of(run, step))
    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: is a file; name a folder")
    with _whole(output) as begun:
        files = export_folder(model, tokenizer, around, begun, dtype, base=_base(run, step), file_bytes=file_bytes)
        (begun / "README.md").write_text(card(run, model.config, step), encoding="utf-8")
    return sorted([*files, "README.md"])


@contextlib.contextmanager
def _whole(output: Path) -> Iterator[Path]:
    """A folder to write into; ``output`` gets its files once all are written, in the place of an earlier export."""
    begun = output / storage.SCRATCH
    with storage.made_for_something(output):
        try:
            shutil.rmtree(begun, ignore_errors=True)
            begun.mkdir(parents=True)
            yield begun
            files = [path.relative_to(begun) for path in begun.rglob("*") if path.is_file()]
            for path in {path for pattern in (INDEX, *_WEIGHTS) for path in output.glob(pattern)}:
                path.unlink()  # an earlier export may have had more of them
            for name in files:
                (output / name).parent.mkdir(parents=True, exist_ok=True)
                (begun / name).replace(output / name)
        finally:
            shutil.rmtree(begun, ignore_errors=True)


def _base(run: Run, step: int) -> Path | None:
    """The folder that a checkpoint's training went on from; None where there was none, or it is not there any more."""
    folder, made_of = run.recipe.model.init, recorded(run.root, step)["config"].get("init") or {}
    if not made_of or any(Path(name).name == layout.CHECKPOINT_STATE for name in made_of):
        return None  # nothing, or a checkpoint of a run, beside which nothing of the kind stands
    digests = {Path(name).name: digest for name, digest in made_of.items()}
    path = Path(folder or "", "config.json")
    if folder is not None and path.is_file() and digest_file(path) == digests.get("config.json"):
        return Path(folder)
    say(
        f"{folder}: the folder that this model went on from is not there any more, or is another one, so its chat "
        "template, special tokens and generation settings cannot be taken over; bring it back and export again"
    )
    return None


def export_folder(
    model: Transformer,
    tokenizer: Path,
    around: Delimiters,
    output: Path,
    dtype: Dtype = "float32",
    *,
    base: Path | None = None,
    file_bytes: int = FILE_BYTES,
) -> list[str]:
    """Writes a model and its tokenizer as a Hugging Face folder; returns the file names.

    Args:
        model: The model.
        tokenizer: Its ``tokenizer.json``.
        around: The tokens around every document in training.
        output: The folder.
        dtype: Of the weights.
        base: The folder that its training went on from, whose other files are taken over.
        file_bytes: Of weights in one file.
    """
    beside = side_files(model.config, tokenizer, around, output, base=base, dtype=dtype)
    tensors = {name: value.to(getattr(torch, dtype)) for name, value in to_hf_tensors(model).items()}
    weights = _save(tensors, output, file_bytes)
    mode = stat.S_IMODE((output / "config.json").stat().st_mode)
    for name in weights:  # safetensors makes a file for its owner alone; a server that runs as another user reads it
        (output / name).chmod(mode)
    return sorted([*beside, *weights])


def _save_file(tensors: dict[str, Tensor], path: Path) -> None:
    try:
        save_file(tensors, path, metadata={"format": "pt"})
    except SafetensorError as error:
        raise of_the_system(error, str(path)) from error


def _save(tensors: Mapping[str, Tensor], output: Path, file_bytes: int) -> list[str]:
    """Writes the weights in as few files as their size allows; returns the names, with that of the index."""
    parts: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, value in tensors.items():
        if parts[-1] and size + value.nbytes > file_bytes:
            parts.append({})
            size = 0
        parts[-1][name] = value
        size += value.nbytes
    if len(parts) == 1:
        _save_file(parts[0], output / "model.safetensors")
        return ["model.safetensors"]
    names = [f"model-{number:05d}-of-{len(parts):05d}.safetensors" for number in range(1, len(parts) + 1)]
    for name, part in zip(names, parts, strict=True):
        _save_file(part, output / name)
    index = {
        "metadata": {"total_size": sum(value.nbytes for value in tensors.values())},
        "weight_map": {tensor: name for name, part in zip(names, parts, strict=True) for tensor in part},
    }
    (output / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return [*names, INDEX]
