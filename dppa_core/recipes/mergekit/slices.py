"""Slices of mergekit's recipes: layers of several models, which are stacks here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from dppa_core.checkpoints.sources.references import LayerRange, layer_ranges, stack_reference
from dppa_core.errors import InvalidRecipe, NoCounterpart, shown
from dppa_core.pruning.module_groups import at_layer, layer_count, layer_of
from dppa_core.pruning.tensor_names import before_blocks
from dppa_core.recipes.checks import within
from dppa_core.recipes.mergekit.documents import reference_of
from dppa_core.recipes.mergekit.values import Parameters, checked_parameters, llama_names

Names = Callable[[str], Sequence[str]]
"""Reference of a model -> names of its tensors; empty if unknown."""
_ABSENT: Parameters = {"weight": 0.0}
"""Of a model in a slice that does not name it: its layers are the base's there."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Some layers of the merge."""

    sources: Mapping[str, tuple[LayerRange, Parameters]]
    """Reference -> its layers, and its own parameters."""
    parameters: Parameters
    """Of all its sources."""
    base: str | None
    """Its own base, if it names one."""

    @property
    def layers(self) -> int:
        """Their number."""
        _, start, stop = next(iter(self.sources.values()))[0]
        return stop - start


@dataclass(frozen=True, slots=True)
class Part:
    """The tensors of one slice; a gradient runs over its layers."""

    names: Mapping[str, str]
    """Name in the slice, whose layers count from 0, -> name in the merge."""
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class StackedModels:
    """The models of a recipe with slices."""

    base: str
    models: tuple[tuple[str, tuple[Parameters, ...]], ...]
    """Reference of each model, and its own parameters in every slice."""
    parts: tuple[Part, ...]


def read_slices(listed: Any) -> tuple[Slice, ...]:
    """The slices of a recipe; none if it has no such key, or nothing there.

    Raises:
        InvalidRecipe: not a list of slices, an empty range, or sources of unequal length.
    """
    if not listed:
        return ()
    if not isinstance(listed, list):
        raise InvalidRecipe(f"slices must be a list of {{sources: […]}}, got {shown(listed)}.")
    return tuple(_slice(f"slices[{number}]", entry) for number, entry in enumerate(listed))


def _slice(place: str, entry: Any) -> Slice:
    listed = entry.get("sources") if isinstance(entry, Mapping) else None
    if not isinstance(listed, list) or not listed:
        raise InvalidRecipe(f"{place} must have a list of sources, got {shown(entry)}.")
    sources: dict[str, tuple[LayerRange, Parameters]] = {}
    for number, source in enumerate(listed):
        label = f"{place}: sources[{number}]"
        layers = _range(label, source)
        own = checked_parameters(source.get("parameters"), label)
        # mergekit takes a model that is listed twice once, with the first value of each parameter
        _, before = sources.get(layers.model, (None, {}))
        sources[layers.model] = layers, {**own, **before}
    lengths = {stop - start for (_, start, stop), _ in sources.values()}
    if len(lengths) > 1:
        ranges = ", ".join(f"{a}[{b}:{c}]" for (a, b, c), _ in sources.values())
        raise InvalidRecipe(f"{place}: {ranges} must have the same number of layers.")
    parameters = checked_parameters(entry.get("parameters"), place)
    return Slice(sources, parameters, reference_of(entry.get("base_model")))


def _range(label: str, source: Any) -> LayerRange:
    reference = reference_of(source.get("model")) if isinstance(source, Mapping) else None
    if reference is None:
        raise InvalidRecipe(f"{label} must have the key 'model', got {shown(source)}.")
    span = source.get("layer_range")
    numbers = isinstance(span, list) and [type(number) for number in span] == [int, int]
    if not numbers or not 0 <= span[0] < span[1]:
        raise InvalidRecipe(
            f"{label}: layer_range must be [FIRST, END], the layer after its last, with at least "
            f"one layer, got {shown(span)}."
        )
    return LayerRange(reference, *span)


