"""Distances between two models by tensor; with a base, also the similarity of their deltas.

Sums are float64, over slices that do not depend on the number of workers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Shaped
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint, PageReleaser
from dppa_core.checkpoints.chunks import CHUNK, slices
from dppa_core.checkpoints.matching import check_finite, match_tensors
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.checkpoints.sources.references import checked_reference
from dppa_core.errors import IncompatibleCheckpoints
from dppa_core.evaluation.diff.rows import shared_rows
from dppa_core.evaluation.diff.sums import Sums, sum_chunk, total
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.pruning.floats import FLOATS, to_float32
from dppa_core.pruning.module_groups import find_modules
from dppa_core.system.threads import SharedValue, side_by_side, worker_count


@dataclass(frozen=True, slots=True)
class TensorDistance:
    """The distance of one tensor, or of several together."""

    name: str
    """A module's short name, or the tensor's name."""
    numel: int
    changed: float
    """Share of the elements that differ, in [0, 1]."""
    relative: float | None
    """‖b - a‖ / ‖a‖; None if a is zero."""
    cosine: float | None
    """Of the weights, in [-1, 1]; None if either side is zero."""
    delta_cosine: float | None
    """Of the two deltas; None without a base, or if either delta is zero."""
    sign_agreement: float | None
    """Of the elements that both deltas change, the share changed in the same direction, in
    [0, 1]; None without a base, or without such elements."""
    over_base: float | None
    """‖b - a‖ / ‖c‖; None without a base, or if it is zero."""
    first_only: float | None
    """Share of the elements that only the first delta changes, in [0, 1]; None without a base."""
    second_only: float | None
    """The same for the second delta."""


@dataclass(frozen=True, slots=True)
class ModelDiff:
    """Two models compared."""

    first: str
    second: str
    base: str | None
    modules: tuple[TensorDistance, ...]
    others: tuple[TensorDistance, ...]
    """Embeddings, norms, biases, by name."""
    totals: tuple[TensorDistance, ...]
    """All modules, all other tensors, and everything: "modules", "other tensors", "all"."""
    notes: tuple[str, ...] = ()
    """Remarks on rows that are not compared."""

    def __repr__(self) -> str:
        whole = self.totals[-1]
        relative, cosine = (
            "none" if value is None else f"{value:.4g}" for value in (whole.relative, whole.cosine)
        )
        return (
            f"ModelDiff({self.second} − {self.first}: {whole.changed:.1%} changed, "
            f"‖d‖/‖A‖ {relative}, cosine {cosine})"
        )


def diff_models(
    first: str | Path,
    second: str | Path,
    base: str | Path | None = None,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> ModelDiff:
    """Compare two models in one streaming pass; memory does not grow with them.

    Args:
        first: A model reference; norms are relative to this model.
        second: Another model reference.
        base: The model both were fine-tuned from, to compare deltas.

    Raises:
        InvalidValue: no reference.
        IncompatibleCheckpoints: other tensors or shapes; if only the vocabulary sizes differ, the
            rows of the smallest are compared.
        NonFiniteWeights: NaN or infinity in a model.
        CheckpointError, Unreachable: see `open_checkpoint`.
    """
    references = (first, second) if base is None else (first, second, base)
    names = tuple(map(checked_reference, references))
    whole = [open_checkpoint(name, progress=progress) for name in names]
    models, notes = shared_rows(whole, names)
    sums = diff_sums(models, names, workers=workers, progress=progress)
    return _model_diff(names, models[0], sums, notes, with_base=base is not None)


def diff_sums(
    models: Sequence[Checkpoint],
    names: Sequence[str],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> dict[str, Sums]:
    """Sums of every tensor that the models have in common, by its name in the first.

    Args:
        models: The two models, and their base if there is one.
        names: Names for messages; the rest as in `diff_models`.
    """
    places = _places(models, names)
    threads = worker_count(workers)
    sums: dict[str, list[Sums]] = {name: [] for name in places}
    begun = 0
    tasks = _Comparison(models, names, stop).tasks(places)
    with closing(side_by_side(tasks, threads)) as results:
        for tensor, part in results:
            begun += not sums[tensor]
            report(progress, begun, len(sums), tensor)
            sums[tensor].append(part)
    return {name: total(parts) for name, parts in sums.items()}


def _places(models: Sequence[Checkpoint], names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Tensor of the first model -> its name in every model."""
    root = models[-1] if len(models) == 3 else models[0]
    label = names[-1] if len(models) == 3 else names[0]
    matches: list[Mapping[str, str]] = []
    for model, name in zip(models, names, strict=True):
        if model is root:
            matches.append({tensor: tensor for tensor in root.names()})
            continue
        try:
            matches.append(match_tensors(root, model, name))
        except IncompatibleCheckpoints as error:
            raise IncompatibleCheckpoints(
                f"{label} (below: the base) and {name} cannot be compared. {error}"
            ) from error
    common = [
        tensor
        for tensor in root.names()
        if all(tensor in matched for matched in matches) and root.dtype(tensor) in FLOATS
    ]
    return {matches[0][tensor]: tuple(matched[tensor] for matched in matches) for tensor in common}


