"""Subspace Boosting: the sum of the deltas, its weak directions made larger (arXiv:2506.16506)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import scale
from dppa_core.methods.shared.singular import singular
from dppa_core.methods.spectral.matrices import Bounds, Matrices, Matrix, added, by_matrix, others
from dppa_core.parameter_fields import Parameters, number


@dataclass(frozen=True, slots=True)
class SubspaceBoostingParameters(Parameters):
    """Settings of Subspace Boosting; the default is the paper's."""

    beta: float = number(
        0.01,
        title="Beta",
        text="The strongest directions whose sizes add up to this share of all stay; weaker ones "
        "become as large as the last of them.",
        unit="share",
        span=(0.0, 1.0, 0.01),
    )
    scale: float = scale(1.0)
    others: str = others()


def subspace_boosting(
    deltas: Matrices, parameters: SubspaceBoostingParameters, bounds: Bounds
) -> Matrix:
    """The sum, none of whose singular values is below the one at the border."""
    parts = singular(added(deltas), above=bounds.rounding)
    if not parts.values.size:
        return np.zeros(deltas.shape[1:])
    shares = np.cumsum(parts.values) / parts.values.sum()
    border = min(int(np.searchsorted(shares, parameters.beta)), len(shares) - 1)
    return np.asarray(parts.left * np.maximum(parts.values, parts.values[border]) @ parts.right)


METHOD = Method(
    name="subspace_boosting",
    title="Subspace Boosting",
    paper="arXiv:2506.16506",
    summary="Adds the deltas, and makes the weak directions of each matrix larger.",
    group="spectral",
    home="Sums of many models that have lost most of their rank.",
    parameters=SubspaceBoostingParameters,
    combination=by_matrix(subspace_boosting),
)
