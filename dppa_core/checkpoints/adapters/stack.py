"""Layers of several models, stacked and read as one model of another depth.

What lies before the layers, as the embedding, is that of the first range's model; what lies behind
them, as the last norm and the head, that of the last range's. Nothing is copied, but the rows of a
head whose model has other tokens: they follow the first model's, and are zero where it lacks one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.aligned_checkpoint import (
    AlignedTensor,
    Filling,
    Gathered,
    RowMap,
    gather,
    map_key,
)
from dppa_core.checkpoints.checkpoint import Checkpoint, DerivedCheckpoint
from dppa_core.checkpoints.config_sizes import LAYER_COUNTS
from dppa_core.errors import IncompatibleCheckpoints, many
from dppa_core.pruning.module_groups import at_layer, layer_of
from dppa_core.pruning.tensor_names import (
    before_blocks,
    find_embedding,
    find_head,
    match_names,
    token_tensors,
)


@runtime_checkable
class Named(Protocol):
    """The names and shapes of a model's tensors, and its configuration."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The values of its config.json."""

    def names(self) -> tuple[str, ...]:
        """Names of all tensors."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one tensor."""


M = TypeVar("M", bound=Named)


@dataclass(frozen=True, slots=True)
class StackedLayers(Generic[M]):
    """One range of a stack."""

    model: M
    label: str
    """Its name in messages."""
    start: int
    stop: int
    """The layer after the last."""

    @property
    def layers(self) -> range:
        """Its layers."""
        return range(self.start, self.stop)


class StackCheckpoint(DerivedCheckpoint):
    """Layers of several checkpoints.

    Args:
        head_rows: For each token of the first model its row in the last one's head, -1 if it has
            none; None if they have the same tokens, as far as known.

    Raises:
        IncompatibleCheckpoints: a range beyond the last layer, or models that do not fit together.
    """

    def __init__(
        self, ranges: Sequence[StackedLayers[Checkpoint]], head_rows: RowMap | None = None
    ) -> None:
        super().__init__(ranges[0].model)
        self._ranges = tuple(ranges)
        self._places = stacked_names(ranges)
        self._head_rows, self._head = head_rows, dict[str, Gathered]()
        if head_rows is None:
            _check_rows(ranges[0], ranges[-1])
        else:
            self._head = self._gathered(head_rows)
        self._models = tuple({id(part.model): part.model for part in ranges}.values())
        self.config = stacked_config(ranges)
        # A tokenizer is sought in the last folders first.
        self.folders = tuple(path for model in self._models[::-1] for path in model.folders)

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._places))

    def shape(self, name: str) -> tuple[int, ...]:
        model, stored = self._place(name)
        return self._head[name].shape if name in self._head else model.shape(stored)

    def dtype(self, name: str) -> str:
        model, stored = self._place(name)
        return model.dtype(stored)

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        """Its elements, as its source gives them; those of a head of other tokens in their rows."""
        model, stored = self._place(name)
        return self._head[name].make() if name in self._head else model.raw(stored)

    def content_hash(self) -> str:
        """A hash over the models' weights and the ranges."""
        parts = (f"{part.model.content_hash()}[{part.start}:{part.stop}]" for part in self._ranges)
        moved = [] if self._head_rows is None else [map_key(self._head_rows)]
        return hashlib.sha256("\0".join([*parts, *moved]).encode()).hexdigest()

    def identities(self) -> Mapping[Path, str]:
        return {path: key for model in self._models for path, key in model.identities().items()}

    def release(self) -> None:
        for model in self._models:
            model.release()

    def _gathered(self, rows: RowMap) -> dict[str, Gathered]:
        """The tensors of the head, with rows in another order."""
        filling = Filling((), (), np.zeros(0, np.int64), rows.size)
        return {
            name: gather(AlignedTensor(*self._place(name), rows), filling)
            for name, role in token_tensors(self._places).items()
            if role != "embedding"
        }

    def _place(self, name: str) -> tuple[Checkpoint, str]:
        if name not in self._places:
            return self.base, name  # its error names the tensor
        part, stored = self._places[name]
        return self._ranges[part].model, stored


def stacked_names(ranges: Sequence[StackedLayers[M]]) -> dict[str, tuple[int, str]]:
    """Name in the stack -> number of its range, and the name there.

    Raises:
        IncompatibleCheckpoints: see `StackCheckpoint`.
    """
    first, last = ranges[0], ranges[-1]
    parts = {part.label: part for part in ranges}
    inside = {label: _names_by_layer(part.model, label) for label, part in parts.items()}
    for part in ranges:
        _check_range(part, len(inside[part.label]))
    for part in parts.values():
        _check_fit(first, part, inside)
    here = first.model.names()
    names = {n: (0, n) for n in here if layer_of(n) is None and before_blocks(n)}
    called = {kind: name for kinds in inside[first.label].values() for kind, name in kinds.items()}
    layers = ((n, part, layer) for n, part in enumerate(ranges) for layer in part.layers)
    for target, (number, part, layer) in enumerate(layers):
        for kind, name in inside[part.label][layer].items():
            names[at_layer(called[kind], target)] = (number, name)
    theirs = match_names(last.model.names(), here)
    for name in last.model.names():
        if layer_of(name) is None and not before_blocks(name):
            names[theirs.get(name, name)] = (len(ranges) - 1, name)
    _check_ends(first, last)
    return names


