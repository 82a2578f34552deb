"""KnOTS: TIES of the models' parts along common output directions (arXiv:2410.19735)."""

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
from dppa_core.system.threads import one_blas_thread


@dataclass(frozen=True, slots=True)
class KnotsParameters(Parameters):
    """Settings of KnOTS; those of TIES are within it."""

    density: float = density(0.2, "The share of each model's part that is kept, the largest.")
    scale: float = scale(1.0)
    others: str = others()


def knots(parts: Sequence[Factors], parameters: KnotsParameters, bounds: Bounds) -> Factors:
    """The deltas side by side are U S [V1ᵀ V2ᵀ …]: TIES merges the V, U S is common.

    Decomposed is what lies between an orthonormal basis of all left sides and each right side's
    own, which has the same U S.
    """
    with one_blas_thread():
        basis, near = np.linalg.qr(np.hstack([part.left for part in parts]))
        sides = [np.linalg.qr(part.right.T) for part in parts]
    ends = np.cumsum([0, *(part.rank for part in parts)])
    cores = [
        near[:, first:last] @ far.T
        for first, last, (_, far) in zip(ends, ends[1:], sides, strict=False)
    ]
    common = singular(np.hstack(cores))
    ends = np.cumsum([0, *(core.shape[1] for core in cores)])
    rows = [
        common.right[:, first:last] @ own.T
        for first, last, (own, _) in zip(ends, ends[1:], sides, strict=False)
    ]
    merged = ties_within(np.stack(rows), parameters.density)
    return Factors(basis @ (common.left * common.values), merged)


METHOD = Method(
    name="knots",
    title="KnOTS",
    paper="arXiv:2410.19735",
    summary="Merges by TIES what each model does along output directions common to all.",
    group="spectral",
    home="Adapters of different tasks, which stay adapters.",
    parameters=KnotsParameters,
    combination=by_factors(knots),
)
