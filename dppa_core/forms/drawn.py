"""Drawn: elements that a seed picks; their places take no bytes (DARE: arXiv:2311.03099)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from dppa_core.forms.contract import Codes, Delta, Form, Place, code, times
from dppa_core.forms.places import drawn_places
from dppa_core.parameter_fields import Parameters, number, whole_number
from dppa_core.pruning.floats import from_float32, to_float32
from dppa_core.pruning.tie_breaking import drop_cut

_SLICE = 1 << 20


@dataclass(frozen=True, slots=True)
class DrawnParameters(Parameters):
    """Settings of drawn."""

    rate: float = number(
        0.9,
        title="Pruning rate",
        text="Share of the elements that the draw prunes.",
        unit="share",
        span=(0.0, 0.9999, 0.001),
    )
    factor: float = number(
        0.0,
        title="Factor",
        text="Multiplies the elements that are kept; 0 takes 1 ÷ (1 − rate), as DARE does.",
        span=(0.0, 10_000.0, 0.1),
    )
    seed: int = whole_number(
        0, title="Seed", text="Another one draws other elements.", span=(0, 2**32 - 1)
    )


def whole_factor(parameters: DrawnParameters) -> float:
    """The factor, also where it is left to the rate."""
    return parameters.factor or 1 / (1 - parameters.rate)


def all_places(size: int, seed: int, rate: float) -> Bool[ndarray, " n"]:
    """The elements that a draw keeps."""
    places, cut = np.empty(size, np.bool_), drop_cut(rate)
    for start in range(0, size, _SLICE):
        stop = min(start + _SLICE, size)
        places[start:stop] = drawn_places(start, stop, seed, cut)
    return places


def _places(size: int, parameters: DrawnParameters, place: Place) -> Bool[ndarray, " n"]:
    return all_places(size, place.seed(parameters.seed), parameters.rate)


def encode(delta: Delta, parameters: DrawnParameters, place: Place) -> Codes:
    """The elements that are kept, as bfloat16, in their order."""
    kept = delta.ravel()[_places(delta.size, parameters, place)]
    return {"values": from_float32(kept, "BF16")}


def decode(
    codes: Codes, shape: tuple[int, int], parameters: DrawnParameters, place: Place
) -> Delta:
    """The elements at the places that are drawn again; else 0."""
    delta = np.zeros(shape[0] * shape[1], np.float32)
    places = _places(delta.size, parameters, place)
    values = code(codes, "values", np.uint16, (int(np.count_nonzero(places)),), place)
    delta[places] = to_float32(values, "BF16")
    return delta.reshape(shape)


def nbytes(shape: tuple[int, int], parameters: DrawnParameters) -> int:
    """Of as many values as a draw keeps on average."""
    return 2 * round((1 - parameters.rate) * shape[0] * shape[1])


def label(parameters: DrawnParameters) -> str:
    """As "99 % pruned at random × 2": beside what the rate enlarges, as of any form."""
    beyond = float(f"{whole_factor(parameters) * (1 - parameters.rate):.4g}")
    return f"{100 * parameters.rate:.4g} % pruned at random{times(beyond)}"


FORM = Form(
    name="drawn",
    title="Drawn at random",
    paper="arXiv:2311.03099",
    summary="Keeps elements that a seed picks, larger by the share that is pruned; a file holds "
    "their values alone.",
    parameters=DrawnParameters,
    label=label,
    nbytes=nbytes,
    factor=whole_factor,
    encode=encode,
    decode=decode,
)
