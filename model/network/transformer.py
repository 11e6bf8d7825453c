"""The transformer, whole: every learnable part is named here.  docs/model.md walks from the equations to the lines.

Notable features:

- two architectures from one set of parts: gpt2, and qwen3 (which without ``qk_norm`` is Llama); two more that can be
  gone on from: neox (GPT-NeoX, Pythia) and olmo2
- weights, residual stream and norms in float32; matrix products in ``precision``
- one matrix for W_Q, W_K and W_V, one for W_gate and W_up; query heads may share key-value heads in groups
- rotary positions, normalised queries and keys, SwiGLU; attention confined to documents where asked
- the first loss is ln V: exact with a head of its own, near it with a tied one; the vocabulary is padded unseen
- logits never exist all at once in training: the loss comes from the hidden states (``loss``)
- it never asks which device it is on: ``ops`` does

``gpt2``   h = W_E[x] + W_P[t];  for each block: h += Attention(LayerNorm(h)); h += W_down GELU(W_up LayerNorm(h));
           logits = W_E LayerNorm(h)   (or a head of its own)
``qwen3``  h = W_E[x];  for each block: h += Attention(RMSNorm(h)) with rotary positions, normalised queries and keys,
           grouped key-value heads; h += W_down (SiLU(W_gate n) * W_up n), n = RMSNorm(h);  logits = W_head RMSNorm(h)

Shape letters: B sequences, T positions, D width, H query heads, K key-value heads, E head width, F feed-forward width,
V (padded) vocabulary.
Sources: Radford et al. 2019 (GPT-2); Qwen3 technical report, arXiv:2505.09388.
Parity: tests/parity/test_transformers.py checks logits and gradients against transformers' own classes.
"""

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the customary name

from model.checkpoints.checkpoint import MODEL_FILE, open_tensors
from model.checkpoints.tensor_file import TensorFile
from model.devices.shards import local, own_rows
from model.network import ops
from model.network.attention import KeyValueCache, Layout, attend, document_layout
from model.network.config import ModelConfig
from model.network.loss import Loss, chunked_cross_entropy, each_token_loss
from model.network.recompute import Again, Recompute, again, recomputed
from model.network.rotary import rotary_table
from pipeline.base.errors import RunError, UserError
from pipeline.run.checkpoints import chosen, read_state, url_of

EMBEDDING_DEVIATION = 0.02
LARGEST_LOGIT_DEVIATION = 0.32  # keeps the first loss of a tied head within 0.06 of ln V
LARGEST_OWN_LOGIT = 4.0  # where blocks start at zero, a tied head begins by expecting the input token itself


class Linear(nn.Linear):
    """A matrix (and bias) kept in float32 and used in the precision of its input."""

    def forward(self, input: Tensor) -> Tensor:
        """``input`` (..., in) -> (..., out)."""
        bias = None if self.bias is None else self.bias.to(input.dtype)
        return F.linear(input, self.weight.to(input.dtype), bias)


