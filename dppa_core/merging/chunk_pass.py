"""The fused pass over one tensor: base plus weighted, pruned deltas, rounded once.

Knows raw arrays and treatments, not recipes or files. Works in chunks that fit a core's cache:
neither a delta nor a mask ever exists as a whole, nor need the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Shaped
from numpy import ndarray

from dppa_core.checkpoints.chunks import CHUNK, RUN, Loader, TensorPair, widen
from dppa_core.checkpoints.matching import check_finite
from dppa_core.errors import NonFiniteWeights
from dppa_core.kernels.protocol import AT_ONCE, Kernels
from dppa_core.merging.actions import Action, Bands, Chunk, RandomDelta, RankedBands, WholeDelta
from dppa_core.methods.shared.treatment import Banded, Dropped, RandomDrop, Ranked, Treatment, Whole
from dppa_core.profiling.binning import profile_tensor
from dppa_core.profiling.significance import Scoring, ranked_by
from dppa_core.profiling.thresholds import find_cuts
from dppa_core.pruning.floats import FLOATS, from_float32, to_float32
from dppa_core.pruning.module_groups import Module
from dppa_core.pruning.partition import drop_cut, drop_seed, select, tensor_seed

LIMITS = {"BF16": 3.3961775e38, "F16": 65520.0, "F32": float("inf")}
"""Dtype -> the first magnitude that rounds to infinity."""


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """What one domain model adds to one tensor."""

    pair: TensorPair
    model: str
    """Its reference, for messages."""
    action: Action
    kept: int
    """Elements of the delta that are kept; of random drops the expected number."""


@dataclass(frozen=True, slots=True, eq=False)
class Fusion:
    """All that one merged tensor is made of."""

    name: str
    base: Shaped[ndarray, " n"]
    base_dtype: str
    terms: tuple[Term, ...]
    """What is added to the base, in this order."""
    dtype: str
    """Of the merged tensor."""
    kept: tuple[int, ...]
    """Elements kept of each domain model's delta, those without a term included."""


@dataclass(frozen=True, slots=True, eq=False)
class Ingredient:
    """One model's part in one tensor, as a method asks for it."""

    finetuned: Shaped[ndarray, " n"]
    dtype: str
    treatment: Treatment
    coefficient: float


def prepare_term(
    loader: Loader,
    pair: TensorPair,
    treatment: Treatment,
    coefficient: float,
    models: tuple[str, str],
    seed: int,
    scoring: Scoring | None = None,
) -> Term | None:
    """Work a treatment out for one tensor; None where nothing is to be added.

    Args:
        loader: What to read the pair with, where thresholds are looked for.
        pair: Both sides of the tensor.
        treatment: What the method asks for.
        coefficient: Merging coefficient of this model and layer.
        models: References of base and domain model; the second is part of random draws.
        seed: The recipe's, for random draws.
        scoring: What ranks the elements where the treatment keeps the first of them, if not |d|.
    """
    numel = pair.numel
    if isinstance(treatment, Dropped) or numel == 0:
        return None
    if isinstance(treatment, Whole):
        whole = WholeDelta(weight_of(coefficient, treatment.factor))
        return Term(pair, models[1], whole, numel)
    if isinstance(treatment, RandomDrop):
        weight = weight_of(coefficient, treatment.factor)
        random = RandomDelta(
            drop_seed(pair.name, models[1], seed), drop_cut(treatment.rate), weight
        )
        return Term(pair, models[1], random, round(numel * (1 - treatment.rate)))
    if isinstance(treatment, Ranked):
        treatment = _rank(loader, pair, treatment, models, scoring)
    return _band_term(loader, pair, treatment, coefficient, models[1], scoring)


def weight_of(coefficient: float, factor: float) -> float:
    """What a delta is multiplied with: a float32."""
    return float(np.float32(coefficient * factor))


def _rank(
    loader: Loader,
    pair: TensorPair,
    treatment: Ranked,
    models: tuple[str, str],
    scoring: Scoring | None,
) -> Banded:
    """Profile a tensor that is no module, and find its thresholds."""
    module = Module(pair.name, pair.name, -1, "other", pair.numel, (pair.numel,))
    profile = profile_tensor(loader, module, pair, models, scoring)
    selections = tuple(select(profile, 1 - rate, treatment.ties) for rate in treatment.rates)
    return Banded(selections, treatment.factors)


def _band_term(
    loader: Loader,
    pair: TensorPair,
    banded: Banded,
    coefficient: float,
    model: str,
    scoring: Scoring | None,
) -> Term:
    found = find_cuts(ranked_by(loader, scoring), pair, banded.selections)
    bands = Bands(
        tensor_seed(pair.name),
        np.array([cut.threshold for cut, _ in found], dtype=np.float32),
        np.array([cut.tie_cut for cut, _ in found], dtype=np.uint64),
        np.array([weight_of(coefficient, f) for f in banded.factors], dtype=np.float32),
    )
    action = bands if scoring is None else RankedBands(bands, scoring)
    return Term(pair, model, action, found[-1][1])


