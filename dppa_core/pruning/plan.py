"""The pruning plan: rate, density, threshold and kept elements of every module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np

from dppa_core.errors import InvalidValue, UnknownName, did_you_mean, shown
from dppa_core.parameter_fields import told_values
from dppa_core.pruning.delta_profile import DeltaProfile, ModuleProfile
from dppa_core.pruning.density import Significance, densities_at, significance
from dppa_core.pruning.partition import Levels, Selection, check_levels, select_all
from dppa_core.pruning.pruning_parameters import Override, PruningParameters
from dppa_core.pruning.share_plot import cell_html, share_svg, shares_by_place
from dppa_core.system.frames import frame_of


@dataclass(frozen=True, slots=True)
class LevelPlan:
    """One level of one module."""

    rate: float
    """1 - density: the module's rate, not the level's overall rate."""
    density: float
    """Share of elements the module should keep at this level."""
    threshold: float
    """Larger |d| are kept, and some equal ones (see the parameter `ties`)."""
    kept: int
    """Elements kept at this level, including those of earlier levels."""
    selection: Selection
    """The threshold's place in the profile, the start of a merge."""


@dataclass(frozen=True, slots=True)
class ModulePlan:
    """One module; density, rate, threshold, kept and energy are of its last level."""

    name: str
    tensor: str
    """Name on disk."""
    layer: int
    kind: str
    numel: int
    significance: float
    """Share of elements above `k_module` times the module's mean |d|."""
    density: float
    rate: float
    threshold: float
    kept: int
    levels: tuple[LevelPlan, ...]
    energy: float
    """Retained share of the sum of d², in [0, 1]; 1 if the delta is zero everywhere."""
    mean_magnitude: float
    """Mean |d|."""

    def __repr__(self) -> str:
        return (
            f"ModulePlan({self.name}: keeps {self.kept:,} of {self.numel:,}, rate {self.rate:.3g})"
        )

    @property
    def partitions(self) -> tuple[int, ...]:
        """Elements of each partition."""
        kept = [0, *(level.kept for level in self.levels)]
        return tuple(later - earlier for earlier, later in pairwise(kept))


@dataclass(frozen=True, slots=True)
class PruningPlan:
    """The elements that pruning a pair at some levels will keep, from its profile alone."""

    base: str
    finetuned: str
    levels: tuple[float, ...]
    parameters: PruningParameters
    modules: tuple[ModulePlan, ...]
    density: float
    """Achieved share of module elements kept, at the last level."""
    energy: float
    """Achieved share of the modules' sum of d² kept, at the last level."""
    numel: int
    """Elements of all modules."""
    kept: int

    def __repr__(self) -> str:
        return f"PruningPlan({self._sentence()})"

    def _repr_html_(self) -> str:
        """For notebooks: a sentence, and a heatmap of the share kept by layer and kind."""
        shares, name = self.kept_shares(), self.finetuned.rstrip("/").rpartition("/")[2]
        return cell_html(self._sentence(), share_svg(name, shares) if shares else "")

    def _sentence(self) -> str:
        levels = ", ".join(f"{level:g}" for level in self.levels)
        return (
            f"{self.finetuned} − {self.base}, levels {levels}: keeps {self.kept:,} of "
            f"{self.numel:,} elements ({self.density:.1%}), {self.energy:.1%} of the sum of d²"
        )

    def kept_shares(self) -> dict[tuple[int, str], float]:
        """(layer, kind of matrix) -> share of its elements kept, in [0, 1]."""
        return shares_by_place((m.layer, m.kind, m.kept, m.numel) for m in self.modules)

    def to_json(self) -> dict[str, Any]:
        """The plan as plain values: {"modules": [{"name", "layer", …}, …], "density", …}."""
        return {
            **{field.name: getattr(self, field.name) for field in fields(self)},
            "levels": list(self.levels),
            "parameters": told_values(self.parameters),
            "modules": [_module_json(module) for module in self.modules],
        }

    def to_frame(self) -> Any:
        """A pandas DataFrame, a line a module: what the last level keeps, as counts and shares of
        1, and the elements of each partition. Raises InvalidValue without pandas."""
        return frame_of(
            {
                "module": module.name,
                "layer": module.layer,
                "kind": module.kind,
                "elements": module.numel,
                "kept": module.kept,
                "kept_share": module.kept / module.numel,
                "energy_share": module.energy,
                "significance_share": module.significance,
                "threshold": module.threshold,
                **{f"partition_{k + 1}": size for k, size in enumerate(module.partitions)},
            }
            for module in self.modules
        )


