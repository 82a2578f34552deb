"""What rounding to the merge's number format takes of what is added to a base, from a sample."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dppa_core.checkpoints.checkpoint import Checkpoint, FolderCheckpoint
from dppa_core.checkpoints.low_bit.formats import LowBitWeights
from dppa_core.profiling.rounding_sample import AddedTensor, Sums, runs_summed, windows_summed
from dppa_core.pruning.coefficients import Coefficient, coefficient_of, numbers_of, parts_of
from dppa_core.pruning.floats import DTYPE_CODES, FLOATS
from dppa_core.pruning.module_groups import layer_count
from dppa_core.pruning.tensor_names import match_names

MAX_TENSORS = 48
"""Tensors of a sample. An adapter computes each of them whole."""
MAX_READ = 1 << 26
"""Elements from which no further tensor is read."""
REMEDY = "Write `dtype: float32` in the recipe."
LOW_BIT_REMEDY = "Without --format same the merge is bfloat16, which rounds far less."
_NOTHING = 5e-4
"""A share that three decimals show as 0."""


@dataclass(frozen=True, slots=True)
class RoundingLoss:
    """Share of whole deltas, each times its coefficient, lost to the number format of a merge."""

    dtype: str
    share: float
    """‖rounded(W + c d) - (W + c d)‖ / ‖c d‖."""
    unchanged: float
    """Share of the weights that change that are written as the base's own would be."""
    below_step: float = 0.0
    """Share of them that change by less than the distance to the format's next value."""
    added: str = "d"
    """What is added, as a formula."""
    coarser: bool = True
    """False if the weights of all models are of that dtype: only sums are rounded."""

    @property
    def text(self) -> str:
        """The loss as a sentence."""
        how = {"d": ", added whole", "Σ c d": ", every delta whole, with the recipe's coefficients"}
        added = f"‖{self.added}‖{how.get(self.added, ', the delta whole')}"
        if self.share < _NOTHING:
            return f"Rounding to {self.dtype} takes nothing of {added}, in a sample."
        return (
            f"Rounding to {self.dtype} takes {self.share:.2g} of {added}: {self.unchanged:.0%} of "
            "the changed weights round to the same value as the base's, and in "
            f"{self.below_step:.0%} the change is smaller than one step, in a sample."
        )

    @property
    def remedy(self) -> str:
        """What avoids it."""
        return REMEDY if self.dtype in DTYPE_CODES else LOW_BIT_REMEDY


def is_exact(dtype: str, stored: set[str], coefficients: Sequence[Coefficient] = (1.0,)) -> bool:
    """Return True if a dtype holds every sum: it is float32, or that of all weights, and at most
    one delta is added, whole."""
    numbers = [{*numbers_of(part.value)} for c in coefficients for part in parts_of(c)]
    added = [each for each in numbers if each != {0.0}]
    as_stored = stored <= {DTYPE_CODES[dtype]} and added in ([], [{1.0}])
    return dtype == "float32" or as_stored


def rounding_loss(
    base: Checkpoint,
    added: Sequence[tuple[Checkpoint, Coefficient]],
    dtype: str,
    few: LowBitWeights | None = None,
) -> RoundingLoss | None:
    """Measure the loss on a sample; None if it is exact, or nothing finite is added.

    Args:
        added: Domain models, and the coefficients of their whole deltas.
        few: The merge is written in this format; only tensors that it rounds are then measured.
    """
    places = _places(base, [model for model, _ in added], few)
    stored = {base.dtype(name) for name in places}
    stored |= {m.dtype(names[i]) for names in places.values() for i, (m, _) in enumerate(added)}
    if few is None and is_exact(dtype, stored, [coefficient for _, coefficient in added]):
        return None
    error, square, changed, unchanged, below = map(float, _summed(base, added, places, dtype, few))
    if not square or not math.isfinite(square):
        return None
    shares = math.sqrt(error / square), unchanged / changed, below / changed
    coarser = few is not None or not stored <= {DTYPE_CODES[dtype]}
    return RoundingLoss(few.title if few else dtype, *shares, _formula(added), coarser)


def _places(
    base: Checkpoint, tuned: Sequence[Checkpoint], few: LowBitWeights | None
) -> dict[str, tuple[str, ...]]:
    """Tensor -> its name in each model, if all have it as numbers of one shape."""
    matched = [match_names(base.names(), model.names()) for model in tuned]
    places = {}
    for name in set(base.names()).intersection(*matched):
        own = tuple(names[name] for names in matched)
        tensors = [(base, name), *zip(tuned, own, strict=True)]
        plain = {model.dtype(each) for model, each in tensors} <= FLOATS.keys()
        shapes = {model.shape(each) for model, each in tensors}
        if plain and len(shapes) == 1 and (few is None or few.blocked(name)):
            places[name] = own
    return places


def _summed(
    base: Checkpoint,
    added: Sequence[tuple[Checkpoint, Coefficient]],
    places: Mapping[str, tuple[str, ...]],
    dtype: str,
    few: LowBitWeights | None,
) -> Sums:
    sums, read, layers = np.zeros(5), 0, layer_count(base.names())
    of_base = isinstance(base, FolderCheckpoint) and base.low_bit is few
    for name in sample_names(tuple(places)):
        models = [(model, own) for (model, _), own in zip(added, places[name], strict=True)]
        numbers = [coefficient_of(coefficient, name, layers) for _, coefficient in added]
        tensor = AddedTensor.of(name, base, models, numbers)
        folded = few.blocked(name) if few else None
        if folded is None:
            sums += runs_summed(tensor, DTYPE_CODES[dtype])
            continue
        new, elements = windows_summed(tensor, folded, of_base=of_base)
        sums, read = sums + new, read + elements
        if read >= MAX_READ:
            break
    return sums


def _formula(added: Sequence[tuple[Checkpoint, Coefficient]]) -> str:
    coefficients = [coefficient for _, coefficient in added]
    if len(coefficients) == 1 and isinstance(coefficients[0], float):
        return "d" if coefficients[0] == 1 else f"{coefficients[0]:g} d"
    return "Σ c d"


def sample_names(names: Sequence[str]) -> Sequence[str]:
    """At most `MAX_TENSORS` of the names, always the same."""
    return random.Random(0).sample(sorted(names), min(len(names), MAX_TENSORS))
