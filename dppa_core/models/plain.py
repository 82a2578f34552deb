"""Small Llamas as parameters and settings alone: all that `OwnStep` needs.

transformers takes two seconds and 110 MB for what builds a model and computes its forward pass. A
process that only answers needs neither: parameters here have the names of transformers' own, so
everything that reads or rewrites weights works on both.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import Module, ModuleList, Parameter

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.folders.small_files import read_object
from dppa_core.checkpoints.vocabulary.tokenizer_files import SETTINGS
from dppa_core.models.resident import MIN_GPU_BYTES

_SIZES = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "head_dim"),
    *("num_key_value_heads", "vocab_size", "max_position_embeddings"),
)
_TOKENIZERS = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Two names of the class that transformers chooses for both."""
_FIXED_SETTINGS = {"model_type": "llama", "hidden_act": "silu"}
_DEFAULT_SETTINGS = {"attention_bias": False, "mlp_bias": False}
_ROTATION = {"rope_theta": 10_000.0, "rope_type": "default"}
"""Rotary embedding of a Llama whose config.json says nothing else."""
_UNKNOWN_KEYS = ("quantization_config", "rope_scaling", "rope_theta")


class PlainModel(Module):
    """The parameters of a Llama; it has no forward pass of its own."""

    def __init__(
        self, config: Mapping[str, Any], ends: list[int], weights: Mapping[str, Tensor]
    ) -> None:
        super().__init__()
        self.config = SimpleNamespace(**{"rope_parameters": _ROTATION, **config})
        self.generation_config = SimpleNamespace(eos_token_id=ends)
        for name, value in weights.items():
            _place(self, name.split("."), Parameter(value, requires_grad=False))
        inner: Any = self.model
        if config["tie_word_embeddings"]:
            _place(self, ["lm_head", "weight"], inner.embed_tokens.weight)
        for module in self.modules():
            module.register_parameter("bias", None)
        theta = float(self.config.rope_parameters["rope_theta"])
        inner.rotary_emb = partial(_angles, theta, self.config.head_dim)

    @property
    def dtype(self) -> torch.dtype:
        """Of its parameters."""
        return next(self.parameters()).dtype

    def get_input_embeddings(self) -> Any:
        """The embedding, with its weight."""
        inner: Any = self.model
        return inner.embed_tokens


def _place(root: Module, path: list[str], value: Parameter) -> None:
    *modules, last = path
    for name in modules:
        if name not in dict(root.named_children()):
            root.add_module(name, ModuleList() if name == "layers" else Module())
        root = root.get_submodule(name)
    root.register_parameter(last, value)


def _angles(
    theta: float, size: int, like: Tensor, positions: Int[Tensor, "1 positions"]
) -> tuple[Float[Tensor, "1 positions size"], Float[Tensor, "1 positions size"]]:
    """Cosines and sines of rotary embeddings, to the bit those of transformers."""
    inverse = 1.0 / (theta ** (torch.arange(0, size, 2, dtype=torch.float) / size))
    angles = positions[:, :, None].float() * inverse
    whole = torch.cat((angles, angles), dim=-1)
    return whole.cos().to(like.dtype), whole.sin().to(like.dtype)


def is_plain(config: Mapping[str, Any]) -> bool:
    """Return True if a config.json describes a Llama and nothing that this module lacks."""
    rotation = config.get("rope_parameters", _ROTATION)
    return (
        all(config.get(name) == value for name, value in _FIXED_SETTINGS.items())
        and all(config.get(name, value) is value for name, value in _DEFAULT_SETTINGS.items())
        and all(type(config.get(name)) is int and config[name] > 0 for name in _SIZES)
        and type(config.get("tie_word_embeddings")) is bool
        and type(config.get("rms_norm_eps")) is float
        and isinstance(rotation, Mapping)
        and rotation.keys() == _ROTATION.keys()
        and rotation["rope_type"] == "default"
        and type(rotation["rope_theta"]) in (int, float)
        and config["num_attention_heads"] % config["num_key_value_heads"] == 0
        and config["hidden_size"] % config["num_attention_heads"] == config["head_dim"] % 2 == 0
        and not any(name in config for name in _UNKNOWN_KEYS)
    )


def plain_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder of a plain model; None if transformers has to choose its class."""
    path = folder / SETTINGS
    settings = read_object(path) if path.is_file() else {}
    if settings.get("tokenizer_class") not in _TOKENIZERS or "auto_map" in settings:
        return None
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415  (half a second)

    return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)


def plain_model(source: Checkpoint, weights: Mapping[str, Tensor]) -> PlainModel | None:
    """The plain model of some weights; None unless they are exactly those of its config.json.

    Args:
        source: Where the configuration lies; `is_plain`.
        weights: Name -> tensor.
    """
    shapes, ends = tensor_shapes(source.config), _ends(source)
    fits = {name: tuple(value.shape) for name, value in weights.items()} == shapes
    # A GPU may have to compute a larger one, which needs transformers' forward pass.
    small = sum(value.nbytes for value in weights.values()) < MIN_GPU_BYTES
    if not (fits and small and all(type(end) is int for end in ends)):
        return None
    return PlainModel(source.config, ends, {name: weights[name] for name in shapes})


def _ends(source: Checkpoint) -> list[Any]:
    """The ids that end a reply, as its files name them."""
    path = source.folder / "generation_config.json"
    ends = (read_object(path) if path.is_file() else source.config).get("eos_token_id")
    return ends if isinstance(ends, list) else [] if ends is None else [ends]


def tensor_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor of a plain model, layers in their order."""
    width, inner, size = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * size, config["num_key_value_heads"] * size
    of_layer: dict[str, tuple[int, ...]] = {
        "self_attn.q_proj": (queries, width),
        "self_attn.k_proj": (keys, width),
        "self_attn.v_proj": (keys, width),
        "self_attn.o_proj": (width, queries),
        "mlp.gate_proj": (inner, width),
        "mlp.up_proj": (inner, width),
        "mlp.down_proj": (width, inner),
        "input_layernorm": (width,),
        "post_attention_layernorm": (width,),
    }
    words = (config["vocab_size"], width)
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": words}
    for layer in range(config["num_hidden_layers"]):
        shapes |= {f"model.layers.{layer}.{name}.weight": to for name, to in of_layer.items()}
    shapes["model.norm.weight"] = (width,)
    return shapes if config["tie_word_embeddings"] else shapes | {"lm_head.weight": words}
