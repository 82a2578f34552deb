"""The engine's loops compared with a plain copy of the same bytes, and slider to live weights.

Run as a separate process on one core: `python -m benchmarks.engine.inside MODELS`. Every round
measures everything once; the report takes ratios within a round.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from benchmarks.engine.recipes import recipe
from benchmarks.synthetic import BASE, DOMAINS
from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.chunks import Loader, TensorPair, slices
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.kernels import get_backend
from dppa_core.merging.passes.chunk_pass import ChunkPass
from dppa_core.merging.passes.deltas import PlannedDelta, TensorDelta, TensorStack, fix_treatment
from dppa_core.methods.shared.treatment import Banded
from dppa_core.profiling.binning import Counter, joined, profile_of_bins
from dppa_core.pruning.delta_profile import ModuleProfile
from dppa_core.pruning.module_groups import Module, find_modules
from dppa_core.pruning.partition import select

LEVELS, FACTORS = (0.9, 0.8), (1.6, 1.0)
RATES = (0.8, 0.7, 0.75, 0.85, 0.65, 0.78, 0.72, 0.82, 0.68, 0.74, 0.84, 0.66)
"""Of the slider, one a round: plans of a rate it comes back to would be known already."""


@dataclass(frozen=True, slots=True, eq=False)
class Resident:
    """The modules of a base and its domain models, as arrays in memory."""

    modules: tuple[Module, ...]
    pairs: tuple[Mapping[str, TensorPair], ...]
    """By domain model and tensor."""

    @property
    def numel(self) -> int:
        return sum(module.numel for module in self.modules)


def resident(models: Path) -> Resident:
    """Read all modules into memory."""
    base = open_checkpoint(str(models / BASE))
    modules = tuple(find_modules({name: base.shape(name) for name in base.names()}))
    old = _read(base, modules)
    pairs = []
    for domain in DOMAINS:
        new = _read(open_checkpoint(str(models / domain)), modules)
        pairs.append(
            {m.tensor: TensorPair(m.tensor, *old[m.tensor], *new[m.tensor]) for m in modules}
        )
    return Resident(modules, tuple(pairs))


def _read(source: Checkpoint, modules: Sequence[Module]) -> dict[str, tuple[ndarray, str]]:
    return {m.tensor: (np.array(source.raw(m.tensor)), source.dtype(m.tensor)) for m in modules}


def profile_all(loaded: Resident, loader: Loader, model: int = 0) -> list[ModuleProfile]:
    """The profile of one domain model."""
    counter, profiles = Counter(loader), []
    for module in loaded.modules:
        pair = loaded.pairs[model][module.tensor]
        parts = [counter.count((pair,), *part, (None,))[0] for part in slices(pair.numel)]
        profiles.append(profile_of_bins(module, pair, joined(parts), (BASE, DOMAINS[model])))
    return profiles


def stacks(loaded: Resident, loader: Loader, ties: str) -> list[TensorStack]:
    """Inputs of each module's merge: three domain models, two levels each."""
    deltas: list[list[TensorDelta | None]] = [[] for _ in loaded.modules]
    for model, pairs in enumerate(loaded.pairs):
        for place, profile in enumerate(profile_all(loaded, loader, model)):
            pair = pairs[profile.module.tensor]
            selections = tuple(select(profile, 1 - rate, ties) for rate in LEVELS)
            planned = PlannedDelta(pair, DOMAINS[model], Banded(selections, FACTORS), 0.3)
            deltas[place].append(fix_treatment(loader, planned, BASE, 0))
    tensors = [loaded.pairs[0][module.tensor] for module in loaded.modules]
    return [
        TensorStack(pair.name, (pair.numel,), pair.base, "BF16", "BF16", tuple(tensor_deltas))
        for pair, tensor_deltas in zip(tensors, deltas, strict=True)
    ]