class _Comparison:
    """The tasks of a comparison: slices of tensors, summed by any thread in any order."""

    def __init__(
        self, models: Sequence[Checkpoint], labels: Sequence[str], stop: Stop | None
    ) -> None:
        self._models, self._labels, self._stop = models, labels, stop
        self._releaser = PageReleaser(models)

    def tasks(self, places: Mapping[str, Sequence[str]]) -> Iterator[partial[tuple[str, Sums]]]:
        for tensor, names in places.items():
            parts = slices(math.prod(self._models[0].shape(tensor)))
            shared = SharedValue(partial(self._raws, names), len(parts))
            yield from (partial(self._sum, tensor, names, shared, *part) for part in parts)

    def _raws(self, names: Sequence[str]) -> tuple[Shaped[ndarray, " n"], ...]:
        return tuple(model.raw(name) for model, name in zip(self._models, names, strict=True))

    def _sum(
        self,
        tensor: str,
        names: Sequence[str],
        shared: SharedValue[tuple[Shaped[ndarray, " n"], ...]],
        start: int,
        stop: int,
    ) -> tuple[str, Sums]:
        check(self._stop)
        dtypes = [model.dtype(name) for model, name in zip(self._models, names, strict=True)]
        parts = []
        with shared.use() as raws:
            for first in range(start, stop, CHUNK):
                chunk = [raw[first : min(first + CHUNK, stop)] for raw in raws]
                sums = sum_chunk(*map(_as_float64, chunk, dtypes))
                if not math.isfinite(sums.first + sums.second + sums.first_delta):
                    for raw, dtype, label in zip(chunk, dtypes, self._labels, strict=True):
                        check_finite(raw, dtype, tensor, label, first)
                parts.append(sums)
                self._releaser.read(sum(raw.nbytes for raw in chunk))
        return tensor, total(parts)


def _as_float64(raw: Shaped[ndarray, " n"], dtype: str) -> Float64[ndarray, " n"]:
    return to_float32(raw, dtype).astype(np.float64)


def distance(name: str, sums: Sums, *, with_base: bool) -> TensorDistance:
    """The distance that the sums give."""
    return TensorDistance(
        name=name,
        numel=sums.numel,
        changed=sums.changed / max(sums.numel, 1),
        relative=math.sqrt(sums.difference / sums.first) if sums.first else None,
        cosine=_cosine(sums.product, sums.first, sums.second),
        delta_cosine=(
            _cosine(sums.delta_product, sums.first_delta, sums.second_delta) if with_base else None
        ),
        sign_agreement=sums.agreeing / sums.both if sums.both else None,
        over_base=math.sqrt(sums.difference / sums.base) if sums.base else None,
        first_only=(sums.first_changed - sums.both) / max(sums.numel, 1) if with_base else None,
        second_only=(sums.second_changed - sums.both) / max(sums.numel, 1) if with_base else None,
    )


def _cosine(product: float, first: float, second: float) -> float | None:
    if not first or not second:
        return None
    return max(-1.0, min(1.0, product / math.sqrt(first) / math.sqrt(second)))


def _model_diff(
    names: Sequence[str],
    model: Checkpoint,
    sums: Mapping[str, Sums],
    notes: tuple[str, ...],
    *,
    with_base: bool,
) -> ModelDiff:
    modules = find_modules({name: model.shape(name) for name in sums})
    others = sorted(set(sums) - {module.tensor for module in modules})
    groups = {
        "modules": [sums[module.tensor] for module in modules],
        "other tensors": [sums[name] for name in others],
        "all": list(sums.values()),
    }
    distance_of = partial(distance, with_base=with_base)
    return ModelDiff(
        first=names[0],
        second=names[1],
        base=names[2] if with_base else None,
        modules=tuple(distance_of(module.name, sums[module.tensor]) for module in modules),
        others=tuple(distance_of(name, sums[name]) for name in others),
        totals=tuple(distance_of(name, total(group)) for name, group in groups.items()),
        notes=notes,
    )
