"""The forward pass of Llama, Mistral, Qwen2 and Qwen3 on the CPU, with a static key-value cache.

transformers dispatches about 450 operations for one token of a small model; this pass dispatches
15 for each layer, and one for a step once that is compiled (`kernels/token_step.py`). The weights
stay those of the transformers model: `fuse_weights` laid the projections that read the same input
side by side, and the model keeps views of them, so a merge that is written into the model in place
changes this pass too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt64
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from dppa_core.models.parameter_views import LayerWeights, by_rows, layer_of

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""`model_type` of the models whose layers this module knows."""
ONE_CORE_BYTES = 256 << 20
"""Bytes of weights up to which the compiled step, which uses one core, replaces several threads of
torch: the bound of the examiner, not measured. With one thread it won at every number of texts: a
token of an embedded model took 0.25 of torch's processor time for 1 text, 0.35 for 4, 0.5 for 16,
0.7 for 50, 0.8 for 64 (medians by turns in one process, on a busy machine)."""
_STATIC_ROTATION = ("default", "linear", "llama3")
"""Rotary embeddings whose angles depend on the position alone."""


def knows(model: Any) -> bool:
    """Return True if `OwnStep` can compute this model."""
    config = model.config
    rotation = getattr(config, "rope_parameters", None) or {}
    windows = getattr(config, "layer_types", None) or ()
    window = getattr(config, "sliding_window", None)
    if config.model_type == "mistral" and window is not None:
        return False
    return (
        config.model_type in FAMILIES
        and all(weight.device.type == "cpu" for weight in model.parameters())  # none lies on disk
        and model.dtype in (torch.float32, torch.bfloat16)
        and rotation.get("rope_type") in _STATIC_ROTATION
        and config.hidden_act == "silu"
        and not getattr(config, "mlp_bias", False)
        and "sliding_attention" not in windows
        and getattr(config, "quantization_config", None) is None
        and model.model.layers[0].self_attn.o_proj.bias is None
    )


