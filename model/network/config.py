"""What defines a model: ``ModelConfig``, from a recipe or a Hugging Face ``config.json``.

No torch here: planning a run or reading a configuration must not load it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from pipeline.base.errors import UserError
from pipeline.recipe.training_options import Model

VOCABULARY_MULTIPLE = 64  # matrix units like row counts of this multiple
LOSS_CHUNK_TOKENS = 1024  # rows of logits that exist at once
LOSS_CHUNK_TOKENS_CPU = 256  # on a CPU, where they should stay in its cache
Scaling = dict[str, Any]  # as in transformers' rope_parameters, every key that its kind has; empty: none
SCALINGS: dict[
    str, dict[str, Any]
] = {  # kind -> its keys, with the value of one that is not there; None: no such value
    "linear": {"factor": None},
    "dynamic": {"factor": None, "original_max_position_embeddings": None},
    "llama3": {
        "factor": None,
        "low_freq_factor": None,
        "high_freq_factor": None,
        "original_max_position_embeddings": None,
    },
    "yarn": {
        "factor": None,
        "original_max_position_embeddings": None,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "truncate": True,
    },
}
OPTIONAL_OF_SCALING = {"yarn": ("attention_factor", "mscale", "mscale_all_dim")}
LONGEST_EXPLICIT = 1024  # positions up to which a CPU's attention in bfloat16 keeps all scores


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a transformer; docs/model.md has the equations.

    Zeros stand for "derived": ``key_value_heads`` = heads, ``head_width`` = width / heads, ``feed_forward_width`` =
    4 * width for gpt2 and 8/3 * width, rounded up to a multiple of 64, for qwen3, ``rotary_width`` (of a head, the part
    that is turned) = head_width.  ``neox`` and ``olmo2`` are read from somebody's folder, never asked for by a recipe;
    ``parallel``: attention and feed-forward read the same residual stream (neox).
    """

    architecture: str = "gpt2"
    vocabulary_size: int = 4096
    context_length: int = 256
    layers: int = 4
    heads: int = 4
    width: int = 256
    key_value_heads: int = 0
    head_width: int = 0
    feed_forward_width: int = 0
    tied_embeddings: bool = True
    qk_norm: bool = True
    attention_bias: bool = False
    rotary_base: float = 10_000.0
    rotary_scaling: Scaling = field(default_factory=dict)
    rotary_width: int = 0
    parallel: bool = False
    norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        if self.architecture not in ("gpt2", "qwen3", "neox", "olmo2"):
            raise UserError(f"model.architecture = {self.architecture!r}: expected gpt2 or qwen3")
        for name in ("vocabulary_size", "context_length", "layers", "heads", "width"):
            if getattr(self, name) < 1:
                raise UserError(f"model.{name} = {getattr(self, name)}: expected at least 1")
        if not self.head_width and self.width % self.heads:
            fitting = [n for n in range(1, self.width + 1) if self.width % n == 0]
            near = sorted(fitting, key=lambda n: abs(n - self.heads))[:3]
            raise UserError(
                f"model.heads = {self.heads} does not divide model.width = {self.width}; heads such as "
                f"{', '.join(str(n) for n in sorted(near))} do"
            )
        self._derive()
        if self.heads % self.key_value_heads:
            raise UserError(
                f"model.key_value_heads = {self.key_value_heads} does not divide model.heads = {self.heads}"
            )
        if self.architecture == "gpt2" and self.heads * self.head_width != self.width:
            raise UserError(
                f"model.head_width = {self.head_width}: {self.heads} heads of gpt2 share model.width = {self.width}, "
                f"so it is {self.width / self.heads:g}; other widths need qwen3"
            )
        if self.architecture == "gpt2" and self.key_value_heads != self.heads:
            raise UserError("model.key_value_heads: gpt2 has as many as heads; grouped queries need qwen3")
        if self.architecture != "gpt2" and self.rotary_width % 2:
            raise UserError(f"model.head_width = {self.rotary_width}: rotary positions need an even number")

    def _derive(self) -> None:
        feed_forward = 4 * self.width if self.architecture == "gpt2" else rounded_up(-(-8 * self.width // 3), 64)
        derived = {
            "key_value_heads": self.key_value_heads or self.heads,
            "head_width": self.head_width or self.width // self.heads,
            "feed_forward_width": self.feed_forward_width or feed_forward,
            "rotary_width": self.rotary_width or self.head_width or self.width // self.heads,
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)  # frozen: the one moment at which a field is completed

    @property
    def layer_norm(self) -> bool:
        """Whether norms are LayerNorm and the other layers have biases and GELU: the style of GPT-2."""
        return self.architecture in ("gpt2", "neox")

    @property
    def padded_vocabulary(self) -> int:
        """Rows of the embedding and the head: the vocabulary, rounded up."""
        return rounded_up(self.vocabulary_size, VOCABULARY_MULTIPLE)

    @property
    def attention_width(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_width

    @property
    def key_value_width(self) -> int:
        """Width of all key (or value) heads together."""
        return self.key_value_heads * self.head_width

    def stacked_rows(self, parameter: str) -> list[int]:
        """Rows of the parts that a parameter holds one above the other; [] where it is one part."""
        if parameter.endswith(("query_key_value.weight", "query_key_value.bias")):
            return [self.attention_width, self.key_value_width, self.key_value_width]
        return [self.feed_forward_width] * 2 if parameter.endswith("gate_up.weight") else []

    @classmethod
    def from_recipe(cls, model: Model, vocabulary_size: int) -> "ModelConfig":
        """The shape that a recipe's ``[model]`` asks for.

        Raises:
            UserError: If its numbers do not fit together.
        """
        shape = model.model_dump(include={field.name for field in fields(cls)})
        epsilon = 1e-5 if model.architecture == "gpt2" else 1e-6
        return cls(vocabulary_size=vocabulary_size, norm_epsilon=epsilon, **shape)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelConfig":
        """The inverse of ``to_dict``."""
        return cls(**values)


def rounded_up(value: int, multiple: int) -> int:
    """The smallest multiple that is at least ``value``."""
    return -(-value // multiple) * multiple
