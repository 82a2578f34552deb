"""Findings from a sample of weights before a merge: NaN, and the delta lost to rounding."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint, DerivedCheckpoint
from dppa_core.checkpoints.matching import check_finite
from dppa_core.errors import Cancelled, DppaError
from dppa_core.preflight_checks.collect_local import trouble
from dppa_core.preflight_checks.facts import Finding, counted, note, ok, warning
from dppa_core.progress import Stop, check
from dppa_core.pruning.floats import DTYPE_CODES, FLOATS, from_float32, to_float32
from dppa_core.pruning.tensor_names import match_names

BLOCKS, BLOCK_NUMEL = 16, 256
"""Runs of elements that are read of a tensor, and their length: a page of memory or less each."""
MOST_TENSORS = 48
"""Tensors of a sample. An adapter computes each of them whole."""
WHOLE_BYTES = 1_000_000_000
"""Up to this size a model is read whole to look for NaN, which takes a second or less."""
NOTABLE, HEAVY = 0.01, 0.1
"""Shares of ‖d‖ lost to rounding from which it is noted, and warned of."""

_REMEDY = "Write `dtype: float32` in the recipe."


@dataclass(frozen=True, slots=True)
class RoundingLoss:
    """Share of one model's whole delta, at coefficient 1, lost to the dtype of the merge."""

    dtype: str
    share: float
    """‖rounded(W + d) - (W + d)‖ / ‖d‖."""
    unchanged: float
    """Share of the weights with a delta that round to the base's own value."""

    @property
    def text(self) -> str:
        """The loss as a sentence."""
        return (
            f"Rounding to {self.dtype} takes {self.share:.2g} of ‖d‖: {self.unchanged:.0%} of the "
            "changed weights keep the base's value, in a sample."
        )


def is_exact(dtype: str, stored: set[str]) -> bool:
    """Return True if a dtype rounds no coarser than these stored dtypes."""
    return dtype == "float32" or stored <= {DTYPE_CODES[dtype]}


def rounding_loss(base: Checkpoint, tuned: Checkpoint, dtype: str) -> RoundingLoss | None:
    """Measure the loss on a sample; None if it is exact, or the delta is 0 or not finite."""
    places = {
        name: counterpart
        for name, counterpart in match_names(base.names(), tuned.names()).items()
        if {base.dtype(name), tuned.dtype(counterpart)} <= FLOATS.keys()
        and base.shape(name) == tuned.shape(counterpart)
    }
    stored = {base.dtype(n) for n in places} | {tuned.dtype(n) for n in places.values()}
    if is_exact(dtype, stored):
        return None
    sums = np.zeros(4)
    for name in _sample(tuple(places)):
        old, new = base.raw(name), tuned.raw(places[name])
        read = np.zeros(4)
        for start in _starts(old.size):
            part = slice(start, start + BLOCK_NUMEL)
            read += _sums(
                to_float32(old[part], base.dtype(name)),
                to_float32(new[part], tuned.dtype(places[name])),
                DTYPE_CODES[dtype],
            )
        sums += read * old.size / max(1, min(old.size, BLOCKS * BLOCK_NUMEL))
    error, delta, changed, unchanged = map(float, sums)
    if not delta or not math.isfinite(delta):
        return None
    return RoundingLoss(dtype, math.sqrt(error / delta), unchanged / changed)


def _sums(
    old: Shaped[ndarray, " n"], new: Shaped[ndarray, " n"], code: str
) -> Shaped[ndarray, " four"]:
    """Squares of the rounding error and of the delta, elements changed, and of those unchanged."""
    delta = new - old
    total = old + delta
    rounded = to_float32(from_float32(total, code), code)
    error = np.where(np.isfinite(rounded), rounded.astype(np.float64) - total, 0)
    changed = delta != 0
    kept = changed & (rounded == to_float32(from_float32(old, code), code))
    squares = np.square(error).sum(), np.square(delta, dtype=np.float64).sum()
    return np.array([*squares, changed.sum(), kept.sum()])


def about_rounding(model: str, stored: set[str], dtype: str, loss: RoundingLoss | None) -> Finding:
    """Finding on the share of a model's delta lost to the merge's dtype.

    Args:
        stored: Dtypes of the base's weights and the model's.
        loss: As measured; None if the weights are not here.
    """
    kinds = ", ".join(sorted(stored))
    if is_exact(dtype, stored):
        return ok(
            "dtype", model, f"The merge is stored in {dtype}, which loses nothing of {kinds}."
        )
    why = f"The weights are {kinds}: {dtype} rounds small changes next to large weights away."
    if loss is None:
        sentence = f"The merge is stored in {dtype}, which takes part of its delta."
        return note("dtype", model, sentence, why, _REMEDY)
    make = warning if loss.share >= HEAVY else note if loss.share >= NOTABLE else ok
    return make("dtype", model, loss.text, why, _REMEDY)


def rounding_warnings(losses: Mapping[str, RoundingLoss]) -> tuple[str, ...]:
    """A merge's warnings: one line for each domain model that loses a notable part."""
    heavy = {model: loss for model, loss in losses.items() if loss.share >= HEAVY}
    return tuple(f"{model}: {loss.text} {_REMEDY}" for model, loss in heavy.items())


def about_finite(model: str, checkpoint: Checkpoint, stop: Stop | None = None) -> Finding:
    """Finding on NaN or infinity in a model; of a small one all weights are read."""
    names = [name for name in checkpoint.names() if checkpoint.dtype(name) in FLOATS]
    sizes = {name: math.prod(checkpoint.shape(name)) for name in names}
    adapted = isinstance(checkpoint, DerivedCheckpoint)
    whole = not adapted and 4 * sum(sizes.values()) <= WHOLE_BYTES
    numel = 0
    try:
        for name in _sample(names) if adapted else names:
            check(stop)
            raw, dtype = checkpoint.raw(name), checkpoint.dtype(name)
            for start in (0,) if whole else _starts(raw.size):
                part = raw if whole else raw[start : start + BLOCK_NUMEL]
                check_finite(part, dtype, name, model, start)
                numel += part.size
        checkpoint.release()
    except Cancelled:
        raise
    except DppaError as error:
        return replace(trouble(model, error), topic="weights")
    if whole:
        return ok("weights", model, f"None of its {counted(numel)} weights is NaN or infinite.")
    return note(
        "weights",
        model,
        f"None of {counted(numel)} weights that were read is NaN or infinite; the others were not "
        "read.",
        "",
        "--measure reads all of them; so does every merge.",
    )


def _sample(names: Sequence[str]) -> Sequence[str]:
    """At most `MOST_TENSORS` of the names, always the same."""
    return random.Random(0).sample(sorted(names), min(len(names), MOST_TENSORS))


def _starts(numel: int) -> Iterator[int]:
    """First elements of evenly spaced blocks that do not overlap."""
    step = max(BLOCK_NUMEL, numel // BLOCKS)
    yield from islice(range(0, numel, step), BLOCKS)
