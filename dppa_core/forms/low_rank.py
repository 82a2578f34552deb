"""Low rank: the product of two narrow matrices (a truncated singular value decomposition)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dppa_core.forms.contract import Codes, Delta, Form, Place, code, factor_field, times
from dppa_core.forms.products import add_product
from dppa_core.forms.spectra import Spectrum, spectrum_of
from dppa_core.parameter_fields import Parameters, number, whole_number
from dppa_core.pruning.floats import from_float32, to_float32


@dataclass(frozen=True, slots=True)
class LowRankParameters(Parameters):
    """Settings of low rank."""

    rank: int = whole_number(
        16,
        title="Rank",
        text="Directions that are kept of each matrix, at most.",
        span=(1, 4096),
    )
    energy: float = number(
        1.0,
        title="Energy",
        text="Each matrix keeps only as many directions as this share of its energy (the sum of "
        "squares) takes.",
        unit="share",
        span=(0.01, 1.0, 0.01),
    )
    factor: float = factor_field()


def kept_rank(spectrum: Spectrum, parameters: LowRankParameters) -> int:
    """Directions that are kept of a matrix."""
    shares = np.cumsum(np.square(spectrum.values))
    enough = spectrum.values.size
    if parameters.energy < 1 and enough:
        enough = 1 + int(np.searchsorted(shares, parameters.energy * shares[-1]))
    return min(parameters.rank, enough, spectrum.values.size)


def encode(delta: Delta, parameters: LowRankParameters, place: Place) -> Codes:
    """Both factors, as bfloat16."""
    spectrum = spectrum_of(delta)
    rank = kept_rank(spectrum, parameters)
    left, right = spectrum.left[:, :rank], spectrum.right[:rank]
    return {"left": from_float32(left, "BF16"), "right": from_float32(right, "BF16")}


def decode(
    codes: Codes, shape: tuple[int, int], parameters: LowRankParameters, place: Place
) -> Delta:
    """left @ right, summed in order in float64."""
    left = code(codes, "left", np.uint16, (shape[0], None), place)
    right = code(codes, "right", np.uint16, (left.shape[1], shape[1]), place)
    wide, high = to_float32(left, "BF16"), to_float32(right, "BF16")
    return add_product(np.zeros(shape, np.float32), wide, high, 1.0)


def nbytes(shape: tuple[int, int], parameters: LowRankParameters) -> int:
    """Of both factors; at most, if a share of the energy limits the rank."""
    return 2 * min(parameters.rank, *shape) * sum(shape)


def label(parameters: LowRankParameters) -> str:
    """As "rank 16", or "rank 16, 90 % energy"."""
    share = f", {parameters.energy:.4g} of the energy" if parameters.energy < 1 else ""
    return f"rank {parameters.rank}{share}{times(parameters.factor)}"


FORM = Form(
    name="low_rank",
    title="Low rank",
    paper="",
    summary="Keeps the strongest directions of every matrix, as an adapter (LoRA) has them.",
    parameters=LowRankParameters,
    label=label,
    nbytes=nbytes,
    encode=encode,
    decode=decode,
)