class LayerNorm(nn.LayerNorm):
    """LayerNorm in float32; the result has the precision of the matrix products that follow."""

    def forward(self, input: Tensor) -> Tensor:
        """``input`` (..., D), normalised over D."""
        return F.layer_norm(input.float(), self.normalized_shape, self.weight.float(), self.bias.float(), self.eps)


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + epsilon) * gain, in float32."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.epsilon = epsilon
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets every gain to one."""
        nn.init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        """``input`` (..., D), normalised over D."""
        return ops.rms_norm(input.float(), self.weight.float(), self.epsilon)


class Attention(nn.Module):
    """Causal multi-head self-attention.

    ``query_key_value`` holds W_Q, W_K and W_V one above the other; ``output`` is W_O.  With qwen3, ``query_norm`` and
    ``key_norm`` are the gains of the norm over each head.
    """

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.config, self.layer = config, layer
        bias, out_bias = config.layer_norm or config.attention_bias, config.layer_norm
        total = config.attention_width + 2 * config.key_value_width
        self.query_key_value = Linear(config.width, total, bias=bias)
        self.output = Linear(config.attention_width, config.width, bias=out_bias)
        if config.architecture == "qwen3" and config.qk_norm:
            self.query_norm = RMSNorm(config.head_width, config.norm_epsilon)
            self.key_norm = RMSNorm(config.head_width, config.norm_epsilon)
        elif config.architecture == "olmo2":
            self.query_norm = RMSNorm(config.attention_width, config.norm_epsilon)
            self.key_norm = RMSNorm(config.key_value_width, config.norm_epsilon)

    def forward(self, x_BTD: Tensor, layout: Layout, rotary: tuple[Tensor, Tensor] | None) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        config = self.config
        batch, length, _ = x_BTD.shape
        heads, shared = config.heads, config.key_value_heads
        projected = self.query_key_value(x_BTD)
        if config.architecture == "olmo2":
            projected = self._normalised(projected)
        stacked = projected.view(batch, length, heads + 2 * shared, config.head_width)
        turned, value = stacked.split([heads + shared, shared], dim=2)
        if rotary is not None:
            turned = self._positioned(turned, rotary)
        query, key = turned.split([heads, shared], dim=2)
        query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        if layout.cache is not None:
            key, value = layout.cache.extend(self.layer, key, value)
        attended_BTD = attend(query, key, value, layout).transpose(1, 2).reshape(batch, length, -1)
        return cast(Tensor, self.output(attended_BTD))

    def _positioned(self, x_BTNE: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
        """Queries and keys (N heads together), normalised if the model does that, and turned to their positions."""
        config = self.config
        if config.rotary_width < config.head_width:
            turned = ops.norm_and_rotate(x_BTNE[..., : config.rotary_width], None, *rotary, config.norm_epsilon)
            return torch.cat([turned, x_BTNE[..., config.rotary_width :]], dim=-1)
        gain_NE = None
        if config.architecture == "qwen3" and config.qk_norm:
            sizes = ((self.query_norm, config.heads), (self.key_norm, config.key_value_heads))
            gain_NE = torch.cat([norm.weight.float().expand(heads, -1) for norm, heads in sizes])
        return ops.norm_and_rotate(x_BTNE, gain_NE, *rotary, config.norm_epsilon)

    def _normalised(self, stacked: Tensor) -> Tensor:
        """Queries, and keys, each normalised over all heads together (olmo2)."""
        config = self.config
        keys = config.attention_width
        values = keys + config.key_value_width
        query, key = self.query_norm(stacked[..., :keys]), self.key_norm(stacked[..., keys:values])
        return torch.cat([query.to(stacked.dtype), key.to(stacked.dtype), stacked[..., values:]], dim=-1)


class GeluFeedForward(nn.Module):
    """W_down GELU(W_up x): the feed-forward of gpt2, with GPT-2's tanh form of GELU; neox has the exact one."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.approximate = "tanh" if config.architecture == "gpt2" else "none"
        self.up = Linear(config.width, config.feed_forward_width)
        self.down = Linear(config.feed_forward_width, config.width)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        return cast(Tensor, self.down(F.gelu(self.up(x_BTD), approximate=self.approximate)))


