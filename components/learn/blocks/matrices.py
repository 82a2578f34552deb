"""A block on the matrices of a transformer: the number of weights of each kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dppa_core.pruning.module_groups import Module, find_modules, order_kinds

from .context import Arguments, BlockContext, choice

ATTENTION = ("q", "k", "v", "qkv", "o")
PUBLISHED = {
    "Llama 2 7B": (32, 4096, 4096, 11008, 2 * 32000 * 4096 + 65 * 4096),
    "Llama 3 8B": (32, 4096, 1024, 14336, 2 * 128256 * 4096 + 65 * 4096),
}
"""Layers, width, width of k and v, inner width of the MLP (arXiv:2307.09288, arXiv:2407.21783), and
the weights of embeddings, head and norms."""


def matrix_counts(arguments: Arguments, context: BlockContext) -> dict[str, Any]:
    """Weights by kind of matrix, from shapes, for the page's models and two published ones. {"of"}
    is one of the returned names; by default the embedded models."""
    names = {**{row["label"]: row["model"] for row in context.names()}, **PUBLISHED}
    name = choice(arguments, "of", tuple(names))
    if name in PUBLISHED:
        *shape, others = PUBLISHED[name]
        modules = _published(*shape)
    else:
        base, model = context.pair({"model": names[name]})
        profile = context.studio.profile(base, model)
        modules = tuple(item.module for item in profile.modules)
        others = profile.other_tensors
    rows = _rows(modules)
    return {
        "names": list(names),
        "of": name,
        "layers": len({module.layer for module in modules}),
        "rows": rows,
        "others": others,
        "figures": _figures(rows, others, modules),
    }


def _published(layers: int, width: int, narrow: int, inner: int) -> tuple[Module, ...]:
    shapes = {
        "self_attn.q_proj": (width, width),
        "self_attn.k_proj": (narrow, width),
        "self_attn.v_proj": (narrow, width),
        "self_attn.o_proj": (width, width),
        "mlp.gate_proj": (inner, width),
        "mlp.up_proj": (inner, width),
        "mlp.down_proj": (width, inner),
    }
    tensors = {
        f"model.layers.{layer}.{name}.weight": shape
        for layer in range(layers)
        for name, shape in shapes.items()
    }
    return tuple(find_modules(tensors))


def _rows(modules: Iterable[Module]) -> list[dict[str, Any]]:
    by_kind: dict[str, list[Module]] = {}
    for module in modules:
        by_kind.setdefault(module.kind, []).append(module)
    return [
        {
            "kind": kind,
            "part": "attention" if kind in ATTENTION else "MLP",
            "shape": list(by_kind[kind][0].shape),
            "each": by_kind[kind][0].numel,
            "count": len(by_kind[kind]),
            "numel": sum(module.numel for module in by_kind[kind]),
        }
        for kind in order_kinds(by_kind)
    ]


def _figures(
    rows: list[dict[str, Any]], others: int, modules: tuple[Module, ...]
) -> dict[str, Any]:
    total = sum(row["numel"] for row in rows)
    attention = sum(row["numel"] for row in rows if row["part"] == "attention")
    return {
        "matrices": len(modules),
        "kinds": len(rows),
        "layers": len({module.layer for module in modules}),
        "weights": total,
        "attention": attention / total,
        "mlp": 1 - attention / total,
        "others": others,
        "inside": total / (total + others),
    }
