"""Distances between two models by layer and kind of module, for a heatmap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Unpack

import torch
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint, DerivedCheckpoint
from dppa_core.evaluation.diff.model_diff import TensorDistance, diff_sums, distance
from dppa_core.evaluation.diff.sums import Sums, total
from dppa_core.models.parameter_views import find_places
from dppa_core.progress import RunControl
from dppa_core.pruning.module_groups import find_modules, order_kinds

_RAW = {torch.bfloat16: ("BF16", torch.int16, "uint16"), torch.float32: ("F32", torch.float32, "")}


@dataclass(frozen=True, slots=True)
class DiffCell:
    """Distance of the modules of one kind in one layer, experts together."""

    layer: int
    kind: str
    distance: TensorDistance


@dataclass(frozen=True, slots=True)
class CellDiff:
    """Two models of one base compared."""

    cells: tuple[DiffCell, ...]
    """By layer, then kind."""
    modules: TensorDistance
    others: TensorDistance

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        cells = [
            {"layer": cell.layer, "kind": cell.kind} | asdict(cell.distance) for cell in self.cells
        ]
        return {"cells": cells, "modules": asdict(self.modules), "others": asdict(self.others)}


def diff_cells(
    models: Sequence[Checkpoint], names: Sequence[str], **control: Unpack[RunControl]
) -> CellDiff:
    """Compare two models made from the same base.

    Args:
        models: The two models and the base.
        names: Names for messages.

    Raises:
        IncompatibleCheckpoints: other tensors or shapes.
        NonFiniteWeights: NaN or infinity in a model.
        Cancelled: `stop` was set.
    """
    sums = diff_sums(models, names, workers=1, **control)
    modules = find_modules({name: models[0].shape(name) for name in sums})
    cells: dict[tuple[int, str], list[Sums]] = {}
    for module in modules:
        cells.setdefault((module.layer, module.kind), []).append(sums[module.tensor])
    kinds = order_kinds(kind for _, kind in cells)
    placed = sorted(cells, key=lambda cell: (cell[0], kinds.index(cell[1])))
    inside = {module.tensor for module in modules}
    return CellDiff(
        tuple(
            DiffCell(*cell, distance(f"{cell[0]}.{cell[1]}", total(cells[cell]), with_base=True))
            for cell in placed
        ),
        distance("modules", total(sums[name] for name in sorted(inside)), with_base=True),
        distance(
            "other tensors",
            total(value for name, value in sums.items() if name not in inside),
            with_base=True,
        ),
    )


class ModelTensors(DerivedCheckpoint):
    """A merge in memory as a checkpoint, without copying.

    Args:
        model: A transformers model on the CPU with `base`'s tensors; tensors stored in another
            form than on disk are left out.
        base: Its base, with the same names and shapes.
    """

    def __init__(self, model: Any, base: Checkpoint) -> None:
        super().__init__(base)
        shapes = {name: base.shape(name) for name in base.names()}
        self._places: Mapping[str, torch.Tensor] = {
            name: place for name, place in find_places(model, shapes).items() if place.dtype in _RAW
        }

    def names(self) -> tuple[str, ...]:
        """Tensor names, as in the base."""
        return tuple(name for name in self.base.names() if name in self._places)

    def dtype(self, name: str) -> str:
        """Its dtype in memory: "BF16" or "F32"."""
        return _RAW[self._places[name].dtype][0]

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        """Its elements, flat and read-only by convention."""
        place = self._places[name]
        _, view, raw = _RAW[place.dtype]
        values: Shaped[ndarray, " n"] = place.detach().reshape(-1).view(view).numpy()
        return values.view(raw) if raw else values

    def content_hash(self) -> str:
        """Empty: a merge in memory has no content hash."""
        return ""
