"""The inner loops, in two implementations that give the same bytes.

Knows arrays of one chunk, not tensors, files or methods. Every number is float32: a delta is
one subtraction, a term one multiplication, a sum one addition, never fused, in the order of the
recipe's models.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float32, Float64, Int64, UInt16, UInt64
from numpy import ndarray

from dppa_core.errors import UnknownName, did_you_mean

BACKENDS = ("numba", "torch")
"""numba is the fast one; torch the plain reference."""


@runtime_checkable
class Kernels(Protocol):
    """One implementation. Arrays called `acc` or `out` are written in place."""

    def widen(self, raw: UInt16[ndarray, " n"], out: Float32[ndarray, " n"]) -> None:
        """bfloat16 to float32."""
        ...

    def narrow(self, values: Float32[ndarray, " n"], out: UInt16[ndarray, " n"]) -> None:
        """Finite float32 to bfloat16, to nearest, ties to even."""
        ...

    def add_whole(
        self,
        acc: Float32[ndarray, " n"],
        base: Float32[ndarray, " n"],
        tuned: Float32[ndarray, " n"],
        weight: float,
    ) -> None:
        """acc += weight * (tuned - base). A term of 0 leaves even the sign of a zero alone."""
        ...

    def add_bands(
        self,
        acc: Float32[ndarray, " n"],
        base: Float32[ndarray, " n"],
        tuned: Float32[ndarray, " n"],
        start: int,
        seed: int,
        thresholds: Float32[ndarray, " K"],
        cuts: UInt64[ndarray, " K"],
        weights: Float32[ndarray, " K"],
    ) -> None:
        """As `add_whole`, with the weight of the first level an element is inside of, else 0.

        Args:
            start: Flat index of the chunk's first element in its tensor.
            seed: Of the order among elements equal to a threshold.
            thresholds: Falling; |d| above one is inside its level.
            cuts: Hashes below one are inside its level where |d| equals the threshold.
            weights: One per level.
        """
        ...

    def add_random(
        self,
        acc: Float32[ndarray, " n"],
        base: Float32[ndarray, " n"],
        tuned: Float32[ndarray, " n"],
        start: int,
        seed: int,
        cut: int,
        weight: float,
    ) -> None:
        """As `add_whole` for elements whose hash is below the cut; the others stay."""
        ...

    def gather(
        self,
        base: Float32[ndarray, " n"],
        tuned: Float32[ndarray, " n"],
        start: int,
        seed: int,
        low: float,
        high: float,
        magnitudes: Float32[ndarray, " m"],
        hashes: UInt64[ndarray, " m"],
        found: int,
    ) -> int:
        """Collect |d| and hash of the elements with low <= |d| < high behind the first `found`.

        Returns:
            How many are collected by then; never more than the arrays hold.
        """
        ...

    def histogram(
        self,
        base: Float32[ndarray, " n"],
        tuned: Float32[ndarray, " n"],
        counts: Int64[ndarray, " bins"],
        sums: Float64[ndarray, " bins"],
        squares: Float64[ndarray, " bins"],
    ) -> None:
        """Add counts and sums of |d| and d², by the top 16 bits of |d|."""
        ...


def get_backend(name: str) -> Kernels:
    """The implementation of that name.

    Raises:
        UnknownName: there is no such backend.
    """
    # Imported when asked for: start-up pays for numba or torch only where one is used.
    if name == "numba":
        from dppa_core.kernels import compiled  # noqa: PLC0415

        return compiled
    if name == "torch":
        from dppa_core.kernels import reference  # noqa: PLC0415

        return reference
    raise UnknownName(f"No backend {name!r}. {did_you_mean(name, BACKENDS)}")
