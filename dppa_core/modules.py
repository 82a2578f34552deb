"""Which tensors are linear modules, and where they sit.

Knows names and shapes only: no weights, no configuration files.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

KINDS = ("q", "k", "v", "o", "gate", "up", "down")
"""The kinds of a Llama block, in the order they are shown."""

_LLAMA = {f"{kind}_proj": kind for kind in KINDS}
_BLOCK = re.compile(r"(?:^|\.)((?:layers?|h|blocks?)\.(\d+)\.(.+))\.weight$")
_OTHER = re.compile(r"norm|embed|(?:^|\.)(?:ln|wte|wpe)|bias", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Module:
    """One linear weight inside a transformer block."""

    name: str
    """Short name, as "layers.3.mlp.down_proj"."""
    tensor: str
    """Name on disk, as "model.layers.3.mlp.down_proj.weight"."""
    layer: int
    """Index of the transformer block."""
    kind: str
    """One of `KINDS` for Llama names, else the last part of the name."""
    numel: int
    shape: tuple[int, ...]


def layer_of(tensor: str) -> int | None:
    """Index of the block a tensor of any shape sits in; None outside the blocks."""
    found = re.search(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.", tensor)
    return int(found.group(1)) if found else None


def find_modules(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Module, ...]:
    """The linear modules among named shapes, by layer, then kind.

    A module is a 2-D weight inside a block that acts as a matrix product. Embeddings, the LM
    head, norms and biases are not modules: they are the other tensors.
    """
    found = [_module(tensor, tuple(shape)) for tensor, shape in shapes.items()]
    return tuple(sorted((module for module in found if module), key=_order))


def _module(tensor: str, shape: tuple[int, ...]) -> Module | None:
    match = _BLOCK.search(tensor)
    if match is None or len(shape) != 2 or math.prod(shape) == 0:
        return None
    inside = match.group(3)
    if _OTHER.search(inside):
        return None
    last = inside.rsplit(".", 1)[-1]
    # Two towers (encoder, decoder) both count their blocks from 0: keep what tells them apart.
    tower = re.search(r"(encoder|decoder)\.(?=layers?\.|h\.|blocks?\.)", tensor)
    name = (tower.group(0) if tower else "") + match.group(1)
    kind = _LLAMA.get(last, last)
    return Module(name, tensor, int(match.group(2)), kind, math.prod(shape), shape)


def _order(module: Module) -> tuple[int, int, str]:
    rank = KINDS.index(module.kind) if module.kind in KINDS else len(KINDS)
    return module.layer, rank, module.name
