"""Profiles, tables and plans of model pairs, shared by all visitors; imports no torch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.checkpoints.sources.references import kept_delta
from dppa_core.errors import InvalidValue
from dppa_core.methods.registry import get_method
from dppa_core.profiling.cache import profile_entry
from dppa_core.profiling.calibration.statistics import ranked_profile
from dppa_core.progress import Progress, Stop
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.plan import PruningPlan
from dppa_core.pruning.pruning_parameters import Override, PruningParameters
from dppa_core.pruning.rate_table import pack_table, rate_table
from dppa_core.recipes.yaml_text import Pruning
from dppa_core.system.recent import Recent

PLAIN = ("magnitude", "random")
"""Significances that need no text; measuring the others takes seconds per model, once."""
SHOWN_PLANS = 2048
"""Number of cached drawings of plans: 8 kB each for a model of 42 matrices."""

T = TypeVar("T")


def ranked_by(pruning: Pruning) -> str:
    """The significance by which a pruning ranks elements."""
    return str(getattr(pruning.settings(), "significance", "magnitude"))


class Plans:
    """Profiles, rate tables and plans of pairs of models. Thread-safe."""

    def __init__(self, *, public: bool) -> None:
        """A public page refuses folders of this computer."""
        self.public = public
        self._profiles, self._tables = Recent(32), Recent(256)
        self._drawings = Recent(SHOWN_PLANS)
        self._measuring = {True: threading.Lock(), False: threading.Lock()}

    def profile(
        self,
        base: str,
        finetuned: str,
        significance: str = "magnitude",
        *,
        fresh: bool = False,
        progress: Progress | None = None,
        stop: Stop | None = None,
    ) -> DeltaProfile:
        """The profile of a pair, ranked by a significance; `fresh` reads the files again."""
        key = (base, finetuned, significance)
        profile: DeltaProfile | None = None if fresh else self._profiles.find(key)
        if profile is not None:
            return profile
        with self._measuring[significance in PLAIN]:  # plain ones do not wait for measurements
            profile = None if fresh else self._profiles.find(key)  # made while this one waited
            profile = profile or ranked_profile(
                base, finetuned, significance, public=self.public, progress=progress, stop=stop
            )
        self._profiles.keep(key, profile)
        return profile

    def check_at_hand(self, base: str, finetuned: Sequence[str], significance: str) -> None:
        """Raise InvalidValue, on a public page, if a slider's request would have to measure
        first."""
        if not self.public:
            return
        for name in finetuned:
            at_hand = significance in PLAIN and (not kept_delta(name) or self._stored(base, name))
            if not at_hand and not self.measured(base, name, significance):
                raise InvalidValue(
                    f"The significance {significance} of {name} is not measured yet: the page was "
                    "started anew, perhaps. Choose it again."
                )

    def _stored(self, base: str, finetuned: str) -> bool:
        """Return True if the profile of a pair, ranked by |d|, is in memory or on disk."""
        if self.measured(base, finetuned, "magnitude"):
            return True
        pair = (open_checkpoint(name, public=self.public) for name in (base, finetuned))
        return profile_entry(*(weights.content_hash() for weights in pair)).exists()

    def measured(self, base: str, finetuned: str, significance: str) -> bool:
        """Return True if that profile is cached; never waits for one."""
        return self._profiles.find((base, finetuned, significance)) is not None

    def table(self, base: str, finetuned: str, parameters: PruningParameters) -> dict[str, Any]:
        """The packed rate table of a pair, as the browser reads it."""
        profile = self.profile(base, finetuned, parameters.significance)
        key = (id(profile), parameters)
        return self._tables.made_of(
            profile, key, lambda: pack_table(rate_table(profile, parameters))
        )

    def plan(
        self,
        base: str,
        finetuned: str,
        levels: tuple[float, ...],
        pruning: Pruning,
        overrides: Mapping[str, Override] | None = None,
    ) -> PruningPlan | None:
        """The exact plan of a pair at some levels; None if only the merge determines it."""
        profile = self.profile(base, finetuned, ranked_by(pruning))
        return get_method(pruning.method).plan(profile, levels, pruning.settings(), overrides)

    def shown_plan(
        self,
        base: str,
        finetuned: str,
        levels: tuple[float, ...],
        pruning: Pruning,
        overrides: Mapping[str, Override],
        show: Callable[[PruningPlan], T],
    ) -> T | None:
        """`show` of a plan, cached for all visitors; None without a plan. A plan takes a
        millisecond, and fifty visitors who drag request it all the time."""
        profile = self.profile(base, finetuned, ranked_by(pruning))
        key = (show, base, finetuned, levels, pruning, tuple(sorted(overrides.items())))

        def make() -> T | None:
            plan = get_method(pruning.method).plan(profile, levels, pruning.settings(), overrides)
            return None if plan is None else show(plan)

        return self._drawings.made_of(profile, key, make)