class GatedFeedForward(nn.Module):
    """W_down (SiLU(W_gate x) * W_up x): SwiGLU.  ``gate_up`` holds W_gate above W_up."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_up = Linear(config.width, 2 * config.feed_forward_width, bias=False)
        self.down = Linear(config.feed_forward_width, config.width, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        return cast(Tensor, self.down(ops.gated_unit(self.gate_up(x_BTD))))


class Block(nn.Module):
    """One layer: attention and feed-forward, each behind a norm and added to the residual stream.

    With olmo2 the norms stand after them; with ``parallel`` both read the same stream.
    """

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.after, self.parallel = config.architecture == "olmo2", config.parallel
        self.attention_norm = _norm(config)
        self.attention = Attention(config, layer)
        self.feed_forward_norm = _norm(config)
        self.feed_forward = GeluFeedForward(config) if config.layer_norm else GatedFeedForward(config)
        self.again: Again | None = None

    def forward(
        self, h_BTD: Tensor, layout: Layout, rotary: tuple[Tensor, Tensor] | None, precision: torch.dtype
    ) -> Tensor:
        """(B, T, D) float32 -> (B, T, D) float32; matrix products run in ``precision``."""
        return recomputed(self._layer, self.again, h_BTD, layout, rotary, precision)

    def _layer(
        self, h_BTD: Tensor, layout: Layout, rotary: tuple[Tensor, Tensor] | None, precision: torch.dtype
    ) -> Tensor:
        if self.after:
            h_BTD = h_BTD + cast(Tensor, self.attention_norm(self.attention(h_BTD.to(precision), layout, rotary)))
            return h_BTD + cast(Tensor, self.feed_forward_norm(self.feed_forward(h_BTD.to(precision))))
        if self.parallel:
            attended: Tensor = self.attention(self.attention_norm(h_BTD).to(precision), layout, rotary)
            return h_BTD + attended + cast(Tensor, self.feed_forward(self.feed_forward_norm(h_BTD).to(precision)))
        h_BTD = h_BTD + self.attention(self.attention_norm(h_BTD).to(precision), layout, rotary)
        return h_BTD + cast(Tensor, self.feed_forward(self.feed_forward_norm(h_BTD).to(precision)))


def _norm(config: ModelConfig) -> nn.Module:
    if config.layer_norm:
        return LayerNorm(config.width, eps=config.norm_epsilon)
    return RMSNorm(config.width, config.norm_epsilon)


class Transformer(nn.Module):
    """Token ids (B, T) -> logits (B, T, V).

    Attributes:
        token_embedding: W_E, (V, D).
        position_embedding: W_P, (context_length, D); gpt2 only.
        blocks: The layers.
        final_norm: The norm before the head.
        head: (V, D); None where the head is the token embedding.
        precision: Number format of the matrix products; weights and residual stream stay float32.
    """

    rotary: Tensor

    def __init__(self, config: ModelConfig, seed: int = 1) -> None:
        super().__init__()
        self.config = config
        self.precision = torch.float32
        rows, width = config.padded_vocabulary, config.width
        self.token_embedding = nn.Parameter(torch.empty(rows, width))
        if config.architecture == "gpt2":
            self.position_embedding = nn.Parameter(torch.empty(config.context_length, width))
        else:
            self.register_buffer("rotary", rotary_table(config), persistent=False)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.final_norm = _norm(config)
        self.head = None if config.tied_embeddings else nn.Parameter(torch.empty(rows, width))
        if not self.token_embedding.is_meta:
            self.initialise(seed)

    def recompute(self, what: Recompute) -> None:
        """Has the blocks make activations again in the backward pass instead of keeping them."""
        for block in self.blocks:
            cast(Block, block).again = again(what)

    @classmethod
    def without_weights(cls, config: ModelConfig) -> "Transformer":
        """A model whose weights take no memory until ``materialise``: a process that shards it never holds it whole."""
        with torch.device("meta"):
            return cls(config)

    def materialise(self, device: torch.device, seed: int) -> None:
        """Gives a model without weights those of ``seed``, of a sharded one the rows that this process holds."""
        self.to_empty(device=device)
        if self.config.architecture != "gpt2":
            self.rotary.copy_(rotary_table(self.config))
        self.initialise(seed)

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """Draws the weights, the same for the same seed on every device and however the model is sharded.

        Embeddings ~ N(0, s^2) with s at most 0.02 and small enough that the first loss is near ln V; a head of its own
        starts at zero, so the first loss is ln V.  gpt2: matrices ~ N(0, 0.02^2), those that write to the residual
        stream smaller by sqrt(2 * layers).  qwen3: matrices ~ N(0, 1 / (3 * fan-in)), those that write to it zero.
        """
        generator = torch.Generator().manual_seed(seed)

        def normal(parameter: Tensor, deviation: float) -> None:
            drawn = torch.empty(parameter.shape).normal_(0.0, deviation, generator=generator)
            local(parameter).copy_(drawn[slice(*own_rows(parameter))])

        config = self.config
        deviation = min(EMBEDDING_DEVIATION, LARGEST_LOGIT_DEVIATION / config.width**0.5)
        if config.architecture == "qwen3" and config.tied_embeddings:
            deviation = min(deviation, LARGEST_OWN_LOGIT / config.width)
        normal(self.token_embedding, deviation)
        if self.head is not None:
            self.head.zero_()
        if config.architecture == "gpt2":
            normal(self.position_embedding, EMBEDDING_DEVIATION)
        for name, module in self.named_modules():
            if isinstance(module, LayerNorm | RMSNorm):
                module.reset_parameters()
            if not isinstance(module, Linear):
                continue
            if module.bias is not None:
                module.bias.zero_()
            writes_residual = name.endswith((".output", ".down"))
            if config.architecture == "gpt2":
                normal(module.weight, EMBEDDING_DEVIATION / ((2 * config.layers) ** 0.5 if writes_residual else 1.0))
            elif writes_residual:
                module.weight.zero_()
            else:
                normal(module.weight, (3 * module.in_features) ** -0.5)

    @property
    def head_weight(self) -> Tensor:
        """The matrix that gives the logits, (V, D)."""
        return self.token_embedding if self.head is None else self.head

    def hidden(self, inputs_BT: Tensor, layout: Layout | None = None) -> Tensor:
        """Hidden states after the final norm, (B, T, D), in ``precision``."""
        layout = layout or Layout()
        start = layout.cache.length if layout.cache else 0
        length = inputs_BT.shape[1]
        if start + length > self.config.context_length:
            raise UserError(
                f"{start + length} tokens are more than the model's context of {self.config.context_length}; "
                "shorten the text or train with a larger model.context_length"
            )
        plain = torch.arange(start, start + length, device=inputs_BT.device)
        positions = plain if layout.positions is None else layout.positions
        h_BTD = F.embedding(inputs_BT, self.token_embedding)
        rotary = None
        if self.config.architecture == "gpt2":
            h_BTD = h_BTD + F.embedding(positions, self.position_embedding)
        else:
            cosine, sine = self.rotary[:, positions]
            rotary = (cosine.unsqueeze(-2), sine.unsqueeze(-2))
        for block in self.blocks:
            h_BTD = block(h_BTD, layout, rotary, self.precision)
        if layout.cache is not None:
            layout.cache.length += length
        return cast(Tensor, self.final_norm(h_BTD).to(self.precision))

    def forward(
        self,
        inputs_BT: Tensor,
        *,
        cache: KeyValueCache | None = None,
        documents: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Logits (B, T, vocabulary), float32.

        Args:
            inputs_BT: Token ids.
            cache: Keys and values of earlier positions, extended in place.
            documents: Document number and position of each token, (B, T) both: confines attention to documents.

        Raises:
            UserError: If the sequence is longer than the context.
        """
        h_BTD = self.hidden(
            inputs_BT, Layout(cache=cache) if documents is None else document_layout(*documents, inputs_BT.device)
        )
        return F.linear(h_BTD, self.head_weight[: self.config.vocabulary_size].to(h_BTD.dtype)).float()

    def loss(
        self,
        inputs_BT: Tensor,
        targets_BT: Tensor,
        *,
        documents: tuple[Tensor, Tensor] | None = None,
        z_loss: float = 0.0,
    ) -> Loss:
        """The loss of the next tokens, summed.

        Args:
            inputs_BT: Token ids.
            targets_BT: The next tokens; ``NOT_SCORED`` where one does not count.
            documents: As in ``forward``.
            z_loss: Weight of the squared log-partition.
        """
        return chunked_cross_entropy(*self._scored(inputs_BT, targets_BT, documents), z_loss=z_loss)

    def token_losses(
        self, inputs_BT: Tensor, targets_BT: Tensor, *, documents: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """The loss of each next token (B, T), 0 where it is not scored; without gradients.  Arguments: see ``loss``."""
        return each_token_loss(*self._scored(inputs_BT, targets_BT, documents)).view_as(targets_BT)

    def _scored(
        self, inputs_BT: Tensor, targets_BT: Tensor, documents: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor, Tensor, int]:
        """What a loss is computed from: hidden states, head, targets, entries of the vocabulary."""
        h_BTD = self.hidden(inputs_BT, None if documents is None else document_layout(*documents, inputs_BT.device))
        return h_BTD.flatten(0, 1), self.head_weight, targets_BT.flatten(), self.config.vocabulary_size

    @classmethod
    def from_run(cls, root: str | Path, *, previous: bool = False) -> "Transformer":
        """The model of the latest complete checkpoint of a run, in evaluation mode.

        Args:
            root: The run folder.
            previous: Use the checkpoint before it where the latest is damaged.

        Raises:
            UserError: If there is none.
            RunError: If it is damaged, naming the file.
        """
        return load_model(str(root), previous=previous)


def load_model(root: str, step: int | None = None, *, previous: bool = False) -> Transformer:
    """The model of a run's checkpoint of ``step`` (default: the last one), for evaluation, in float32 on the CPU."""
    step = chosen(root, previous=previous) if step is None else step
    state = read_state(root, step)
    model = Transformer(ModelConfig.from_dict(state["model"]))
    load_weights(model, open_tensors(root, step, MODEL_FILE), url_of(root, step, MODEL_FILE))
    return model.eval()


def rounded(model: Transformer, dtype: str) -> Transformer:
    """The model with the weights that an export in ``dtype`` has; it computes with them in float32."""
    if dtype != "float32":
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(parameter.to(getattr(torch, dtype)))
    return model


def load_weights(model: Transformer, file: TensorFile, where: str) -> None:
    """Reads weights into a model, of a sharded one what this process holds.

    Raises:
        RunError: If they are those of another architecture, naming what differs.
    """
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: file.shape(name) for name in file.names}
    if expected != found:
        names = sorted(expected.keys() | found.keys())
        different = [name for name in names if expected.get(name) != found.get(name)]
        name = different[0]
        raise RunError(
            f"{where}: weights of another architecture: {name} is {found.get(name, 'absent')}, the recipe's model has "
            f"{expected.get(name, 'no such tensor')} ({len(different)} tensors differ)"
        )
    for name, value in model.state_dict().items():
        file.fill(name, value)
