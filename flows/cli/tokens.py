"""``tokenmill tokens``: token shards to and from other trainers' files."""

import shutil
from pathlib import Path
from typing import Literal

from cyclopts import App

from flows.display.answer import answer
from flows.display.options import Json, Output, Overwrite, refuse_overwriting
from pipeline.base import storage
from pipeline.base.errors import UserError, naming, parse_json
from pipeline.run import layout as run_layout
from pipeline.run.manifest import digest_file
from pipeline.tokens.shards.exchange import (
    export_megatron,
    export_nanogpt,
    import_megatron,
    import_nanogpt,
    megatron_files,
)
from pipeline.tokens.shards.token_shard import TokenFormat
from pipeline.tokens.tokenizer.definition import special_id, vocabulary_size

tokens_app = App(
    name="tokens",
    help="Token shards: export to and import from Megatron .bin/.idx and nanoGPT .bin.",
    help_format="plaintext",
)
Layout = Literal["megatron", "nanogpt"]


@tokens_app.command(name="export")
def export_tokens(
    root: str,
    *,
    output: Output,
    layout: Layout = "megatron",
    split: str = "train",
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Write the tokens of a run as other trainers read them.

    Example: tokenmill tokens export runs/demo --output /data/demo --layout megatron

    Parameters
    ----------
    root
        The run folder.
    output
        Megatron: the prefix of OUTPUT.bin and OUTPUT.idx. nanoGPT: the file.
    layout
        megatron | nanogpt.
    split
        train | validation.
    """
    path = run_layout.tokens_folder(split)
    written_files = megatron_files(output) if layout == "megatron" else (output,)
    refuse_overwriting("--output", *written_files, overwrite=overwrite)
    folder = storage.open_folder(storage.join(root, path), ".arrow", as_path=path)
    with naming(str(output)):
        written = export_megatron(folder, output) if layout == "megatron" else export_nanogpt(folder, output)
    return _answer({"output": str(output), "layout": layout, **written}, json)


@tokens_app.command(name="import")
def import_tokens(
    path: Path,
    *,
    output: Output,
    tokenizer: Path,
    layout: Layout = "megatron",
    source: str = "imported",
    split: str = "train",
    end_of_text: str = "<|endoftext|>",
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Make token shards, and so a run folder to train on, from another trainer's files.

    Example: tokenmill tokens import /data/demo --output runs/imported --tokenizer tokenizer.json

    Parameters
    ----------
    path
        Megatron: the prefix of PATH.bin and PATH.idx. nanoGPT: the file.
    output
        The run folder, one of imported tokens; its other split stays.
    tokenizer
        The tokenizer.json that the ids come from; it is copied into the run folder.
    layout
        megatron | nanogpt.
    source
        Name of the source.
    split
        train | validation.
    end_of_text
        The special token that ends a document.
    """
    target = output / run_layout.TOKENIZER
    token_format = _format_of(tokenizer, end_of_text)
    if target.exists() and digest_file(target) != token_format.tokenizer:
        raise UserError(
            f"{target}: another tokenizer ({digest_file(target)}) than {tokenizer} ({token_format.tokenizer})"
        )
    folder = output / run_layout.tokens_folder(split)
    refuse_overwriting("--output", folder, overwrite=overwrite)
    _refuse_tokens_of_a_run(output)
    importer = import_megatron if layout == "megatron" else import_nanogpt
    with naming(str(output)), storage.made_for_something(output / storage.SCRATCH):
        made = storage.scratch(str(output))
        try:
            written = importer(path, made, token_format, source)
            if folder.exists():  # the earlier shards stay until the new ones are whole
                shutil.rmtree(folder)
            folder.parent.mkdir(parents=True, exist_ok=True)
            made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(tokenizer.read_bytes())
    return _answer({"root": str(output), "split": split, **written}, json)


def _refuse_tokens_of_a_run(output: Path) -> None:
    """Shards that a run has made of its documents are no place for others: its manifests name them."""
    manifest = output / run_layout.stage_manifest("tokenize")
    if manifest.exists():
        raise UserError(f"--output {output}: a run that has made tokens of its own ({manifest}); name another folder")


def _format_of(tokenizer: Path, end_of_text: str) -> TokenFormat:
    if not tokenizer.is_file():
        raise UserError(f"{tokenizer}: no such file")
    try:
        definition = parse_json(tokenizer.read_bytes())
        entries = vocabulary_size(definition)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{tokenizer}: expected the tokenizer.json of a trained tokenizer, found {error!r}") from error
    return TokenFormat(digest_file(tokenizer), entries, special_id(definition, end_of_text, "--end-of-text"))


def _answer(result: dict[str, object], as_json: bool) -> int:
    figures = {name: f"{value:,}" if isinstance(value, int) else value for name, value in result.items()}
    return answer(as_json, result, ", ".join(f"{name} {value}" for name, value in figures.items()))
