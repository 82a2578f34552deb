"""A cache of what merges of the same models share: open files, measurements, plans, settled ties.

The steps of a merge know nothing of it: `open_models`, `measure_inputs`, `plan_merge`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar, Unpack

from dppa_core.checkpoints.sources.open_models import MAX_ENTRIES, OpenModels
from dppa_core.merging.inputs import measure_inputs, measured_from, open_models
from dppa_core.merging.merger import TensorMerger
from dppa_core.merging.passes.whole_pass import SettledCuts
from dppa_core.merging.plan import plan_merge
from dppa_core.profiling.profile import ProfileOptions
from dppa_core.progress import RunControl
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.density import significance
from dppa_core.pruning.plan import PruningPlan, plan_pruning
from dppa_core.pruning.pruning_parameters import Override, PruningParameters
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.system.recent import Recent

T = TypeVar("T")


class MergeCache:
    """Makes mergers from the steps that earlier ones computed, the least recently used dropped.

    A value is computed anew if a file it was made of changed. Safe for many threads.

    Attributes:
        models: The open models.
    """

    def __init__(self) -> None:
        self.models = OpenModels()
        self._values = Recent(MAX_ENTRIES)

    def merger(
        self, recipe: MergeRecipe, *, public: bool = False, **options: Unpack[ProfileOptions]
    ) -> TensorMerger:
        """As `open_merger`."""
        stop = options.get("stop")
        control: RunControl = {"progress": options.get("progress"), "stop": stop}
        opener = self.models.checkpoint
        recipe, models = open_models(recipe, public=public, open_model=opener, **control)
        key = public, *measured_from(recipe, models)
        measure = partial(measure_inputs, recipe, models, public=public, **options)
        inputs = replace(self._value(("inputs", key), measure), recipe=recipe)
        settled = self._value(("settled", key), dict[str, SettledCuts])
        return TensorMerger(inputs, plan_merge(inputs, self._plan), settled=settled, stop=stop)

    def _plan(
        self,
        profile: DeltaProfile,
        levels: tuple[float, ...],
        parameters: PruningParameters,
        overrides: Mapping[str, Override],
    ) -> PruningPlan:
        """As `plan_pruning`; factors and coefficients do not change a plan."""
        pair = profile, parameters
        score = self._value(("significance", *pair), partial(significance, *pair))
        plan = partial(plan_pruning, profile, levels, parameters, overrides, score)
        return self._value(("plan", *pair, levels, tuple(sorted(overrides.items()))), plan)

    def _value(self, key: Hashable, make: Callable[[], T]) -> T:
        cached: T | None = self._values.find(key)
        return self._values.keep(key, make()) if cached is None else cached
