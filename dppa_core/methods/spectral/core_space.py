"""Core Space: TIES between directions that all models share (arXiv:2509.17786)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import density, scale
from dppa_core.methods.shared.singular import Factors, singular
from dppa_core.methods.spectral.matrices import Bounds, by_factors, others
from dppa_core.methods.spectral.ties_within import ties_within
from dppa_core.parameter_fields import Parameters


@dataclass(frozen=True, slots=True)
class CoreSpaceParameters(Parameters):
    """Settings of Core Space; those of TIES are within it."""

    density: float = density(0.2, "The share of each model's core that is kept, the largest.")
    scale: float = scale(1.0)
    others: str = others()


def core_space(
    parts: Sequence[Factors], parameters: CoreSpaceParameters, bounds: Bounds
) -> Factors:
    """Every model is a small matrix between common bases; TIES merges these.

    The bases are the directions of all left sides, and of all right sides, together: nothing of a
    delta lies outside.
    """
    left = singular(np.hstack([part.left for part in parts])).left
    right = singular(np.vstack([part.right for part in parts])).right
    cores = [(left.T @ part.left) @ (part.right @ right.T) for part in parts]
    return Factors(left @ ties_within(np.stack(cores), parameters.density), right)


METHOD = Method(
    name="core_space",
    title="Core Space",
    paper="arXiv:2509.17786",
    summary="Merges by TIES between directions that all models share.",
    group="spectral",
    home="Adapters, which stay adapters.",
    parameters=CoreSpaceParameters,
    combination=by_factors(core_space),
)
