"""Sparse: the largest elements of every matrix, their places as few bytes as they take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from dppa_core.errors import InvalidValue
from dppa_core.forms.bits import BLOCK, read_steps, to_steps
from dppa_core.forms.contract import Codes, Delta, Form, Place, code, factor_field, times
from dppa_core.forms.places import decode_places, encode_places, expected_bytes
from dppa_core.parameter_fields import Parameters, check_fields, number, whole_number
from dppa_core.pruning.floats import from_float32, to_float32
from dppa_core.pruning.tie_breaking import mix, tensor_seed

_WHOLE = 16


@dataclass(frozen=True, slots=True)
class SparseParameters(Parameters):
    """Settings of sparse."""

    rate: float = number(
        0.9,
        title="Pruning rate",
        text="Share of each matrix that is pruned, the smallest elements.",
        unit="share",
        span=(0.0, 1.0, 0.001),
    )
    strength: float = number(
        0.0,
        title="Strength",
        text="How far a layer's and a matrix's outliers move its share from the mean; 0.08 is "
        "DPPA's.",
        unit="share",
        span=(0.0, 0.5, 0.01),
    )
    factor: float = factor_field()
    bits: int = whole_number(
        _WHOLE,
        title="Bits of a value",
        text="16 (bfloat16), or 8 or 4 with a scale for each block of 64 kept elements.",
        span=(4, _WHOLE),
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if self.bits not in (4, 8, _WHOLE):
            raise InvalidValue(f"bits must be 4, 8 or {_WHOLE}, got {self.bits}.")


def largest(delta: Delta, count: int, seed: int) -> Bool[ndarray, " n"]:
    """The elements with the largest |d|; of equal ones those with the smallest hashes."""
    sizes = np.abs(delta).ravel()
    if count == 0:
        return np.zeros(sizes.size, np.bool_)
    threshold = np.partition(sizes, sizes.size - count)[sizes.size - count]
    kept = sizes > threshold
    tied = np.flatnonzero(sizes == threshold)
    hashes = mix(tied.astype(np.uint64), seed)
    kept[tied[np.argsort(hashes, kind="stable")][: count - np.count_nonzero(kept)]] = True
    return np.asarray(kept)


def encode(delta: Delta, parameters: SparseParameters, place: Place) -> Codes:
    """The places, and the values: as bfloat16, or as steps and their scales.

    `uneven_stores` turns a strength into rates of matrices; here it counts for nothing.
    """
    count = min(round(delta.size * (1 - parameters.rate)), int(np.count_nonzero(delta)))
    kept = largest(delta, count, tensor_seed(place.tensor))
    values = delta.ravel()[kept]
    places = {"places": np.frombuffer(encode_places(kept), np.uint8)}
    if parameters.bits == _WHOLE or not values.size:
        return {**places, "values": from_float32(values, "BF16")}
    codes, steps = to_steps(values[None, :], BLOCK, parameters.bits)
    return {**places, "codes": codes, "steps": steps}


def decode(
    codes: Codes, shape: tuple[int, int], parameters: SparseParameters, place: Place
) -> Delta:
    """The values at their places; else 0."""
    delta = np.zeros(shape[0] * shape[1], np.float32)
    places = code(codes, "places", np.uint8, (None,), place)
    kept = decode_places(places.tobytes(), delta.size, place.tensor)
    count = int(np.count_nonzero(kept))
    if parameters.bits == _WHOLE or not count:
        values = to_float32(code(codes, "values", np.uint16, (count,), place), "BF16")
    else:
        values = read_steps(codes, (1, count), BLOCK, parameters.bits, place)[0]
    delta[kept] = values
    return delta.reshape(shape)


def nbytes(shape: tuple[int, int], parameters: SparseParameters) -> int:
    """Of places without a pattern, and of their values."""
    numel = shape[0] * shape[1]
    count = round((1 - parameters.rate) * numel)
    scales = 0 if parameters.bits == _WHOLE else 2 * -(-count // BLOCK)
    return expected_bytes(count, numel) + -(-count * parameters.bits // 8) + scales


def label(parameters: SparseParameters) -> str:
    """As "90 % pruned", "DPPA, 90 % pruned", or "90 % pruned × 1.5, 8 bits"."""
    bits = f", {parameters.bits} bits" if parameters.bits != _WHOLE else ""
    dppa = "DPPA, " if parameters.strength else ""
    return f"{dppa}{100 * parameters.rate:.4g} % pruned{times(parameters.factor)}{bits}"


FORM = Form(
    name="sparse",
    title="Largest elements",
    paper="",
    summary="Keeps the largest elements of every matrix, with their places; a factor may enlarge "
    "them.",
    parameters=SparseParameters,
    label=label,
    nbytes=nbytes,
    encode=encode,
    decode=decode,
)
