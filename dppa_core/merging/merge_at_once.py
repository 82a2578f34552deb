"""Which tensors of a merge are made in one reading, and what is needed for it.

Knows a merger and the pass over whole tensors; not where merged weights go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxtyping import UInt16
from numpy import ndarray

from dppa_core.merging.chunk_pass import Ingredient
from dppa_core.merging.merger import Merger
from dppa_core.merging.whole_pass import PassBuffers, kept_of, merge_whole
from dppa_core.system.threads import Spare

AT_ONCE = 20_000_000
"""Parameters from which tensors are merged whole: that pass takes seconds to compile once."""


class WholeTensors:
    """Merges whole tensors of bfloat16. Any thread may ask.

    Args:
        merger: Whose tensors.
        numel: Parameters in all.
        most: See `PassBuffers`.
        once: Whether tensors are merged once, so that it does not pay to keep them mapped.
    """

    def __init__(
        self, merger: Merger, numel: int, most: int = 1 << 60, *, once: bool = False
    ) -> None:
        self._merger = merger
        self.scratch = Spare(lambda: PassBuffers(most, merger.loader() if once else None))
        fast = merger.backend == "numba" and merger.recipe.dtype == "bfloat16"
        self._on = fast and numel >= AT_ONCE and not merger.combines

    def take(self, name: str) -> bool:
        """Whether it is worth a try."""
        return self._on and self._merger.base.dtype(name) == "BF16"

    def kept(self, name: str, models: Sequence[Ingredient]) -> tuple[int, ...] | None:
        """Elements kept of each model's delta; None where it takes a look at them to tell."""
        size = math.prod(self._merger.base.shape(name))
        found = [kept_of(model.treatment, size) for model in models]
        known = tuple(number for number in found if number is not None)
        return known if found and len(known) == len(found) else None

    def merge(
        self,
        name: str,
        models: Sequence[Ingredient],
        out: UInt16[ndarray, " n"],
        scratch: PassBuffers,
    ) -> bool:
        """Merge one tensor.

        False where it is the affair of the pass in chunks; `out` is then undefined.

        Args:
            name: Of the tensor.
            models: Their parts in it, as `Merger.ingredients` gives them.
            out: Where to.
            scratch: Nobody else's meanwhile.
        """
        merger, tensor = self._merger, self._merger.twins.get(name, name)
        base, known = merger.base.raw(tensor), merger.cuts
        return bool(models) and merge_whole(tensor, base, models, out, scratch, known)
