"""One pass over several domain models that counts which elements each pair keeps in common."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from dppa_core.checkpoints.chunks import CHUNK
from dppa_core.errors import InvalidValue
from dppa_core.evaluation.analysis.ranked_pair import RankedPair, open_pairs
from dppa_core.parameter_fields import told_values
from dppa_core.profiling.profile import kept_profile
from dppa_core.progress import Progress, RunControl, Stop, check, report
from dppa_core.pruning.module_groups import Module
from dppa_core.pruning.overlap import Meeting, count_reaches, grid_selections, kept_at, meet
from dppa_core.pruning.partition import Selection
from dppa_core.pruning.pruning_parameters import Override, PruningParameters
from dppa_core.pruning.rate_table import RATES
from dppa_core.system.folder_cache import cache_folder, load, store

_FORMAT = 1  # change it when the same weights would give other counts


def count_meetings(
    base: str,
    models: Sequence[str],
    parameters: PruningParameters | None = None,
    overrides: Mapping[str, Override] | None = None,
    *,
    public: bool = False,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> tuple[Meeting, ...]:
    """Count, at every rate of the grid, the elements that each pair of domain models keeps.

    Counts are exact: the elements a merge would keep, ties included. Counts of the same weights
    are read from the cache.

    Args:
        models: References of two or more domain models, each once.
        parameters: Strength, significance and ties; the paper's by default.
        overrides: Module name -> its own rate, in every model: see `grid_selections`.

    Returns:
        One `Meeting` per pair, in the order of `combinations(models, 2)`.

    Raises:
        InvalidValue: fewer than two models, or one twice.
        UnknownName: an override for an unknown module.
        Cancelled: `stop` was set.
        CheckpointError, IncompatibleCheckpoints, NonFiniteWeights: as profiles do.
    """
    if len(models) < 2 or len(set(models)) < len(models):
        raise InvalidValue(
            f"Conflict is counted between two or more domain models, got {', '.join(models)}. "
            "Naming one model twice is the usual cause."
        )
    parameters, overrides = parameters or PruningParameters(), overrides or {}
    control = RunControl(progress=progress, stop=stop)
    opened = open_pairs(base, models, parameters.significance, public=public, **control)
    values = {name: asdict(override) for name, override in overrides.items()}
    settings = {"parameters": told_values(parameters), "overrides": values}
    pairs = tuple(combinations(range(len(models)), 2))
    paths = {pair: _path([opened[index] for index in pair], settings) for pair in pairs}
    names = {pair: (models[pair[0]], models[pair[1]]) for pair in pairs}
    meetings = {pair: _load(paths[pair], names[pair]) for pair in pairs}
    missing = [pair for pair in pairs if meetings[pair] is None]
    if missing:
        ranked = {
            index: _ranked_model(opened[index], (base, models[index]), parameters, overrides, stop)
            for index in sorted(set(chain(*missing)))
        }
        for places, counts in zip(missing, _count(ranked, missing, control), strict=True):
            meetings[places] = Meeting(*names[places], *counts)
            _save(paths[places], counts)
    return tuple(meeting for meeting in meetings.values() if meeting is not None)


@dataclass(frozen=True, slots=True, eq=False)
class _RankedModel:
    pair: RankedPair
    modules: tuple[Module, ...]
    selections: tuple[tuple[Selection, ...], ...]


def _ranked_model(
    pair: RankedPair,
    names: tuple[str, str],
    parameters: PruningParameters,
    overrides: Mapping[str, Override],
    stop: Stop | None,
) -> _RankedModel:
    score = pair.score
    profile = kept_profile(pair.base, pair.tuned, names=names, workers=1, stop=stop, score=score)
    selections = grid_selections(profile, parameters, overrides)
    return _RankedModel(pair, tuple(item.module for item in profile.modules), selections)


Counts = tuple[Int64[ndarray, "two N R"], Int64[ndarray, "N R"], Int64[ndarray, "N R"]]
"""Elements kept by each of two models, by both, and by both with opposite signs."""


def _count(
    models: Mapping[int, _RankedModel], pairs: Sequence[tuple[int, int]], control: RunControl
) -> Iterator[Counts]:
    """The counts of each pair, in order, from one pass over the models."""
    progress, stop = control.get("progress"), control.get("stop")
    modules = next(iter(models.values())).modules
    reaches, meetings = [], []
    for number, module in enumerate(modules):
        report(progress, number, len(modules), module.name)
        alone, together = _count_module(models, pairs, number, stop)
        reaches.append(alone)
        meetings.append(together)
    report(progress, len(modules), len(modules), "conflict counted")
    kept = {index: kept_at(np.stack([counts[index] for counts in reaches])) for index in models}
    for number, (first, second) in enumerate(pairs):
        signs = kept_at(np.stack([counts[number] for counts in meetings]))
        yield np.stack([kept[first], kept[second]]), signs.sum(axis=1), signs[:, 1]


def _count_module(
    models: Mapping[int, _RankedModel],
    pairs: Sequence[tuple[int, int]],
    number: int,
    stop: Stop | None,
) -> tuple[dict[int, Int64[ndarray, " edges"]], list[Int64[ndarray, "two edges"]]]:
    """Elements of one module by reach: of each model, and of each pair by sign."""
    module = next(iter(models.values())).modules[number]
    tensors = {index: model.pair.tensor(module.tensor) for index, model in models.items()}
    reaches = {i: tensors[i].reach(model.selections[number]) for i, model in models.items()}
    alone = {index: np.zeros(RATES + 1, np.int64) for index in models}
    together = [np.zeros((2, RATES + 1), np.int64) for _ in pairs]
    for start in range(0, module.numel, CHUNK):
        check(stop)
        reach, negative = {}, {}
        for index, tensor in tensors.items():
            delta, magnitudes = tensor.chunk(start, min(start + CHUNK, module.numel))
            reach[index] = reaches[index].of(magnitudes, start)
            negative[index] = np.signbit(delta)
            alone[index] += count_reaches(reach[index])
        for counts, (first, second) in zip(together, pairs, strict=True):
            counts += meet(reach[first], reach[second], negative[first] != negative[second])
    return alone, together


def _path(pairs: Sequence[RankedPair], settings: Mapping[str, Any]) -> Path:
    parts = [str(_FORMAT), pairs[0].base.content_hash()]
    for pair in pairs:
        parts += [pair.tuned.content_hash(), pair.score.key if pair.score else ""]
    parts.append(json.dumps(settings, sort_keys=True))
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return cache_folder("conflicts") / f"{key}.npz"


_ARRAYS = ("kept", "both", "opposed")


def _save(path: Path, counts: Counts) -> None:
    """Store the counts; write errors are ignored."""
    kind = np.uint32 if counts[0].max(initial=0) < 2**32 else np.int64
    file = io.BytesIO()
    arrays: dict[str, Any] = dict(zip(_ARRAYS, counts, strict=True))
    np.savez(file, **{name: array.astype(kind) for name, array in arrays.items()})
    store(path, file.getvalue())


def _load(path: Path, names: tuple[str, str]) -> Meeting | None:
    stored = load(path)
    if stored is None:
        return None
    try:
        with np.load(io.BytesIO(stored), allow_pickle=False) as data:
            arrays = [data[name].astype(np.int64) for name in _ARRAYS]
    except (ValueError, KeyError):  # written by another version
        return None
    return Meeting(*names, *arrays)
