"""What a checkpoint was trained with: its settings, its tokens, its tokenizer; and whether they are still there.

Weights, tokenizer, token shards and order are one thing.  A run folder may have moved on since a checkpoint was made:
its recipe has changed, or its tokens were made again.  Whoever uses a checkpoint asks here.
"""

from pathlib import Path
from typing import Any

from pipeline.base import storage
from pipeline.base.console import say
from pipeline.base.errors import RunError, UserError
from pipeline.base.words import counted
from pipeline.order.corpus import token_set
from pipeline.recipe.training_options import Train
from pipeline.run import layout
from pipeline.run.checkpoints import advice, read_state, recorded, standing
from pipeline.run.folder import Run
from pipeline.run.manifest import digest_file
from pipeline.run.tokenizer import special_tokens
from pipeline.tokens.shards.token_shard import open_shard

_DECIDE = (".arrow", layout.TOKENIZER)  # beside the tokenizer lie reports, which decide no token
_USUAL_ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>")
_NAMED = 3  # files that a message names


def as_trained(run: Run) -> Run:
    """The run with the settings that its last checkpoint was trained with; as it is where none says them."""
    steps = standing(run.root)
    config = recorded(run.root, max(steps))["config"] if steps else {}
    if not config:
        return run
    recipe = run.recipe
    train = {key: value for key, value in config["train"].items() if key in Train.model_fields}
    # a folder of model.init may fix another context than the recipe names
    context_length = read_state(run.root, max(steps))["model"]["context_length"]
    given = config["sources"]
    sources = [
        source.model_copy(update=dict(zip(("weight", "max_epochs"), given[source.name], strict=True)))
        if source.name in given
        else source
        for source in recipe.sources
    ]
    update: dict[str, Any] = {
        "train": recipe.train.model_copy(update=train),
        "model": recipe.model.model_copy(update={"context_length": context_length}),
        "sources": sources,
    }
    return Run(run.root, recipe.model_copy(update=update))


def tokenizer_of(run: Run, step: int) -> Path:
    """The tokenizer that a checkpoint was trained with: its own copy, or the run's if that is the same.

    Raises:
        RunError: If the copy is damaged, or there is none and the run has another tokenizer by now.
    """
    state, path = read_state(run.root, step), standing(run.root)[step]
    if (expected := state.get("digests", {}).get(layout.CHECKPOINT_TOKENIZER)) is not None:
        url = run.url(f"{path}/{layout.CHECKPOINT_TOKENIZER}")
        if not storage.exists(url) or digest_file(storage.open_local(url)) != expected:
            raise RunError(f"{url}: missing or damaged; {advice(run.root, step)}")
        return storage.open_local(url)
    url = run.url(layout.TOKENIZER)
    found = digest_file(storage.open_local(url)) if storage.exists(url) else "none"
    if found != state["tokenizer"]:
        raise RunError(
            f"{run.url(path)}: trained with the tokenizer of digest {state['tokenizer']}, and the one in the run "
            f"folder, {layout.TOKENIZER}, has {found}; this checkpoint holds no copy of its own (it is of tokenmill "
            "0.1). Bring that tokenizer.json back, from a copy or by running the recipe that made it"
        )
    return storage.open_local(url)


def end_of_text_of(run: Run, step: int) -> int:
    """The token that ended every document a checkpoint was trained on.

    The checkpoint says it; one of an earlier tokenmill does not, and then the token shards do, if they are still of its
    tokenizer.  Without them it is one of three usual names, or else the first special token, and that is said.

    Raises:
        RunError: If the checkpoint is damaged.
        UserError: If its tokenizer has no special token.
    """
    state = read_state(run.root, step)
    if "end_of_text" in state:
        return int(state["end_of_text"])
    for name in storage.list_files(run.url(layout.TRAIN_TOKENS), ".arrow"):
        found = open_shard(run.local(f"{layout.TRAIN_TOKENS}{name}")).format
        if found.tokenizer == state["tokenizer"]:
            return found.end_of_text
        break
    special = special_tokens(tokenizer_of(run, step))
    if not special:
        raise UserError(
            f"{run.url(standing(run.root)[step])}: its tokenizer has no special token that could end a text"
        )
    token = next((token for token in _USUAL_ENDS if token in special), next(iter(special)))
    say(f"{run.url(standing(run.root)[step])}: does not say which token ends a document; {token!r} is taken")
    return special[token]


def begin_of_text_of(run: Run, step: int) -> int | None:
    """The token that began every document a checkpoint was trained on; None where there was none."""
    found = read_state(run.root, step).get("begin_of_text")
    return None if found is None else int(found)


def check_tokens(run: Run, step: int, question: str) -> None:
    """Refuses what can only be answered from the tokens that a checkpoint was trained on, where they are gone.

    Args:
        run: The run.
        step: Of the checkpoint.
        question: What was asked, such as "its validation loss".

    Raises:
        RunError: If the tokens in the run folder are others, with both digests and what to do.
    """
    found = recorded(run.root, step)
    if not found["inputs"]:  # of tokenmill 0.1, which recorded the tokenizer alone: it is compared with the shards'
        return
    tokens, others = token_set(as_trained(run))
    was, now = _named(found["inputs"], found["config"]["runs"]), _named(tokens, others)
    paths = [path for path in sorted(was.keys() | now.keys(), key=_tokenizer_first) if was.get(path) != now.get(path)]
    if not paths:
        return
    changed = ", ".join(
        f"{path} had digest {was.get(path, 'none')} and has {now.get(path, 'none')}" for path in paths[:_NAMED]
    )
    more = f", and {counted(len(paths) - _NAMED, 'other file')}" if len(paths) > _NAMED else ""
    raise RunError(
        f"{run.url(standing(run.root)[step])}: trained on other tokens than the run folder holds now: {changed}{more}. "
        f"So {question} cannot be told any more; `tokenmill sample` and `tokenmill export` go on working, with the "
        "tokenizer that it carries. To ask again, run the recipe that made its tokens; or train on those that are "
        "there: `tokenmill run`"
    )


def _named(tokens: dict[str, str], others: list[dict[str, str]]) -> dict[str, str]:
    """Digests of tokens and tokenizer by path; those of other runs under the number of the run in train.runs."""
    mixed = {f"train.runs[{n}] {path}": digest for n, other in enumerate(others) for path, digest in other.items()}
    return {path: digest for path, digest in {**tokens, **mixed}.items() if path.endswith(_DECIDE)}


def _tokenizer_first(path: str) -> tuple[bool, str]:
    return path != layout.TOKENIZER, path