class Fuser:
    """Adds terms to a base, each sum in float32, rounded once. For one thread only.

    Args:
        loader: What to read and add with.
    """

    def __init__(self, loader: Loader) -> None:
        self.loader = loader
        self._acc = np.empty(CHUNK, np.float32)
        self._out = np.empty(0, np.uint16)

    def fuse(self, fusion: Fusion, start: int, stop: int) -> Shaped[ndarray, " n"]:
        """Merge the elements from `start` to `stop`; the result is good until the next call.

        Raises:
            NonFiniteWeights: NaN or infinity on either side, or a sum too large for the dtype.
        """
        dtype = FLOATS[fusion.dtype]
        if self._out.dtype != dtype or self._out.size < stop - start:
            self._out = np.empty(stop - start, dtype)
        out = self._out[: stop - start]
        self.fuse_into(fusion, start, out)
        return out

    def fuse_into(self, fusion: Fusion, start: int, out: Shaped[ndarray, " n"]) -> None:
        """Merge the elements from `start` on until `out` is full; see `fuse`."""
        kernels = self.loader.kernels
        if self._at_once(fusion, start, out):
            return
        for first in range(0, out.size, CHUNK):
            part = out[first : first + CHUNK]
            acc = self._acc[: part.size]
            self._sum(fusion, start + first, acc)
            round_into(kernels, fusion, acc, part)

    def _at_once(self, fusion: Fusion, start: int, out: Shaped[ndarray, " n"]) -> bool:
        """Whether a single loop has done it, and all is finite; else what was wrong is found."""
        if not 0 < len(fusion.terms) <= AT_ONCE or {fusion.dtype, fusion.base_dtype} != {"BF16"}:
            return False
        tuned, levels = [], []
        for term in fusion.terms:
            bands = term.action.bands()
            if bands is None or bands.weights.size > 2 or term.pair.finetuned_dtype != "BF16":
                return False
            tuned.append(term.pair.finetuned)
            levels.append((bands.thresholds, bands.cuts, bands.weights))
        raws, seed = (fusion.base, *tuned), tensor_seed(fusion.name)
        copied = self.loader.copies(*raws)
        step = RUN if copied else max(out.size, 1)
        for first in range(0, out.size, step):
            part = out[first : first + step]
            here = slice(start + first, start + first + part.size)
            parts = [raw[here] for raw in raws]
            if copied:
                parts = [self.loader.near(place, raw) for place, raw in enumerate(parts)]
            else:
                self.loader.note(sum(raw.nbytes for raw in parts))
            if not self.loader.kernels.fuse(parts[0], parts[1:], here.start, seed, levels, part):
                return False
        return True

    def _sum(self, fusion: Fusion, start: int, acc: Chunk) -> None:
        stop = start + acc.size
        widen(self.loader.kernels, fusion.base[start:stop], fusion.base_dtype, acc)
        with np.errstate(all="ignore"):  # what is not finite is found afterwards, and named
            for term in fusion.terms:
                base, tuned = self.loader.chunk(term.pair, start, stop)
                term.action.add(self.loader.kernels, acc, base, tuned, start)


def add_treated(
    loader: Loader, fusion: Fusion, term: Term, start: int, out: Float32[ndarray, " n"]
) -> None:
    """Add one model's treated delta from the flat index `start` on, until `out` is full.

    Raises:
        NonFiniteWeights: NaN or infinity on either side, or a delta too large for float32.
    """
    for first in range(0, out.size, CHUNK):
        acc, place = out[first : first + CHUNK], start + first
        old, new = loader.chunk(term.pair, place, place + acc.size)
        with np.errstate(all="ignore"):  # what is not finite is found just below, and named
            term.action.add(loader.kernels, acc, old, new, place)
        largest = loader.kernels.largest(acc)
        if not largest < np.inf:
            raise_overflow(fusion, largest)


def equals_base(fusion: Fusion, start: int, merged: Shaped[ndarray, " n"]) -> bool:
    """Whether merged elements from `start` on are those of the base, in the merged dtype."""
    raw = fusion.base[start : start + merged.size]
    if fusion.base_dtype != fusion.dtype:
        raw = from_float32(to_float32(raw, fusion.base_dtype), fusion.dtype)
    bits = f"u{raw.itemsize}"  # as bits: -0 is not 0
    return np.array_equal(raw.view(bits), merged.view(bits))


def round_into(
    kernels: Kernels,
    fusion: Fusion,
    merged: Float32[ndarray, " n"],
    out: Shaped[ndarray, " n"],
) -> None:
    """Write merged weights in their dtype, rounded to nearest even.

    Raises:
        NonFiniteWeights: the dtype cannot hold one; names the tensor, and the model where one is
            not finite itself.
    """
    largest = kernels.largest(merged)
    if not largest < LIMITS[fusion.dtype]:
        raise_overflow(fusion, largest)
    if fusion.dtype == "BF16":
        kernels.narrow(merged, out)
    else:
        np.copyto(out, merged, casting="same_kind")


def raise_overflow(fusion: Fusion, largest: float) -> None:
    """Say what made a merged tensor reach `largest`.

    Raises:
        NonFiniteWeights: always.
    """
    check_finite(fusion.base, fusion.base_dtype, fusion.name, "the base")
    for term in fusion.terms:
        check_finite(term.pair.finetuned, term.pair.finetuned_dtype, fusion.name, term.model)
    raise NonFiniteWeights(
        f"{fusion.name}: the merged weights reach {largest:g}, {fusion.dtype} holds less than "
        f"{LIMITS[fusion.dtype]:g}. Large factors or coefficients are the usual cause; "
        "dtype float32 or bfloat16 has room up to 3e38."
    )
