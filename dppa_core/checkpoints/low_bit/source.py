"""The stored tensors of a model, from which formats pick their parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.errors import DamagedCheckpoint, IncompatibleCheckpoints, shown

ANY = -1
"""A size that is not known beforehand."""


@runtime_checkable
class StoredTensor(Protocol):
    """The header entry of a tensor."""

    @property
    def dtype(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...


@dataclass(frozen=True, slots=True)
class StoredTensors:
    """Header entries of all tensors, and the model's `quantization_config`."""

    label: str
    """The model, in messages."""
    settings: Mapping[str, Any]
    stored: Mapping[str, StoredTensor]
    read: Callable[[str], Shaped[ndarray, " n"]]
    """The elements of a stored tensor, flat; a view of its file."""
    weights_here: bool = True
    """False if only headers are here, and nothing can be read."""

    def named(self, pattern: str) -> Iterator[tuple[str, str]]:
        """Names that a pattern matches whole, each with its group, in their order."""
        for name in sorted(self.stored):
            match = re.fullmatch(pattern, name)
            if match:
                yield name, match[1]

    def present(self, weight: str, name: str) -> StoredTensor:
        """The header entry of a part of a tensor; DamagedCheckpoint if it is missing."""
        info = self.stored.get(name)
        if info is None:
            raise DamagedCheckpoint(
                f"{self.label}: {shown(weight)} is quantised, and {shown(name)}, which belongs to "
                "it, is missing. Shards of two models, or an interrupted copy, are the usual cause."
            )
        return info

    def check(
        self, weight: str, name: str, dtypes: tuple[str, ...], *shapes: tuple[int, ...]
    ) -> StoredTensor:
        """The header entry of a part, of one of these dtypes and shapes.

        Args:
            weight: The tensor it is a part of.
            shapes: `ANY` stands for any size.

        Raises:
            DamagedCheckpoint: it is missing, or not as it must be.
        """
        info = self.present(weight, name)
        fits = any(
            len(shape) == len(info.shape)
            and all(want in (ANY, size) for want, size in zip(shape, info.shape, strict=True))
            for shape in shapes
        )
        if info.dtype not in dtypes or not fits:
            sizes = " or ".join(str(list(shape)).replace("-1", "any") for shape in shapes)
            raise DamagedCheckpoint(
                f"{self.label}: {shown(name)} is {info.dtype} {list(info.shape)}, and for "
                f"{shown(weight)} it must be {' or '.join(dtypes)} {sizes}. Weights and "
                "configuration of different models in one folder are the usual cause."
            )
        return info

    def refuse(self, name: str, problem: str, allowed: str) -> IncompatibleCheckpoints:
        """The error of a tensor that is stored in a way that is not read here."""
        return IncompatibleCheckpoints(f"{self.label}: {shown(name)} {problem}. {allowed}")

    def number(self, key: str, default: int = 0) -> int:
        """A whole number of the settings."""
        value = self.settings.get(key, default)
        if type(value) is not int:
            raise DamagedCheckpoint(
                f"{self.label}: {key} in its quantization_config must be a whole number, got "
                f"{shown(value)}."
            )
        return value
