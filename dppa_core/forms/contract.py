"""The description of a form: what it keeps of a matrix of changes, and how that is read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped
from numpy import ndarray

from dppa_core.errors import DamagedCheckpoint
from dppa_core.parameter_fields import number
from dppa_core.pruning.tie_breaking import drop_seed

Delta = Float32[ndarray, "rows columns"]
Codes = Mapping[str, Shaped[ndarray, "..."]]
"""What is kept of a matrix, as named arrays; their bytes are what a file holds."""


def factor_field() -> Any:
    """The setting of every form that multiplies what it keeps; its default changes nothing."""
    return number(1.0, title="Factor", text="Multiplies what is kept.", span=(0.0, 100.0, 0.1))


@dataclass(frozen=True, slots=True)
class Place:
    """The matrix that a delta is of; random draws depend on it."""

    tensor: str
    model: str
    """Reference of the domain model."""

    def seed(self, seed: int) -> int:
        """The seed of its draws, as DARE's, from a recipe's."""
        return drop_seed(self.tensor, self.model, seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A way to keep a delta in fewer bytes.

    `decode` reads what `encode` wrote, before its factor, whatever the machine: the same codes give
    the same delta.
    Codes are uint8, or bfloat16 as uint16; those that do not fit raise DamagedCheckpoint.
    """

    name: str
    """Its name in recipes."""
    title: str
    paper: str
    """arXiv number, or empty."""
    summary: str
    """One sentence for people."""
    parameters: type[Any]
    """Frozen dataclass whose fields describe themselves (title, help, unit, range)."""
    label: Callable[[Any], str]
    """A few words for its settings, as "rank 16"."""
    factor: Callable[[Any], float] = lambda settings: float(settings.factor)
    """What multiplies a decoded delta."""
    nbytes: Callable[[tuple[int, int], Any], int]
    """Bytes of the codes of a matrix of a shape, expected before it is read."""
    encode: Callable[[Delta, Any, Place], Codes]
    decode: Callable[[Codes, tuple[int, int], Any, Place], Delta]


def code(
    codes: Codes, name: str, dtype: type[np.generic], shape: tuple[int | None, ...], place: Place
) -> Shaped[ndarray, ...]:
    """One of the arrays that are kept, checked: a file may hold anything.

    Args:
        shape: None is any size.

    Raises:
        DamagedCheckpoint: it is missing, or of another dtype or shape.
    """
    array = codes.get(name)
    if array is None or array.dtype != dtype or not _fits(array.shape, shape):
        has = "missing" if array is None else f"{array.dtype} of shape {array.shape}"
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise DamagedCheckpoint(
            f"{place.tensor}: {name} of what is kept of its changes is {has}; it must be "
            f"{np.dtype(dtype)} of shape ({wanted}). A file that was edited is the usual cause."
        )
    return np.asarray(array)


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    pairs = zip(shape, wanted, strict=False)
    return len(shape) == len(wanted) and all(want in (None, has) for has, want in pairs)


def times(factor: float) -> str:
    """A factor behind a label, as " × 1.5"; empty for 1."""
    return f" × {factor:.4g}" if factor != 1 else ""


def code_bytes(codes: Codes) -> int:
    """Bytes of all arrays."""
    return sum(np.asarray(array).nbytes for array in codes.values())


def kept_energy(delta: Delta, kept: Delta) -> float:
    """1 - |delta - kept|² / |delta|²: 1 if nothing is lost, 0 as for nothing kept, below 0 for
    what is further away than nothing; 1 for a delta of zeros."""
    wide = delta.astype(np.float64)
    whole = float(np.vdot(wide, wide))
    wide -= kept
    return 1 - float(np.vdot(wide, wide)) / whole if whole else 1.0
