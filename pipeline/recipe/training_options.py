"""The keys of a recipe's sections [model] and [train]."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, model_validator

from pipeline.base.errors import parse_json
from pipeline.recipe import depth
from pipeline.recipe.section import OptionalRecipePath, RecipePath, Section, Share, absolute, allowed

LoggerName = Literal["tensorboard", "wandb", "mlflow"]
# the packages to install for them
LOGGER_PACKAGES: dict[str, str] = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow-skinny"}


class Model(Section):
    """The transformer."""

    architecture: Literal["gpt2", "qwen3"] = Field("gpt2", description="gpt2 | qwen3")
    depth: int = Field(
        0,
        ge=0,
        description="one dial for layers, heads and width and for [train] learning_rate, muon_learning_rate, "
        "global_batch_tokens and steps, each unless it is given (docs/model.md); 0: off",
    )
    layers: int = Field(4, ge=1, description="transformer blocks")
    heads: int = Field(4, ge=1, description="attention heads")
    width: int = Field(256, ge=1, description="size of the residual stream")
    context_length: int = Field(256, ge=1, description="tokens the model attends over")
    key_value_heads: int = Field(0, ge=0, description="qwen3: heads of keys and values; 0: as many as heads")
    head_width: int = Field(0, ge=0, description="size of a head; 0: width / heads")
    feed_forward_width: int = Field(0, ge=0, description="hidden size; 0: 4 * width (gpt2), 8/3 * width (qwen3)")
    tied_embeddings: bool = Field(True, description="the head is the token embedding")
    qk_norm: bool = Field(True, description="qwen3: normalise queries and keys; false: the Llama form")
    rotary_base: float = Field(10_000.0, gt=1.0, description="qwen3: base of the rotary frequencies")
    init: OptionalRecipePath = Field(
        None,
        description="a Hugging Face folder, or a checkpoint of another run, to continue from, relative to the recipe; "
        "it then defines the shape, and with learned positions the context",
    )

    @property
    def trained_context_length(self) -> int:
        """Tokens that the model attends over: what the folder of ``init`` fixes counts more than the key."""
        return (self.init and _context_of(self.init)) or self.context_length

    @model_validator(mode="before")
    @classmethod
    def _depth_or_init_sets_the_shape(cls, data: Any, info: ValidationInfo) -> Any:
        init = data.get("init") if isinstance(data, dict) else None
        if isinstance(init, str) and init and (length := _context_of(absolute(init, info))) is not None:
            data = {**data, "context_length": data.get("context_length", length)}
        if not isinstance(data, dict) or not isinstance(data.get("depth"), int) or data["depth"] < 1:
            return data
        if data.get("init") is not None:
            raise ValueError("depth and init: the folder of init defines the shape; leave depth out")
        return {**depth.shape(data["depth"]), **data}


def _context_of(init: str) -> int | None:
    """The context that the folder of ``init`` fixes, with learned positions; what is wrong there is told later."""
    try:
        if (state := Path(init, "state.json")).is_file():  # a checkpoint of a run
            model = parse_json(state.read_bytes())["model"]
            length = model["context_length"] if model["architecture"] == "gpt2" else None
        else:
            values = parse_json(Path(init, "config.json").read_bytes())
            length = values["n_positions"] if values["model_type"] == "gpt2" else None
    except (FileNotFoundError, NotADirectoryError, PermissionError, ValueError, KeyError, TypeError):
        return None
    return length if isinstance(length, int) and length > 0 else None


class Train(Section):
    """Training of the model."""

    runs: list[RecipePath] = Field(default_factory=list, description="other finished runs whose tokens are mixed in")
    weights: dict[str, float] = Field(
        default_factory=dict, description="weight of a source, or run/source with runs, over that of its recipe"
    )
    steps: int = Field(200, ge=0, description="optimizer steps")
    global_batch_tokens: int = Field(4096, ge=1, description="tokens of one optimizer step")
    micro_batch_sequences: int = Field(16, ge=1, description="sequences of one forward pass on one device")
    optimizer: Literal["adamw", "muon"] = Field("adamw", description="adamw | muon (hidden matrices; AdamW the rest)")
    learning_rate: float = Field(1e-3, gt=0.0, description="peak learning rate of AdamW")
    muon_learning_rate: float = Field(0.02, gt=0.0, description="peak learning rate of Muon")
    schedule: Literal["cosine", "wsd"] = Field("cosine", description="cosine | wsd (warm-up, stable, linear decay)")
    warmup_steps: int | None = Field(None, ge=0, description="steps of warm-up; by default a twentieth, at most 2,000")
    decay_share: Share = Field(0.5, description="wsd: share of the steps in which the rate falls")
    final_learning_rate_ratio: Share = Field(0.1, description="rate at the end, relative to the peak")
    weight_decay: float = Field(0.1, ge=0.0, description="decay of weight matrices")
    beta1: Share = Field(0.9, description="AdamW: decay of the mean of gradients")
    beta2: Share = Field(0.95, description="AdamW: decay of the mean of squared gradients")
    momentum: Share = Field(0.95, description="Muon: momentum")
    clip_norm: float = Field(1.0, gt=0.0, description="gradient norm above which gradients are scaled down")
    clip: bool = Field(True, description="gradient clipping")
    z_loss: float = Field(0.0, ge=0.0, description="weight of the squared log-partition")
    mask_documents: bool = Field(False, description="attention stays in its document, whose positions start at 0")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of matrix products; auto: bfloat16 where the processor has it"
    )
    compile: Literal["auto", "on", "graphs", "off"] = Field(
        "auto", description="torch.compile; auto: on a GPU only; graphs: on, and a GPU replays it as CUDA graphs"
    )
    activation_checkpointing: bool | Literal["selective"] = Field(
        False, description="true: recompute each block in the backward pass; selective: all but its matrix products"
    )
    parallel: Literal["ddp", "fsdp"] = Field("ddp", description="several processes: ddp | fsdp (sharded weights)")
    processes: int = Field(1, ge=1, description="training processes on this machine, started by torchrun")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU where there is one")
    threads: int = Field(0, ge=0, description="compute threads on the CPU; 0: one for each processor")
    log_every_steps: int = Field(10, ge=1, description="steps between two lines of metrics")
    loggers: list[LoggerName] = Field(
        default_factory=list,
        description="tools that get the metrics too, each by a package of its own; empty: none (docs/model.md)",
        json_schema_extra=allowed(*LOGGER_PACKAGES),
    )
    validate_every_steps: int = Field(0, ge=0, description="steps between two validations; 0: only after the last")
    max_validation_tokens: int = Field(1_000_000, ge=0, description="tokens of a validation; 0: all")
    checkpoint_every_steps: int = Field(500, ge=0, description="steps between two checkpoints; 0: only the last")
    checkpoint_every_minutes: float = Field(
        10.0,
        ge=0.0,
        description="minutes after which a checkpoint is made anyway, so that a kill costs no more; it goes when the "
        "next of the others is complete; 0: none",
    )
    keep_last: int = Field(2, ge=1, description="how many of the last checkpoints are kept")
    keep_every_steps: int = Field(0, ge=0, description="checkpoints at multiples of this are kept too; 0: none")
    keep_best: bool = Field(False, description="the checkpoint of the lowest validation loss is kept too")
    disk_full: Literal["stop", "continue"] = Field(
        "stop", description="what training does when a checkpoint finds no space"
    )
    spike_sigmas: float = Field(
        8.0, gt=0.0, description="a loss or gradient norm so many deviations above the last 128 skips the step"
    )
    max_skipped_steps: int = Field(20, ge=0, description="skipped steps after which training stops")
    init_optimizer: bool = Field(
        False, description="with a checkpoint in model.init: go on with the state of its optimizer too"
    )
    seed: int = Field(1, ge=0, lt=2**32, description="seed of the weights and of the data order")

    @model_validator(mode="after")
    def _graphs_replay_the_same_shapes_in_the_same_memory(self) -> "Train":
        moving = 'parallel = "fsdp"' if self.parallel == "fsdp" else "mask_documents" if self.mask_documents else None
        if self.compile == "graphs" and moving:
            raise ValueError(f'compile = "graphs" and {moving} do not go together; give compile = "on" instead')
        return self
