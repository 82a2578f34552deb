"""Settings of Dynamically Pruning, and a user's own rate for one module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dppa_core.parameter_fields import Parameters, check_number, choice, number

SIGNIFICANCE_KINDS = ("magnitude", "fisher", "activation", "random")
"""Scores that can rank elements; a kept element always keeps its delta."""
CALIBRATED_KINDS = ("fisher", "activation")
"""Scores that need calibration text."""

SCALINGS = ("largest", "mean", "reversed")
"""How deviations from the mean significance become shifts of density."""


def ties_choice() -> Any:
    """The setting of ranking methods for elements equal to the threshold."""
    return choice(
        "exact",
        title="Ties",
        text="Elements equal to the threshold: as many as the density asks, or none.",
        choices=("exact", "prune"),
    )


def other_tensors_choice(default: str = "keep") -> Any:
    """The setting of pruning methods for tensors that are not modules."""
    return choice(
        default,
        title="Other tensors",
        text="Embeddings, LM head, norms, biases: keep, prune at the overall rate, or drop.",
        choices=("keep", "prune", "drop"),
    )


@dataclass(frozen=True, slots=True)
class PruningParameters(Parameters):
    """Settings of Dynamically Pruning; the defaults are the paper's."""

    strength: float = number(
        0.08,
        title="Strength",
        text="How far significance moves a layer's and a module's density from the mean. From half "
        "the density on (0.05 at 90 % pruning) a module can end with nothing.",
        unit="share",
        span=(0.0, 0.5, 0.01),
    )
    k_layer: float = number(
        3.0,
        title="Outliers of a layer",
        text="Elements above this multiple of the layer's mean |d| are significant.",
        unit="x mean",
        span=(0.1, 100.0, 0.1),
    )
    k_module: float = number(
        5.0,
        title="Outliers of a module",
        text="Elements above this multiple of the module's mean |d| are significant.",
        unit="x mean",
        span=(0.1, 100.0, 0.1),
    )
    significance: str = choice(
        "magnitude",
        title="Significance",
        text="What ranks elements. magnitude: |d|. fisher: |d| times the root of its Fisher "
        "information. activation: |d| times the norm of its input. random: chance, a control. "
        "fisher and activation need calibration text.",
        choices=SIGNIFICANCE_KINDS,
    )
    ties: str = ties_choice()
    other_tensors: str = other_tensors_choice()
    scaling: str = choice(
        "largest",
        title="Scaling",
        text="How a significance's distance from the mean shifts the density. largest (the "
        "paper's): divided by the largest distance, so the farthest always moves by the whole "
        "strength. mean: divided by the mean, so layers that are alike do not move. reversed: as "
        "largest with the opposite sign, a control.",
        choices=SCALINGS,
        later=True,
    )

    @property
    def module_strength(self) -> float:
        """Largest shift of a module's density by its own significance."""
        return self.strength


@dataclass(frozen=True, slots=True)
class Override:
    """A user's pruning rate for one module."""

    rate: float
    """Share of the module's delta dropped at the last level, in [0, 1]."""

    def __post_init__(self) -> None:
        rate = check_number("override rate", self.rate, 0.0, 1.0, "It is a share: 0.5 is half.")
        object.__setattr__(self, "rate", rate)
