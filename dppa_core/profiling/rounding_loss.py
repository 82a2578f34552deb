"""What rounding to the merge's number format takes of a delta, measured on a sample."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
from jaxtyping import Float32, Shaped
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.low_bit.formats import LowBitWeights
from dppa_core.pruning.floats import DTYPE_CODES, FLOATS, from_float32, steps, to_float32
from dppa_core.pruning.tensor_names import match_names

Numbers = Float32[ndarray, " n"]

BLOCKS, BLOCK_NUMEL = 16, 256
"""Runs of elements that are read of a tensor, and their length: a page of memory or less each."""
MAX_TENSORS = 48
"""Tensors of a sample. An adapter computes each of them whole."""
REMEDY = "Write `dtype: float32` in the recipe."
_LOW_BIT_REMEDY = "Without --format same the merge is bfloat16, which rounds far less."


@dataclass(frozen=True, slots=True)
class RoundingLoss:
    """Share of one model's whole delta, at coefficient 1, lost to the dtype of the merge."""

    dtype: str
    share: float
    """‖rounded(W + d) - (W + d)‖ / ‖d‖."""
    unchanged: float
    """Share of the weights with a delta that round to the base's own value."""
    below_step: float = 0.0
    """Share of them whose delta is smaller than the distance to the dtype's next value."""

    @property
    def text(self) -> str:
        """The loss as a sentence."""
        return (
            f"Rounding to {self.dtype} takes {self.share:.2g} of ‖d‖: {self.unchanged:.0%} of the "
            f"changed weights keep the base's value, and in {self.below_step:.0%} the delta is "
            "smaller than one step, in a sample."
        )

    @property
    def remedy(self) -> str:
        """What avoids it."""
        return REMEDY if self.dtype in DTYPE_CODES else _LOW_BIT_REMEDY


def is_exact(dtype: str, stored: set[str]) -> bool:
    """Return True if a dtype rounds no coarser than these stored dtypes."""
    return dtype == "float32" or stored <= {DTYPE_CODES[dtype]}


def rounding_loss(
    base: Checkpoint, tuned: Checkpoint, dtype: str, few: LowBitWeights | None = None
) -> RoundingLoss | None:
    """Measure the loss on a sample; None if it is exact, or the delta is 0 or not finite.

    Args:
        few: The merge is written in this format; only tensors that it rounds are then measured.
    """
    places = {
        name: counterpart
        for name, counterpart in match_names(base.names(), tuned.names()).items()
        if {base.dtype(name), tuned.dtype(counterpart)} <= FLOATS.keys()
        and base.shape(name) == tuned.shape(counterpart)
        and (few is None or few.blocked(name))
    }
    stored = {base.dtype(n) for n in places} | {tuned.dtype(n) for n in places.values()}
    if few is None and is_exact(dtype, stored):
        return None
    sums = np.zeros(5)
    for name in sample_names(tuple(places)):
        old, new = base.raw(name), tuned.raw(places[name])
        folded = few.blocked(name) if few else None
        rounds = folded.rounded if folded else partial(_rounded, DTYPE_CODES[dtype])
        read = np.zeros(5)
        for start in block_starts(old.size):
            part = slice(start, start + BLOCK_NUMEL)
            read += _sums(
                to_float32(old[part], base.dtype(name)),
                to_float32(new[part], tuned.dtype(places[name])),
                partial(rounds, start),
            )
        sums += read * old.size / max(1, min(old.size, BLOCKS * BLOCK_NUMEL))
    error, delta, changed, unchanged, below = map(float, sums)
    if not delta or not math.isfinite(delta):
        return None
    shares = math.sqrt(error / delta), unchanged / changed, below / changed
    return RoundingLoss(few.title if few else dtype, *shares)


def _rounded(code: str, start: int, values: Numbers) -> tuple[Numbers, Numbers]:
    """Values rounded to a dtype, and from each the distance to its next one."""
    rounded = to_float32(from_float32(values, code), code)
    return rounded, steps(rounded, code)


def _sums(
    old: Numbers, new: Numbers, rounds: Callable[[Numbers], tuple[Numbers, Numbers]]
) -> Shaped[ndarray, " five"]:
    """Squares of the rounding error and of the delta; elements that changed, of those the ones that
    stay as the base's are, and the ones whose delta is below a step."""
    delta = new - old
    total = old + delta
    rounded = rounds(total)[0]
    unchanged, step = rounds(old)
    error = np.where(np.isfinite(rounded), rounded.astype(np.float64) - total, 0)
    changed = delta != 0
    kept, below = changed & (rounded == unchanged), changed & (np.abs(delta) < step)
    squares = np.square(error).sum(), np.square(delta, dtype=np.float64).sum()
    return np.array([*squares, changed.sum(), kept.sum(), below.sum()])


def sample_names(names: Sequence[str]) -> Sequence[str]:
    """At most `MAX_TENSORS` of the names, always the same."""
    return random.Random(0).sample(sorted(names), min(len(names), MAX_TENSORS))


def block_starts(numel: int) -> Iterator[int]:
    """First elements of evenly spaced blocks that do not overlap."""
    step = max(BLOCK_NUMEL, numel // BLOCKS)
    yield from islice(range(0, numel, step), BLOCKS)
