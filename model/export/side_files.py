"""What stands beside the weights of an exported folder: tokenizer, special tokens, generation settings.

Training changes weights, nothing else.  Of the folder that a model goes on from (``model.init``) the rest is taken
over: beginning and padding tokens, chat template, the list of tokens that stop a text.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from model.export.hf_config import to_hf
from model.network.config import ModelConfig
from pipeline.base.errors import UserError, parse_json

# the files of a base folder that hold what training does not change; its weights, code and caches are not among them
TAKEN_OVER = (
    *("generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("chat_template.jinja", "chat_template.json", "additional_chat_templates"),
)
_SHAPE = "config.json"


@dataclass(frozen=True)
class Delimiters:
    """The tokens around every document in training; ``begin`` is None where documents began with their text."""

    end: int
    begin: int | None = None

    @property
    def first(self) -> int:
        """The token that a text follows: its own, or the end of the document before it."""
        return self.end if self.begin is None else self.begin


def side_files(
    config: ModelConfig, tokenizer: Path, around: Delimiters, output: Path, *, base: Path | None, dtype: str
) -> list[str]:
    """Writes every file but the weights and the card; returns their names.

    Args:
        config: The shape of the model.
        tokenizer: Its ``tokenizer.json``.
        around: The tokens around every document in training.
        output: The folder.
        base: The Hugging Face folder that the training went on from.
        dtype: Number format of the weights.
    """
    definition, end_of_text = parse_json(tokenizer.read_bytes()), around.end
    _write_tokenizer(definition, tokenizer, output / "tokenizer.json", around.begin)
    values = {**to_hf(config, end_of_text), "bos_token_id": around.first, "dtype": dtype}
    own = _own(config, definition, tokenizer, around)
    if base is None:
        documents = {_SHAPE: values, **own}
    else:
        documents = {_SHAPE: _changed(base, values, end_of_text)} | _generation(base, end_of_text)
        for name in TAKEN_OVER:
            if (base / name).is_dir():
                shutil.copytree(base / name, output / name, dirs_exist_ok=True)
            elif (base / name).is_file() and name not in documents:
                shutil.copyfile(base / name, output / name)
        if not (output / "tokenizer_config.json").is_file():
            documents["tokenizer_config.json"] = own["tokenizer_config.json"]
    for name, value in documents.items():
        (output / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    taken = [name for name in TAKEN_OVER if base is not None and (base / name).exists()]
    return sorted({"tokenizer.json", *documents, *taken})


def _write_tokenizer(definition: Mapping[str, Any], path: Path, output: Path, begin: int | None) -> None:
    """The tokenizer, without the padding and truncation of whoever saved it last; it begins texts as training did."""
    begins = begin is not None and definition.get("post_processor") is None
    if not begins and definition.get("padding") is None and definition.get("truncation") is None:
        shutil.copyfile(path, output)
        return
    clean = {**definition, "padding": None, "truncation": None}
    if begins:
        clean["post_processor"] = _beginning(_content(definition, cast(int, begin), path), cast(int, begin))
    output.write_text(json.dumps(clean, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _beginning(token: str, token_id: int) -> dict[str, Any]:
    """The ``post_processor`` of a tokenizer.json that puts a token before each text."""
    special = {"SpecialToken": {"id": token, "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [special, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [special, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {token: {"id": token, "ids": [token_id], "tokens": [token]}},
    }


def _content(definition: Mapping[str, Any], token_id: int, path: Path) -> str:
    for token in definition.get("added_tokens") or ():
        if token["id"] == token_id:
            return str(token["content"])
    raise UserError(f"{path}: has no special token of id {token_id}, which stood around the documents in training")


def _own(config: ModelConfig, definition: Mapping[str, Any], tokenizer: Path, around: Delimiters) -> dict[str, Any]:
    """The files of a model that was trained from the beginning."""
    begin, end = (_content(definition, token, tokenizer) for token in (around.first, around.end))
    names = {"bos_token": begin, "eos_token": end}
    if unknown := definition["model"].get("unk_token"):
        names["unk_token"] = unknown
    return {
        "generation_config.json": {
            "bos_token_id": around.first,
            "eos_token_id": around.end,
            "do_sample": True,
            "top_k": 50,
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": config.context_length,
            **names,
            "clean_up_tokenization_spaces": False,
        },
        "special_tokens_map.json": names,
    }


def _changed(base: Path, values: Mapping[str, Any], end_of_text: int) -> dict[str, Any]:
    """The base folder's ``config.json``, with another number format and what else training decided."""
    found = parse_json((base / _SHAPE).read_bytes())
    found.pop("torch_dtype", None)
    if "tie_word_embeddings" not in found:
        found["tie_word_embeddings"] = values["tie_word_embeddings"]
    return {**found, "dtype": values["dtype"], "eos_token_id": _ends(found.get("eos_token_id"), end_of_text)}


def _generation(base: Path, end_of_text: int) -> dict[str, Any]:
    """The base folder's generation settings; without any, the file is not there either."""
    path = base / "generation_config.json"
    if not path.is_file():
        return {}
    found = parse_json(path.read_bytes())
    return {path.name: {**found, "eos_token_id": _ends(found.get("eos_token_id"), end_of_text)}}


def _ends(stated: Any, end_of_text: int) -> Any:
    """The tokens that stop a text: those of the base, and that of the training if it is none of them."""
    known = stated if isinstance(stated, list) else [] if stated is None else [stated]
    if end_of_text in known:
        return stated
    return [end_of_text, *known] if known else end_of_text
