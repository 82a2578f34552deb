"""Slider to live weights: plan and merge into the memory of a model of known size, on one core.

Run `python -m benchmarks.live S --folder DIR`; DIR keeps the synthetic models.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch are imported

import numpy as np
import torch

from benchmarks.measure import Measurement, hand_over
from benchmarks.synthetic import BASE, DOMAINS, SIZES, make
from dppa_core.merging.in_memory.merge_cache import MergeCache
from dppa_core.merging.in_memory.rewrite import find_live, write_merge
from dppa_core.merging.merger import TensorMerger
from dppa_core.models.loading import build_model
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe

GROUP = "Slider to live weights, {size}, bfloat16, three domain models, two levels"
RUNS = 7


def measurements(size: str, folder: Path, runs: int = RUNS) -> Iterator[Measurement]:
    """Wall time and processor time of a new setting, from the recipe to the model's weights.

    Args:
        size: One of `synthetic.SIZES`.
        folder: Where the synthetic models are, or will be.
        runs: Of each line.
    """
    models, cache, group = make(size, folder), MergeCache(), GROUP.format(size=size)
    recipe = _recipe(models)
    merger = cache.merger(recipe, workers=1)
    places = _live_places(merger)
    base = merger.base
    touched = sum(base.raw(name).nbytes for name in base.names()) * (2 + len(DOMAINS))

    def rewrite(index: int, **changed: object) -> None:
        changed_models = tuple(replace(model, **changed) for model in recipe.models)  # type: ignore[arg-type]
        merger = cache.merger(replace(recipe, models=changed_models), workers=1)
        write_merge(merger, places, workers=1)

    def rates(index: int) -> None:
        rewrite(index, levels=(0.9 + index / 1000, 0.8 + index / 1000))

    def factors(index: int) -> None:
        rewrite(index, amplification=(1.5 + index / 100, 1.0))

    def plan(index: int) -> None:
        levels = (0.9 + index / 1000, 0.8 + index / 1000)
        changed_models = tuple(replace(model, levels=levels) for model in recipe.models)
        cache.merger(replace(recipe, models=changed_models), workers=1)

    old, new = np.ones((2, touched // 2), np.uint8)
    yield from _timed(group, "new rates, exact counts: plan and apply", rates, runs)
    yield from _timed(group, "new factors: plan and apply", factors, runs)
    yield from _timed(group, "of it the plan", plan, runs)
    yield from _timed(group, "memcpy of the bytes touched", lambda _: np.copyto(new, old), runs)


def _recipe(models: Path) -> MergeRecipe:
    domains = (DomainModel(str(models / d), (0.9, 0.8), (1.5, 1.0), 0.7) for d in DOMAINS)
    return MergeRecipe(str(models / BASE), tuple(domains))


def _live_places(merger: TensorMerger) -> dict[str, torch.Tensor]:
    tensors = {name: merger.tensor(name) for name in merger.names()}
    model = build_model(merger.base, tensors, torch.bfloat16)
    places = find_live(model, tensors, merger.loader().kernels, merger.inputs.twins)
    if places is None:
        raise SystemExit("This model cannot be overwritten.")
    return places


def _timed(
    group: str, name: str, action: Callable[[int], object], runs: int
) -> Iterator[Measurement]:
    wall, processor = list[float](), list[float]()
    for index in range(runs + 1):
        began, used = time.perf_counter(), time.process_time()
        action(index)
        if index:  # the first warms up
            wall.append(1000 * (time.perf_counter() - began))
            processor.append(1000 * (time.process_time() - used))
    yield Measurement(group, name, tuple(wall))
    yield Measurement(group, f"{name}, processor time", tuple(processor))


def main() -> None:
    """Read the arguments, measure on one core, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("--folder", type=Path, required=True, help="where the models are")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    hand_over(measurements(arguments.size, arguments.folder, arguments.runs), arguments.json)


if __name__ == "__main__":
    main()
