"""Attribution of an answer: its loss with and without the delta of each part of a merge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dppa_core.charts.tables import capital
from dppa_core.errors import InvalidValue, shown
from dppa_core.pruning.module_groups import find_modules, layer_of, order_kinds

CHOICES = ("layer", "module")
"""A part: all tensors of a layer, or its modules of one kind."""
OUTSIDE = "outside"
"""The kind of the part outside all layers: embedding, last norm, head."""
NEGLIGIBLE_NATS = 0.001
"""Smaller changes, in nats per token, may be rounding and count as none."""


@dataclass(frozen=True, slots=True)
class TensorGroup:
    """Tensors of a merge whose delta is removed together."""

    layer: int | None
    """Index of the block; None outside of all."""
    kind: str | None
    """Kind of the modules, as "q"; None for a whole layer; `OUTSIDE` outside of all."""
    tensors: tuple[str, ...]
    """Names in the base."""

    @property
    def name(self) -> str:
        """The part's name inside a sentence."""
        if self.layer is None:
            return "what lies outside the layers"
        layer = f"layer {self.layer}"
        return layer if self.kind is None else f"the {self.kind} module of {layer}"


@dataclass(frozen=True, slots=True)
class Effect:
    """The loss of an answer without one part's delta."""

    part: TensorGroup
    loss: float
    """Mean negative log-likelihood of the answer without it, nats per token, at least 0."""
    change: float
    """`loss` minus the loss of the whole merge; above 0 if the answer needs the part."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """One answer of one merge, part by part."""

    recipe: str
    prompt: str
    answer: str
    own: bool
    """True for the merge's own greedy answer."""
    tokens: int
    """Length of the answer, including its end token."""
    by: str
    """One of `CHOICES`."""
    loss: float
    """With the whole merge: mean negative log-likelihood of the answer, nats per token."""
    base_loss: float | None
    """The same without any delta; None if memory has no room for it."""
    effects: tuple[Effect, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy, losses in nats per token."""
        names = ("recipe", "prompt", "answer", "own", "tokens", "by", "loss", "base_loss")
        rows = [
            {"layer": effect.part.layer, "kind": effect.part.kind, "name": effect.part.name}
            | {"loss": effect.loss, "change": effect.change}
            for effect in self.effects
        ]
        return {name: getattr(self, name) for name in names} | {
            "unit": "nats per token",
            "sentence": attribution_sentence(self),
            "effects": rows,
        }


def parts_of(shapes: Mapping[str, tuple[int, ...]], by: str) -> tuple[TensorGroup, ...]:
    """The parts of a model.

    Args:
        shapes: Name -> shape of all tensors that have a delta.
        by: One of `CHOICES`. "layer": every tensor is in one part, those outside all layers in
            the last. "module": only modules; those of one kind in one layer (experts) together.

    Raises:
        InvalidValue: an unknown choice, or a model without such parts.
    """
    if by not in CHOICES:
        raise InvalidValue(f"by must be one of {', '.join(CHOICES)}, got {shown(by)}.")
    parts = _modules(shapes) if by == "module" else _layers(shapes)
    if not parts:
        raise InvalidValue(f"The model has no {by} whose delta could be taken out.")
    return parts


def _layers(shapes: Iterable[str]) -> tuple[TensorGroup, ...]:
    inside: dict[int, list[str]] = {}
    outside: list[str] = []
    for name in shapes:
        layer = layer_of(name)
        (outside if layer is None else inside.setdefault(layer, [])).append(name)
    layers = [TensorGroup(layer, None, tuple(inside[layer])) for layer in sorted(inside)]
    return (*layers, *([TensorGroup(None, OUTSIDE, tuple(outside))] if outside else []))


def _modules(shapes: Mapping[str, tuple[int, ...]]) -> tuple[TensorGroup, ...]:
    cells: dict[tuple[int, str], list[str]] = {}
    for module in find_modules(shapes):
        cells.setdefault((module.layer, module.kind), []).append(module.tensor)
    kinds = order_kinds(kind for _, kind in cells)
    placed = sorted(cells, key=lambda cell: (cell[0], kinds.index(cell[1])))
    return tuple(TensorGroup(*cell, tuple(cells[cell])) for cell in placed)


def attribution_sentence(attribution: Attribution) -> str:
    """The result in one or two sentences."""
    ranked = sorted(attribution.effects, key=lambda effect: effect.change)
    least, most = ranked[0], ranked[-1]
    loss, unit = attribution.loss, attribution.by
    if most.change < NEGLIGIBLE_NATS and least.change > -NEGLIGIBLE_NATS:
        return (
            f"No {unit} matters for this answer by itself: without any one of them its loss, "
            f"{_number(loss)} nats per token, changes by less than {NEGLIGIBLE_NATS:g}."
        )
    if most.change >= NEGLIGIBLE_NATS:
        text = (
            f"The answer needs {most.part.name} most: without its delta the loss rises from "
            f"{_number(loss)} to {_number(most.loss)} nats per token."
        )
    else:
        text = f"The answer needs no {unit} by itself."
    if least.change <= -NEGLIGIBLE_NATS:
        text += (
            f" {capital(least.part.name)} stands in its way: without it the loss falls to "
            f"{_number(least.loss)}."
        )
    return text


def _number(value: float) -> str:
    """About three significant digits, at most four decimals."""
    return f"{value:.3g}" if value >= 1 else f"{value:.{3 if value >= 0.01 else 4}f}"