def stacked(slices: Sequence[Slice], base: str, *, deltas: bool, names: Names) -> StackedModels:
    """The models of slices as whole models, or as stacks.

    Args:
        base: The recipe's.
        deltas: True if the base is none of the models that are merged.
        names: See `read_source`.
    """
    bases, columns = list[LayerRange](), list[list[tuple[LayerRange, Parameters]]]()
    depths: dict[str, int] = {}
    for part in slices:
        for model in (base, *part.sources):
            if model not in depths:
                depths[model] = layer_count(names(model))
        _check_ends(part, depths)
        own = _base_of(part, base, depths, deltas)
        bases.append(own)
        columns.append([
            source for name, source in part.sources.items() if not (deltas and name == own.model)
        ])  # fmt: skip
    models = []
    for column in range(max(map(len, columns))):
        filled = [
            sources[column] if column < len(sources) else (own, _ABSENT)
            for sources, own in zip(columns, bases, strict=True)
        ]
        ranges, parameters = zip(*filled, strict=True)
        models.append((_reference(ranges, depths), tuple(parameters)))
    known = next(filter(None, map(names, depths)), ())
    return StackedModels(_reference(bases, depths), tuple(models), _parts(slices, known))


def _check_ends(part: Slice, depths: Mapping[str, int]) -> None:
    beyond = [
        f"{model} has {depths[model]} layers, so its layer_range ends at {depths[model]} at most, "
        f"got {[layers.start, layers.stop]}."
        for model, (layers, _) in part.sources.items()
        if 0 < depths[model] < layers.stop
    ]
    if beyond:
        raise InvalidRecipe(" ".join(beyond))


def check_complete(models: Sequence[tuple[str, object]], method: str) -> None:
    """Refuse a model that some slices do not name, for a method that weighs no models.

    Raises:
        NoCounterpart: such a model.
    """
    for model, parameters in models:
        if isinstance(parameters, tuple) and any(own is _ABSENT for own in parameters):
            raise NoCounterpart(
                f"{model}: some slices have fewer sources than others; {method} has no weights, so "
                "a model cannot be left out of some layers."
            )


def _base_of(part: Slice, base: str, depths: Mapping[str, int], deltas: bool) -> LayerRange:
    """The base's layers in a slice: those it names, else those of the first source's numbers.

    A single source is taken as it is.
    """
    name = part.base or base
    first = next(iter(part.sources.values()))[0]
    if name in part.sources:
        return part.sources[name][0]
    if deltas and len(part.sources) == 1:
        return first
    return first._replace(model=name) if first.stop <= depths.get(name, 0) else first


def _reference(ranges: Sequence[LayerRange], depths: Mapping[str, int]) -> str:
    """A model, if these are all its layers in order, as far as known; else a stack."""
    model, start, _ = ranges[0]
    joined = all(a.model == b.model and a.stop == b.start for a, b in pairwise(ranges))
    if joined and start == 0 and depths[model] in (0, ranges[-1].stop):
        return model
    text = stack_reference(ranges)
    within("slices", lambda: layer_ranges(text))
    return text


def _parts(slices: Sequence[Slice], names: Sequence[str]) -> tuple[Part, ...]:
    """The tensors of each slice: those before the layers in the first, behind them in the last."""
    names = names or llama_names(1)
    outside = [name for name in names if layer_of(name) is None]
    inside = [name for name in names if layer_of(name) == 0]
    parts, offset = [], 0
    for number, part in enumerate(slices):
        before, behind = number == 0, number == len(slices) - 1
        own = {n: n for n in outside if (before if before_blocks(n) else behind)}
        for layer in range(part.layers):
            own |= {at_layer(name, layer): at_layer(name, offset + layer) for name in inside}
        offset += part.layers
        parts.append(Part(own, part.parameters))
    return tuple(parts)