_Layers = dict[int, dict[str, str]]
"""Layer -> what a tensor is inside it -> its name."""


def _names_by_layer(model: Named, label: str) -> _Layers:
    """The tensors of all layers of a model, if it has one series of them."""
    layers, series = _Layers(), set[str]()
    for name in model.names():
        layer = layer_of(name)
        if layer is not None:
            before, _, kind = at_layer(name, "#").partition("#")
            layers.setdefault(layer, {})[kind] = name
            series.add(before)
    if len(series) != 1:
        raise IncompatibleCheckpoints(
            f"{label}: {many(len(series), 'series', 'series')} of layers"
            f"{': ' if series else ''}{', '.join(sorted(series))}. A model with one can be stacked."
        )
    return layers


def _check_range(part: StackedLayers[M], depth: int) -> None:
    if part.stop > depth:
        raise IncompatibleCheckpoints(
            f"{part.label}[{part.start}:{part.stop}]: it has {many(depth, 'layer')}, so a range "
            f"ends at {depth} at most. A recipe for another size of model is the usual cause."
        )


def _shapes(model: Named, layers: _Layers) -> dict[str, set[tuple[int, ...]]]:
    """What a tensor is inside its layer -> its shapes in all layers."""
    shapes: dict[str, set[tuple[int, ...]]] = {}
    for kinds in layers.values():
        for kind, name in kinds.items():
            shapes.setdefault(kind, set()).add(model.shape(name))
    return shapes


def _check_fit(
    first: StackedLayers[M], part: StackedLayers[M], layers: Mapping[str, _Layers]
) -> None:
    """Refuse layers that the first model cannot have."""
    widths = _width(first.model), _width(part.model)
    if widths[0] != widths[1]:
        raise IncompatibleCheckpoints(
            f"{first.label} is {widths[0]} wide, {part.label} {widths[1]}: their layers do not fit "
            "together. A stack needs models of one width."
        )
    own, theirs = (_shapes(each.model, layers[each.label]) for each in (first, part))
    for kind in sorted(own.keys() | theirs.keys()):
        if not theirs.get(kind, set()) & own.get(kind, set()):
            has = [", ".join(map(str, shapes.get(kind, ["none"]))) for shapes in (own, theirs)]
            raise IncompatibleCheckpoints(
                f"{kind.removeprefix('.')}: {first.label} has {has[0]}, {part.label} {has[1]}. "
                "A stack needs models of one architecture and size."
            )


def _width(model: Named) -> int | None:
    embedding = find_embedding(model.names())
    return model.shape(embedding)[-1] if embedding else None


def _check_rows(first: StackedLayers[M], last: StackedLayers[M]) -> None:
    """Refuse an embedding and a head of different numbers of rows."""
    embedding, head = find_embedding(first.model.names()), find_head(last.model.names())
    if embedding and head:
        rows = first.model.shape(embedding)[0], last.model.shape(head)[0]
        if rows[0] != rows[1]:
            raise IncompatibleCheckpoints(
                f"{first.label} begins the stack with {rows[0]} rows of tokens, {last.label} ends "
                f"it with {rows[1]}, and without tokenizer files beside both, rows cannot be "
                "matched by token. Copy these files there, or begin and end with one vocabulary."
            )


def _check_ends(first: StackedLayers[M], last: StackedLayers[M]) -> None:
    """Refuse a head that is nowhere."""
    head = find_head(last.model.names())
    if not head and find_head(first.model.names()) and not _tied(first.model):
        raise IncompatibleCheckpoints(
            f"{first.label} has a head of its own, {last.label}, which ends the stack, has none. "
            "End the stack with a model that has one."
        )


def _tied(model: Named) -> bool:
    return model.config.get("tie_word_embeddings") is not False


def stacked_config(ranges: Sequence[StackedLayers[M]]) -> dict[str, Any]:
    """The first model's configuration, with the stack's number of layers and lists by layer."""
    config = _restacked([(part.model.config, part.layers) for part in ranges])
    inner = [
        (values, part.layers)
        for part in ranges
        if isinstance(values := part.model.config.get("text_config"), Mapping)
    ]
    if len(inner) == len(ranges):
        config["text_config"] = _restacked(inner)
    if not (_tied(ranges[0].model) and _tied(ranges[-1].model)):  # the last one's head counts
        config["tie_word_embeddings"] = False
    return config


def _restacked(parts: Sequence[tuple[Mapping[str, Any], range]]) -> dict[str, Any]:
    config = dict(parts[0][0])
    counts = [key for key in LAYER_COUNTS if type(config.get(key)) is int]
    for key in config:
        lists = [values[key] for values, _ in parts if _is_by_layer(key, values, counts)]
        if len(lists) == len(parts):
            spans = (span for _, span in parts)
            pairs = zip(lists, spans, strict=True)
            config[key] = [items[layer] for items, span in pairs for layer in span]
    return config | dict.fromkeys(counts, sum(len(span) for _, span in parts))


def _is_by_layer(key: str, values: Mapping[str, Any], counts: Sequence[str]) -> bool:
    """Return True for a list with one entry for each layer, such as layer_types."""
    value = values.get(key)
    lengths = {values.get(count) for count in counts}
    return "layer" in key and isinstance(value, list) and len(value) in lengths
