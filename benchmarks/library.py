"""Profile, plan and merge of the embedded models, on both backends."""

from collections.abc import Iterator
from functools import partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Measurement, timed
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.checkpoints.sources.zoo import ZOO_DOMAINS
from dppa_core.merging.merger import open_merger
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.profiling.profile import profile_delta
from dppa_core.pruning.partition import even_levels
from dppa_core.pruning.plan import plan_pruning
from dppa_core.pruning.rate_table import pack_table, rate_table
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe

GROUP = "Library, embedded models"


def recipe() -> MergeRecipe:
    """All three domain models at 80 %, the strongest tenth amplified."""
    models = tuple(DomainModel(f"zoo:{d}", (0.9, 0.8), (1.6, 1.0)) for d in ZOO_DOMAINS)
    return MergeRecipe("zoo:base", models)


def merge_all(backend: str) -> None:
    """Merge every tensor in memory and discard it."""
    merger = open_merger(recipe(), backend=backend)
    for name in merger.names():
        merger.tensor(name)


def measurements() -> Iterator[Measurement]:
    """Yield each measurement of the library when it is done."""
    base, tuned = open_checkpoint("zoo:base"), open_checkpoint("zoo:math")
    profile = profile_delta(base, tuned)
    size = sum(p.module.numel for p in profile.modules) / 1e6
    note = f"{len(profile.modules)} modules, {size:.2f} M elements"
    times = timed(lambda: profile_delta(base, tuned), runs=5, warm_up=0)
    yield Measurement(GROUP, "profile of one pair, from the files", times, note)

    rates = cycle(range(100))
    times = timed(lambda: plan_pruning(profile, even_levels(next(rates) / 100)), runs=100)
    yield Measurement(GROUP, "plan at one rate", times)
    times = timed(lambda: pack_table(rate_table(profile)), runs=5)
    yield Measurement(GROUP, "table for the browser, 101 rates", times)

    for backend in ("numba", "torch"):
        times = timed(lambda name=backend: merge_all(name), runs=5)
        yield Measurement(GROUP, f"merge of three, in memory, {backend}", times)
    with TemporaryDirectory() as folder:
        out = Path(folder) / "merged"
        write = partial(merge_to_folder, recipe(), out, overwrite=True, sync=False)
        yield Measurement(GROUP, "merge of three, to a folder, numba", timed(write, runs=3))
