"""Finds the linear modules among tensors, with their layer and kind.

Model families are recognised by tensor names, so a new family needs no table.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

KINDS = ("q", "k", "v", "qkv", "o", "router", "gate", "up", "gate_up", "down")
"""Kinds of modules in display order: attention first, then the MLP."""

_BLOCK = re.compile(r"(?:^|\.)((?:layers?|h|blocks?)\.(\d+)\.(.+))$")
_EXPERTS = re.compile(r"(?:^|\.)(?:experts|\w*moe)(?:\.|$)")
_EXCLUDED = re.compile(r"norm|embed|(?:^|\.)(?:ln|wte|wpe|lm_head|shared_head)|bias", re.IGNORECASE)

_BY_NAME = {
    **{f"{kind}_proj": kind for kind in ("q", "k", "v", "qkv", "o", "gate", "up", "down")},
    **dict.fromkeys(("query_key_value", "c_attn", "Wqkv", "wqkv"), "qkv"),
    "out_proj": "o",
    **dict.fromkeys(("gate", "shared_expert_gate", "router"), "router"),
    **dict.fromkeys(("fc1", "fc_in", "c_fc", "dense_h_to_4h"), "up"),
    **dict.fromkeys(("fc2", "fc_out", "dense_4h_to_h"), "down"),
    "gate_up_proj": "gate_up",
}
# Names whose meaning depends on their place: part of the path -> last part -> kind.
_BY_PLACE = (
    (
        re.compile(r"attn|attention", re.IGNORECASE),
        {"c_proj": "o", "dense": "o", "wo": "o", "query": "q", "key": "k", "value": "v"},
    ),
    (re.compile(r"mlp"), {"c_proj": "down"}),
    (
        re.compile(r"experts|moe|feed_forward"),
        {"w1": "gate", "w3": "up", "w2": "down", "input_linear": "gate_up"}
        | {"output_linear": "down"},
    ),
)


@dataclass(frozen=True, slots=True)
class Module:
    """One linear weight inside a transformer block."""

    name: str
    """Short name, as "layers.3.mlp.down_proj"; the full one if short names would collide."""
    tensor: str
    """Name on disk, as "model.layers.3.mlp.down_proj.weight"."""
    layer: int
    """Index of the transformer block."""
    kind: str
    """One of `KINDS`, else the last part of the name."""
    numel: int
    shape: tuple[int, ...]
    """Out x in, or in x out (GPT-2); experts stored as one tensor have a third, leading axis."""


def layer_of(tensor: str) -> int | None:
    """Index of a tensor's block, for any shape; None outside the blocks."""
    block = _BLOCK.search(tensor)
    return int(block.group(2)) if block else None


def at_layer(tensor: str, layer: int | str) -> str:
    """The name of a tensor of a block in another block."""
    block = _BLOCK.search(tensor)
    return f"{tensor[: block.start(2)]}{layer}{tensor[block.end(2) :]}" if block else tensor


def layer_count(tensors: Iterable[str]) -> int:
    """Number of blocks; 0 if there are none."""
    layers = [layer for layer in map(layer_of, tensors) if layer is not None]
    return 1 + max(layers, default=-1)


def blocks_word(tensors: Iterable[str]) -> str | None:
    """A text in the names of exactly the tensors in blocks: ".layers.", or "h." (GPT-2).

    None without blocks, or if there is no such text.
    """
    blocks = {name: _BLOCK.search(name) for name in tensors}
    inside = [name for name, block in blocks.items() if block]
    outside = [name for name, block in blocks.items() if not block]
    words = {block.group(1).partition(".")[0] for block in blocks.values() if block}
    for word in [f"{dot}{word}." for word in sorted(words) for dot in (".", "")]:
        if all(word in name for name in inside) and not any(word in name for name in outside):
            return word
    return None


def find_modules(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Module, ...]:
    """The linear modules among named shapes, by layer, then kind.

    A module is a weight inside a block that acts as a matrix product: two axes, or three for
    experts stored as one tensor. Embeddings, positions, the LM head, norms, convolutions and
    biases are not modules: they are the other tensors.
    """
    candidates = [_module(tensor, tuple(shape)) for tensor, shape in shapes.items()]
    modules = [module for module in candidates if module]
    counts = Counter(module.name for module in modules)
    unique = [
        module if counts[module.name] == 1 else replace(module, name=_full_name(module))
        for module in modules
    ]
    return tuple(sorted(unique, key=_order))


def _full_name(module: Module) -> str:
    return module.tensor.removesuffix(".weight")


def order_kinds(kinds: Iterable[str]) -> tuple[str, ...]:
    """Each kind once: those of `KINDS` in order, then others by name."""
    present = set(kinds)
    return (*(kind for kind in KINDS if kind in present), *sorted(present - set(KINDS)))


def _module(tensor: str, shape: tuple[int, ...]) -> Module | None:
    match = _BLOCK.search(tensor)
    if match is None or math.prod(shape) == 0:
        return None
    experts = _EXPERTS.search(match.group(3)) is not None
    # Experts stored as one bare parameter have no ".weight" (gpt-oss, Llama 4, DBRX).
    if not tensor.endswith(".weight") and not experts:
        return None
    inside = match.group(3).removesuffix(".weight")
    if len(shape) not in ((2, 3) if experts else (2,)) or _EXCLUDED.search(inside):
        return None
    name = match.group(1).removesuffix(".weight")
    return Module(name, tensor, int(match.group(2)), _kind(inside), math.prod(shape), shape)


def _kind(inside: str) -> str:
    """The kind of a module by its name inside the block, as "self_attn.q_proj"."""
    path, _, last = inside.rpartition(".")
    for place, kinds in _BY_PLACE:
        if last in kinds and place.search(path):
            return kinds[last]
    return _BY_NAME.get(last, last)


def _order(module: Module) -> tuple[int, int, str]:
    rank = KINDS.index(module.kind) if module.kind in KINDS else len(KINDS)
    return module.layer, rank, module.name
