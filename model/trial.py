"""Scores a trial of an ablation: its last checkpoint on the ablation's fixed validation text.

The step ``ablation.score``: ablation/tokens/*.arrow, tokenizer and checkpoint -> ablation/score.json.
"""

import os
from typing import TYPE_CHECKING, Any

from pipeline.run import layout
from pipeline.run.context import Context
from pipeline.run.engine import Job, Outputs, Step
from pipeline.run.folder import Run
from pipeline.run.manifest import canonical_json, load_manifests

if TYPE_CHECKING:
    from model.evaluation.evaluate import Score

STEP = Step("ablation.score", 1, "model.trial:score", ("torch", "safetensors"))


def score_trial(context: Context) -> None:
    """Runs the step; done where the checkpoint and the validation tokens are those that were scored."""
    inputs: dict[str, str] = {}
    for step, prefix in (
        ("train", layout.CHECKPOINTS),
        ("ablation.tokens", layout.ABLATION),
        ("tokenize.tokenizer", ""),
    ):
        for manifest in load_manifests(context.root, step).values():
            inputs |= manifest.digests(prefix)
    inputs.pop(layout.TOKENIZER_REPORT, None)
    train = context.recipe.train
    config = {"mask_documents": train.mask_documents, "context_length": context.recipe.model.context_length}
    context.run_step(STEP, [Job("all", config, inputs, {"root": context.root, "threads": train.threads})])


def score(job: Job, outputs: Outputs) -> None:
    """Job "all": bits per byte by source, and what a token of training costs."""
    import torch  # here, not above: the ablation plans its trials in a process without it

    from model.data.batches import TokenDataset
    from model.devices.hardware import chosen_precision
    from model.devices.world import ALONE
    from model.evaluation.evaluate import Validator
    from model.network.transformer import load_model
    from model.plan.flops import count_parameters, flops_per_token
    from pipeline.order.corpus import open_train
    from pipeline.order.windows import WindowOrder
    from pipeline.tokens.tokenizer.byte_lengths import token_byte_lengths

    run = Run.open(job.arguments["root"])
    torch.set_num_threads(job.arguments["threads"] or len(os.sched_getaffinity(0)))  # the one job of this step
    (folder,) = {outputs.run_path(path).parent for path in job.inputs if path.startswith(layout.HELD_OUT_TOKENS)}
    model = load_model(run.root)
    model.precision = chosen_precision(run.recipe.train.precision, ALONE.device)
    dataset = TokenDataset(folder, model.config.context_length, seed=0)
    lengths = token_byte_lengths(outputs.run_path(layout.TOKENIZER)).astype("int64")
    everything = run.recipe.train.model_copy(update={"max_validation_tokens": 0})
    validation = Validator(dataset, lengths, {}, everything, ALONE).score(model)
    train = run.recipe.train
    sequences = train.steps * train.global_batch_tokens // run.recipe.model.trained_context_length
    result: dict[str, Any] = {
        **_figures(validation.total),
        "by_source": {source: _figures(found) for source, found in validation.sources.items()},
        "parameters": count_parameters(model),
        "flops_per_token": flops_per_token(model.config),
        "training": open_train(run, model.config.context_length, WindowOrder).budget(sequences),
    }
    outputs.file(layout.SCORE).write_text(canonical_json(result), encoding="utf-8")


def _figures(found: "Score") -> dict[str, Any]:
    return {"bits_per_byte": found.bits_per_byte, "bytes": int(found.bytes), "tokens": int(found.tokens)}