def plan_pruning(
    profile: DeltaProfile,
    levels: float | Sequence[float],
    parameters: PruningParameters | None = None,
    overrides: Mapping[str, Override] | None = None,
    score: Significance | None = None,
) -> PruningPlan:
    """Plan Dynamically Pruning at falling levels.

    Args:
        profile: Of a base and a domain model: `dppa_core.profile(base, model)`.
        levels: Pruning rates, strictly falling, each in [0, 1); the last is the overall rate. Or
            that one alone.
        parameters: Strength, significance and ties; the paper's by default.
        overrides: Module name -> its own rate. At earlier levels it keeps the same share of its
            final density as the level keeps of the overall one, so that partitions stay nested. The
            other modules compensate if they can.
        score: `significance` of this profile with these parameters, if known.

    Raises:
        InvalidValue: levels out of range or not falling, or no profile.
        UnknownName: an override for an unknown module.
    """
    if not isinstance(profile, DeltaProfile):
        raise InvalidValue(
            f"A plan is made of a profile, got {shown(profile)}. profile(base, model) measures one."
        )
    listed = isinstance(levels, Iterable) and not isinstance(levels, str)
    rates: Any = list(levels) if listed else [levels]  # type: ignore[arg-type]
    rates = levels if isinstance(levels, Levels) else check_levels(rates)
    parameters = parameters or PruningParameters()
    score = score or significance(profile, parameters)
    overall, sizes = (
        1 - np.array(rates),
        np.array([item.numel for item in profile.modules], np.int64),
    )
    held = held_densities(profile, overrides or {})
    held = {index: last * (overall / overall[-1]) for index, last in held.items()}
    density = densities_at(score.adjustment, sizes, np.array(rates), held)
    selections = select_all(profile.modules, density, parameters.ties)
    shares, scores = density.T.tolist(), score.module.tolist()
    modules = tuple(map(_plan_module, profile.modules, scores, shares, selections))
    numel, kept = sum(m.numel for m in modules), sum(m.kept for m in modules)
    total = sum(item.delta_square for item in profile.modules)
    saved = sum(module.levels[-1].selection.energy for module in modules)
    share, energy = kept / numel if numel else 0.0, _share(saved, total)
    names = profile.base, profile.finetuned
    return PruningPlan(*names, rates, parameters, modules, share, energy, numel, kept)


def kept_energy(profile: DeltaProfile, rate: float) -> float:
    """The share of the modules' sum of d² that magnitude pruning keeps at a rate, in [0, 1]."""
    return plan_pruning(profile, (rate,), PruningParameters(strength=0.0)).energy


def held_densities(profile: DeltaProfile, overrides: Mapping[str, Override]) -> dict[int, float]:
    """Index of a module -> its density by an override; raises UnknownName."""
    places = {item.module.name: index for index, item in enumerate(profile.modules)}
    for name in overrides:
        if name not in places:
            raise UnknownName(f"overrides: no module {name!r}. {did_you_mean(name, places)}")
    return {places[name]: 1 - override.rate for name, override in overrides.items()}


def _plan_module(
    profile: ModuleProfile, score: float, shares: list[float], selections: Sequence[Selection]
) -> ModulePlan:
    levels = tuple(
        LevelPlan(1 - share, share, selection.threshold, selection.kept, selection)
        for share, selection in zip(shares, selections, strict=True)
    )
    last, module = levels[-1], profile.module
    return ModulePlan(
        name=module.name,
        tensor=module.tensor,
        layer=module.layer,
        kind=module.kind,
        numel=profile.numel,
        significance=score,
        density=last.density,
        rate=last.rate,
        threshold=last.threshold,
        kept=last.kept,
        levels=levels,
        energy=_share(last.selection.energy, profile.delta_square),
        mean_magnitude=profile.mean_magnitude,
    )


def _share(part: float, whole: float) -> float:
    return min(part / whole, 1.0) if whole > 0 else 1.0


def _module_json(module: ModulePlan) -> dict[str, Any]:
    names = ("name", "layer", "kind", "numel", "significance", "density", "rate", "threshold")
    values = {name: getattr(module, name) for name in (*names, "kept", "energy", "mean_magnitude")}
    values["levels"] = [
        {name: getattr(level, name) for name in ("rate", "density", "threshold", "kept")}
        for level in module.levels
    ]
    return values
