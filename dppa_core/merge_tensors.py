"""The fused pass over one tensor: base plus weighted, pruned deltas, rounded once.

Knows raw arrays and treatments, not recipes or files. Works in chunks that fit a core's cache:
neither a delta nor a mask ever exists as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Shaped, UInt64
from numpy import ndarray

from dppa_core.errors import DamagedCheckpoint, NonFiniteWeights
from dppa_core.floats import FLOATS
from dppa_core.kernels import Kernels
from dppa_core.methods.treatment import Banded, Dropped, RandomDrop, Ranked, Treatment, Whole
from dppa_core.modules import Module
from dppa_core.pairs import CHUNK, check_finite
from dppa_core.partition import Cut, Selection, resolve_cut, select, settled_cut, tensor_seed
from dppa_core.profile import TensorPair, load, profile_tensor

Chunk = Float32[ndarray, " n"]

# The first magnitude that rounds to infinity.
_LIMITS = {"BF16": 3.3961775e38, "F16": 65520.0, "F32": float("inf")}


@runtime_checkable
class Action(Protocol):
    """A treatment with its numbers worked out for one tensor."""

    def add(self, kernels: Kernels, acc: Chunk, base: Chunk, tuned: Chunk, start: int) -> None:
        """Add the treated delta of one chunk, whose first element has the flat index `start`."""
        ...


@dataclass(frozen=True, slots=True)
class _Whole:
    weight: float

    def add(self, kernels: Kernels, acc: Chunk, base: Chunk, tuned: Chunk, start: int) -> None:
        kernels.add_whole(acc, base, tuned, self.weight)


@dataclass(frozen=True, slots=True, eq=False)
class _Bands:
    seed: int
    thresholds: Float32[ndarray, " K"]
    cuts: UInt64[ndarray, " K"]
    weights: Float32[ndarray, " K"]

    def add(self, kernels: Kernels, acc: Chunk, base: Chunk, tuned: Chunk, start: int) -> None:
        kernels.add_bands(
            acc, base, tuned, start, self.seed, self.thresholds, self.cuts, self.weights
        )


@dataclass(frozen=True, slots=True)
class _Random:
    seed: int
    cut: int
    weight: float

    def add(self, kernels: Kernels, acc: Chunk, base: Chunk, tuned: Chunk, start: int) -> None:
        kernels.add_random(acc, base, tuned, start, self.seed, self.cut, self.weight)


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """What one domain model adds to one tensor."""

    pair: TensorPair
    model: str
    """Its reference, for messages."""
    action: Action
    kept: int
    """Elements of the delta that are kept; of random drops the expected number."""


def prepare_term(
    kernels: Kernels,
    pair: TensorPair,
    treatment: Treatment,
    coefficient: float,
    models: tuple[str, str],
    seed: int,
) -> Term | None:
    """Work a treatment out for one tensor; None where nothing is to be added.

    Args:
        kernels: The implementation to search ties with.
        pair: Both sides of the tensor.
        treatment: What the method asks for.
        coefficient: Merging coefficient of this model and layer.
        models: References of base and domain model; the second is part of random draws.
        seed: The recipe's, for random draws.
    """
    numel = pair.base.size
    if isinstance(treatment, Dropped) or numel == 0:
        return None
    if isinstance(treatment, Whole):
        whole = _Whole(_weight(coefficient, treatment.factor))
        return Term(pair, models[1], whole, numel)
    if isinstance(treatment, RandomDrop):
        cut = min(round((1 - treatment.rate) * 2**64), 2**64 - 1)
        drawn = tensor_seed("drop", pair.name, models[1], seed)
        random = _Random(drawn, cut, _weight(coefficient, treatment.factor))
        return Term(pair, models[1], random, round(numel * (1 - treatment.rate)))
    if isinstance(treatment, Ranked):
        treatment = _rank(pair, treatment, models)
    return _band_term(kernels, pair, treatment, coefficient, models[1])


def _weight(coefficient: float, factor: float) -> float:
    return float(np.float32(coefficient * factor))


def _rank(pair: TensorPair, treatment: Ranked, models: tuple[str, str]) -> Banded:
    """Profile a tensor that is no module, and find its thresholds."""
    numel = pair.base.size
    module = Module(pair.name, pair.name, -1, "other", numel, (numel,))
    profile = profile_tensor(module, pair, models)
    selections = tuple(select(profile, 1 - rate, treatment.ties) for rate in treatment.rates)
    return Banded(selections, treatment.factors)


def _band_term(
    kernels: Kernels, pair: TensorPair, banded: Banded, coefficient: float, model: str
) -> Term:
    found = [_cut(kernels, pair, selection) for selection in banded.selections]
    bands = _Bands(
        tensor_seed(pair.name),
        np.array([cut.threshold for cut, _ in found], dtype=np.float32),
        np.array([cut.tie_cut for cut, _ in found], dtype=np.uint64),
        np.array([_weight(coefficient, f) for f in banded.factors], dtype=np.float32),
    )
    return Term(pair, model, bands, found[-1][1])


def _cut(kernels: Kernels, pair: TensorPair, selection: Selection) -> tuple[Cut, int]:
    settled = settled_cut(selection)
    if settled is not None:
        return settled, selection.kept
    magnitudes = np.empty(selection.within, np.float32)
    hashes = np.empty(selection.within, np.uint64)
    seed, found = tensor_seed(pair.name), 0
    buffers = np.empty((2, min(CHUNK, pair.base.size)), np.float32)
    for start in range(0, pair.base.size, CHUNK):
        stop = min(start + CHUNK, pair.base.size)
        base = load(kernels, pair.base[start:stop], pair.base_dtype, buffers[0])
        tuned = load(kernels, pair.finetuned[start:stop], pair.finetuned_dtype, buffers[1])
        found = kernels.gather(
            base, tuned, start, seed, selection.low, selection.high, magnitudes, hashes, found
        )
    if found != selection.within:
        raise DamagedCheckpoint(
            f"{pair.name}: {found} elements at the threshold {selection.low:g}, its profile has "
            f"{selection.within}. A file that changed while it was read is the usual cause."
        )
    return resolve_cut(selection, pair.base.size, magnitudes, hashes)


def fuse(
    kernels: Kernels,
    name: str,
    base: Shaped[ndarray, " n"],
    base_dtype: str,
    terms: Sequence[Term],
    dtype: str,
) -> Shaped[ndarray, " n"]:
    """Base plus all terms in their order, each sum in float32, rounded once to `dtype`.

    Raises:
        NonFiniteWeights: NaN or infinity on either side, or a sum `dtype` cannot hold.
    """
    out: Shaped[ndarray, " n"] = np.empty(base.size, FLOATS[dtype])
    buffers = np.empty((3, min(CHUNK, base.size)), np.float32)
    for start in range(0, base.size, CHUNK):
        stop = min(start + CHUNK, base.size)
        origin = load(kernels, base[start:stop], base_dtype, buffers[0])
        acc = buffers[1, : stop - start]
        np.copyto(acc, origin)
        with np.errstate(all="ignore"):  # what is not finite is found just below, and named
            for term in terms:
                pair = term.pair
                raw = pair.finetuned[start:stop]
                tuned = load(kernels, raw, pair.finetuned_dtype, buffers[2])
                term.action.add(kernels, acc, origin, tuned, start)
        largest = max(abs(float(acc.max())), abs(float(acc.min())))
        if not largest < _LIMITS[dtype]:
            _raise_overflow(name, base, base_dtype, terms, dtype, largest)
        _round(kernels, acc, out[start:stop], dtype)
    return out


def _round(kernels: Kernels, acc: Chunk, out: Shaped[ndarray, " n"], dtype: str) -> None:
    if dtype == "BF16":
        kernels.narrow(acc, out)
    else:
        np.copyto(out, acc, casting="same_kind")


def _raise_overflow(
    name: str,
    base: Shaped[ndarray, " n"],
    base_dtype: str,
    terms: Sequence[Term],
    dtype: str,
    largest: float,
) -> None:
    check_finite(base, base_dtype, name, "the base")
    for term in terms:
        check_finite(term.pair.finetuned, term.pair.finetuned_dtype, name, term.model)
    raise NonFiniteWeights(
        f"{name}: the merged weights reach {largest:g}, {dtype} holds less than "
        f"{_LIMITS[dtype]:g}. Large factors or coefficients are the usual cause; "
        "dtype float32 or bfloat16 has room up to 3e38."
    )