class Loops:
    """What a round measures of the loops."""

    def __init__(self, models: Path) -> None:
        self._loader = Loader(get_backend("numba"))
        self._loaded = resident(models)
        self._chunks = ChunkPass(self._loader)
        self._out = {m.tensor: np.zeros(m.numel, np.uint16) for m in self._loaded.modules}
        self._exact = stacks(self._loaded, self._loader, "exact")
        self._pruned = stacks(self._loaded, self._loader, "prune")
        # A copy touches every byte twice: once where it is read, once where it is written.
        self._source = np.ones(self._loaded.numel * 5, np.uint8)
        self._target = np.zeros_like(self._source)

    def round(self) -> dict[str, float]:
        """CPU seconds of one pass over all modules, by operation."""
        half = self._loaded.numel * 2
        return {
            "copy, bytes of a profile": _seconds(lambda: self._copy(half)),
            "profile": _seconds(lambda: profile_all(self._loaded, self._loader)),
            "copy, bytes of a merge": _seconds(lambda: self._copy(self._source.size)),
            "apply, exact ties": _seconds(lambda: self._apply(self._exact)),
            "apply, ties pruned": _seconds(lambda: self._apply(self._pruned)),
        }

    def _copy(self, nbytes: int) -> None:
        np.copyto(self._target[:nbytes], self._source[:nbytes])

    def _apply(self, merges: Sequence[TensorStack]) -> None:
        for stack in merges:
            self._chunks.merge(stack, 0, stack.base.size, self._out[stack.name])


class Slider:
    """A model in memory whose weights follow a pruning rate."""

    def __init__(self, models: Path) -> None:
        # Slow to import; not needed for the loops.
        import torch  # noqa: PLC0415

        from dppa_core.merging.in_memory.merge_cache import MergeCache  # noqa: PLC0415
        from dppa_core.merging.in_memory.rewrite import find_live, write_merge  # noqa: PLC0415
        from dppa_core.models.loading import build_model  # noqa: PLC0415

        torch.set_num_threads(1)
        self._cache, self._write = MergeCache(), write_merge
        self._recipe, self._rates = recipe("dppa", models), cycle(RATES)
        merger = self._cache.merger(self._recipe)
        tensors = {name: merger.tensor(name) for name in merger.names()}
        self._model = build_model(merger.base, tensors, torch.bfloat16)
        kernels = merger.loader().kernels
        self._places: Any = find_live(self._model, tensors, kernels, merger.inputs.twins)
        if self._places is None:
            raise SystemExit("The model's weights were not found in its memory.")

    def round(self) -> dict[str, float]:
        """Seconds from another setting to its weights in the model, as `TensorMerger` finds them.

        A new rate of all three models: plans, exact cuts, all tensors. New factors at that rate:
        plans and all tensors, since the cuts are known.
        """
        rate = next(self._rates)
        levels = (1 + rate) / 2, rate
        rates = self._timed("slider to live weights", levels, (1.6, 1.0))
        return rates | self._timed("new factors to live weights", levels, (1.2, 1.0))

    def _timed(
        self, name: str, levels: tuple[float, ...], factors: tuple[float, ...]
    ) -> dict[str, float]:
        models = tuple(
            replace(model, levels=levels, amplification=factors) for model in self._recipe.models
        )
        moved = replace(self._recipe, models=models)

        def move() -> None:
            merger = self._cache.merger(moved, workers=1)
            self._write(merger, self._places, workers=1)

        begin = time.perf_counter()
        cpu = _seconds(move)
        return {name: time.perf_counter() - begin, f"{name}, CPU": cpu}


def _seconds(action: Callable[[], object]) -> float:
    """CPU seconds: one thread that never waits, so other work does not count."""
    begin = time.process_time()
    action()
    return time.process_time() - begin


def measure(models: Path, rounds: int, warm_up: int = 1) -> list[dict[str, float]]:
    """All rounds; those to warm up are left out."""
    loops = Loops(models)
    passes = [loops.round() for _ in range(warm_up + rounds)][warm_up:]
    del loops
    slider = Slider(models)
    moves = [slider.round() for _ in range(warm_up + rounds)][warm_up:]
    return [{**loop, **move} for loop, move in zip(passes, moves, strict=True)]


def main() -> None:
    """Measure, and write one JSON array."""
    models, rounds, out = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    out.write_text(json.dumps(measure(models, rounds)), "utf-8")


if __name__ == "__main__":
    main()
