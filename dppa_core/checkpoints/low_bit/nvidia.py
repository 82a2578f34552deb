"""NVFP4: FP8 scales of 16 numbers, and one of the matrix."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.low_bit.alphabets import E4M3, Codes
from dppa_core.checkpoints.low_bit.folded import as_floats, as_stored
from dppa_core.checkpoints.low_bit.packed import Packed
from dppa_core.checkpoints.low_bit.rounding import Grid, Numbers

_MOST = np.finfo(np.float32).max / E4M3.largest
"""The largest scale of FP8 times a larger factor exceeds float32."""
_RULES = {
    "divisor": f"divisor must be finite and at least {1 / _MOST:.3g}",
    "factor": f"factor must be above 0 and at most {_MOST:.3g}",
}


class Nvidia(Packed):
    """The scale of the matrix is stored as a divisor of the others, or as their factor."""

    def scales(self, slab: int) -> Numbers:
        return self._times(super().scales(slab), self._common)

    @property
    def common(self) -> bool:
        return True

    def grids(
        self, low: Numbers, high: Numbers, stored: Grid, extremes: tuple[float, float] | None
    ) -> list[Grid]:
        scales = np.maximum(high, -low) / np.float32(self.alphabet.largest)
        if extremes is None:
            common = self._common_of(scales)
        else:
            largest = np.float32(max(map(abs, extremes)) / self.alphabet.largest)
            common = self._common_of(np.full((1, 1), largest))
        in_fp8 = as_floats(as_stored(self._over(scales, common), "F8_E4M3"), "F8_E4M3")
        fresh = (self._times(in_fp8, common), None)
        return [stored, fresh] if common == self._common else [fresh]

    def store(
        self, slab: int, codes: Codes, scales: Numbers, zeros: Numbers | None
    ) -> Mapping[str, Shaped[ndarray, ...]]:
        common = self._common_of(scales)
        parts = super().store(slab, codes, self._over(scales, common), zeros)
        return {**parts, self._part: np.full_like(self.part(self._part), common)}

    @property
    def _part(self) -> str:
        return "divisor" if "divisor" in self.parts else "factor"

    @property
    def _common(self) -> np.float32:
        """As it is stored; NonFiniteWeights if it makes a scale that is no number, or 0."""
        common = np.float32(self.part(self._part).reshape(-1)[0])
        least, most = (1 / _MOST, np.finfo(np.float32).max)
        if self._part == "factor":
            least, most = np.finfo(np.float32).smallest_subnormal, _MOST
        if not least <= common <= most:
            raise self.unusable(self._part, 0, _RULES[self._part])
        return common

    def _common_of(self, scales: Numbers) -> np.float32:
        """The stored one; another if a scale would not fit."""
        largest = scales.max(initial=0) * np.float32(1 - 1e-6)
        if self._over(largest, self._common) <= E4M3.largest:
            return self._common
        return np.float32(
            E4M3.largest / largest if self._part == "divisor" else largest / E4M3.largest
        )

    def _times(self, scales: Numbers, common: np.float32) -> Numbers:
        """What scales of FP8 stand for."""
        return scales / common if self._part == "divisor" else scales * common

    def _over(self, scales: Numbers, common: np.float32) -> Numbers:
        """Scales before they are rounded to FP8."""
        return scales * common if self._part == "divisor" else scales / common