class KeyValues:
    """Keys and values of some texts, one row each, for the reserved positions."""

    def __init__(self, layers: int, heads: int, size: int, dtype: torch.dtype) -> None:
        self._layers, self._heads, self._size, self._dtype = layers, heads, size, dtype
        self._values = self._reserved(0, 0)

    def _reserved(self, rows: int, positions: int) -> Tensor:
        shape = (self._layers, rows, 2 * self._heads, positions, self._size)
        return torch.zeros(shape, dtype=self._dtype)

    def reserve(self, rows: int, positions: int) -> None:
        """Make room for this many rows and positions; existing content stays."""
        old = self._values
        if rows <= old.shape[1] and positions <= old.shape[3]:
            return
        more_rows = max(rows, min(2 * old.shape[1], rows + 16)) if rows > old.shape[1] else 0
        self._values = self._reserved(
            max(more_rows, old.shape[1]), max(-(-positions // 64) * 64, old.shape[3])
        )
        self._values[:, : old.shape[1], :, : old.shape[3]] = old

    def keep(self, rows: Sequence[int], positions: int) -> None:
        """Make these rows, up to a position, the first ones, in this order; drop the others."""
        for place, row in enumerate(rows):
            if place != row:
                self._values[:, place, :, :positions] = self._values[:, row, :, :positions]

    def repeat(self, row: int, rows: int, positions: int) -> None:
        """Copy a row, up to a position, to the `rows` - 1 rows behind it."""
        self._values[:, row + 1 : row + rows, :, :positions] = self._values[
            :, row : row + 1, :, :positions
        ]

    def array(self) -> Float32[ndarray, "layers rows heads positions size"]:
        """Everything, as an array of the same memory; float32 alone."""
        values: Float32[ndarray, ...] = self._values.numpy()
        return values

    def of_layer(self, index: int) -> Tensor:
        """(rows, keys then values of all heads, positions, head size): a view."""
        return self._values[index]


class OwnStep:
    """Computes new tokens of some texts; a `KeyValues` holds their past."""

    def __init__(self, model: Any) -> None:
        config, inner = model.config, model.model
        self._heads = config.num_attention_heads
        self._kv_heads = config.num_key_value_heads
        self._size = getattr(config, "head_dim", None) or config.hidden_size // self._heads
        self._eps = config.rms_norm_eps
        self._inner = config.intermediate_size
        self._dtype = model.dtype
        self._embedding = inner.embed_tokens.weight.detach()
        self._norm, self._head = inner.norm.weight.detach(), model.lm_head.weight.detach()
        self._head_bias = model.lm_head.bias
        self._layers = [layer_of(layer) for layer in inner.layers]
        self._rotary = inner.rotary_emb
        self._addresses = self._addressed()
        self._cos, self._sin = self._angles(0)

    def empty(self) -> KeyValues:
        """A cache for texts that are not read yet."""
        return KeyValues(len(self._layers), self._kv_heads, self._size, self._dtype)

    def _angles(self, positions: int) -> tuple[Tensor, Tensor]:
        """Cosine and sine by position, (positions, 1, head size); the sine's first half negated."""
        nothing = torch.zeros(1, dtype=self._dtype)
        cos, sin = self._rotary(nothing, torch.arange(positions)[None])
        half = self._size // 2
        sin = torch.cat((-sin[0, :, :half], sin[0, :, half:]), -1)
        return cos[0, :, None], sin[:, None]

    def read(
        self,
        ids: Int[Tensor, "texts tokens"],
        past: KeyValues,
        row: int,
        kept: Int[Tensor, " n"],
        first: int = 0,
    ) -> Float[Tensor, "n hidden"]:
        """Read tokens of texts, padded at their ends, into the rows from `row` on.

        Args:
            first: Position of the first token; those before it were read into these rows.

        Returns:
            The last layer's output at the positions `kept` of the flattened `ids`.
        """
        texts, tokens = ids.shape
        end = first + tokens
        past.reserve(row + texts, end)
        self._know(end)
        cos, sin = (table[first:end].repeat(texts, 1, 1) for table in (self._cos, self._sin))
        mask = torch.ones(tokens, end, dtype=torch.bool).tril(first) if first else None
        heads = self._heads
        x = functional.embedding(ids.reshape(-1), self._embedding)
        for index, layer in enumerate(self._layers):
            z = self._projected(layer, x, cos, sin).view(texts, tokens, -1, self._size)
            kv = z[:, :, heads:].transpose(1, 2)
            cached = past.of_layer(index)[row : row + texts]
            cached[:, :, first:end] = kv
            if first:
                kv = cached[:, :, :end]
            attended = self._attended(z[:, :, :heads].transpose(1, 2), kv, mask, mask is None)
            attended = attended.transpose(1, 2).reshape(texts * tokens, -1)
            if layer is self._layers[-1]:
                x, attended = x[kept], attended[kept]
            x = self._finished(layer, x, attended)
        return self._normed(x, self._norm)

    def _addressed(self) -> UInt64[ndarray, "layers nine"] | None:
        """`weights` of the compiled step; None if it does not know such a model."""
        last = (self._embedding, self._norm, self._head)
        table = [*map(by_rows, self._layers), (*last, *[None] * 6)]
        used = [tensor for row in table for tensor in row if tensor is not None]
        nbytes = sum(tensor.nbytes for tensor in used)
        parallel = torch.get_num_threads() > 1 and nbytes > ONE_CORE_BYTES
        if (
            parallel
            or self._head_bias is not None
            or not all(tensor.dtype == torch.float32 and tensor.is_contiguous() for tensor in used)
        ):
            return None
        places = [[0 if tensor is None else tensor.data_ptr() for tensor in row] for row in table]
        return np.array(places, np.uint64)

    def step(
        self, ids: Int[Tensor, " texts"], past: KeyValues, lengths: Sequence[int]
    ) -> Float[Tensor, "texts vocabulary"]:
        """Read one more token of the texts in the first rows; float32 logits of the next one.

        Args:
            lengths: How many tokens of each text were read before.
        """
        longest = max(lengths) + 1
        past.reserve(len(lengths), longest)
        self._know(longest)
        compiled = None if self._addresses is None else _compiled_step()
        if compiled is None:
            return self.logits(self._stepped(ids, past, lengths))
        out = torch.empty(len(lengths), len(self._head))
        sizes = self._heads, self._embedding.shape[1], self._inner, len(self._embedding)
        angles = [table.numpy().reshape(-1, self._size) for table in (self._cos, self._sin)]
        texts = ids.contiguous().numpy(), np.array(lengths), past.array()
        model = self._addresses, np.array(sizes), np.float32(self._eps)
        compiled(*model, *texts, *angles, out.numpy())
        return out

    def _stepped(self, ids: Tensor, past: KeyValues, lengths: Sequence[int]) -> Tensor:
        """The last layer's output, (texts, hidden)."""
        texts, longest = len(lengths), max(lengths) + 1
        equal = min(lengths) + 1 == longest
        at = torch.tensor(lengths)
        cos, sin = self._cos[at], self._sin[at]
        rows = torch.arange(texts)
        mask = None if equal else (torch.arange(longest) <= at[:, None])[:, None, None]
        heads = self._heads
        x = functional.embedding(ids, self._embedding)
        for index, layer in enumerate(self._layers):
            z = self._projected(layer, x, cos, sin)
            kept = past.of_layer(index)[:texts]
            if equal:
                kept[:, :, longest - 1] = z[:, heads:]
            else:
                kept[rows, :, at] = z[:, heads:]
            attended = self._attended(z[:, :heads, None], kept[:, :, :longest], mask)
            x = self._finished(layer, x, attended.reshape(texts, -1))
        return self._normed(x, self._norm)

    def logits(self, hidden: Float[Tensor, "*some hidden"]) -> Float[Tensor, "*some vocabulary"]:
        """Logits of the next token, in float32."""
        return functional.linear(hidden, self._head, self._head_bias).float()

    def _know(self, positions: int) -> None:
        """Compute angles for this many positions."""
        if positions > len(self._cos):
            self._cos, self._sin = self._angles(-(-positions // 256) * 256)

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        if x.dtype == torch.float32:
            return functional.rms_norm(x, weight.shape, weight, self._eps)
        return weight * functional.rms_norm(x.float(), weight.shape, None, self._eps).to(x.dtype)

    def _projected(self, layer: LayerWeights, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Queries and keys, rotated, and values: (tokens, all heads, head size)."""
        z = functional.linear(self._normed(x, layer.before_attention), layer.qkv, layer.qkv_bias)
        z = z.view(len(x), -1, self._size)
        turning = z[:, : self._heads + self._kv_heads]
        if layer.norms is not None:
            turning[:, : self._heads] = self._normed(turning[:, : self._heads], layer.norms[0])
            turning[:, self._heads :] = self._normed(turning[:, self._heads :], layer.norms[1])
        swapped = turning.roll(self._size // 2, -1)
        torch.addcmul(turning * cos, swapped, sin, out=turning)
        return z

    def _attended(
        self, queries: Tensor, kv: Tensor, mask: Tensor | None, causal: bool = False
    ) -> Tensor:
        """(texts, heads, new tokens, head size), of keys and values as `KeyValues.of_layer`."""
        keys, values = kv[:, : self._kv_heads], kv[:, self._kv_heads :]
        shared = self._heads != self._kv_heads
        return functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, is_causal=causal, enable_gqa=shared
        )

    def _finished(self, layer: LayerWeights, x: Tensor, attended: Tensor) -> Tensor:
        """The layer's output, given its input and the attention's: (tokens, hidden)."""
        x = torch.addmm(x, attended, layer.out)
        wide = functional.linear(self._normed(x, layer.before_mlp), layer.gate_up)
        gate = functional.silu(wide[:, : self._inner])
        return torch.addmm(x, gate.mul_(wide[:, self._inner :]), layer.down)


def _compiled_step() -> Callable[..., None] | None:
    """The compiled step, if nobody has to wait for it."""
    from dppa_core.kernels.token_step import token_step  # noqa: PLC0415  (numba, where it is used)

    return token_step()
