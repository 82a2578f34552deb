"""An array of float32 whose elements are unfolded from few bits when they are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

Unfold = Callable[[int, int], Float32[ndarray, " n"]]
"""The elements from a flat index to another."""


class Unfolded(ndarray):
    """A flat array; a slice of it is one, everything else reads its elements first.

    It takes no memory: where an element is read past numpy, as by compiled loops, it is NaN, which
    every merge refuses.
    """

    _unfold: Unfold
    _start: int

    @classmethod
    def of(cls, unfold: Unfold, start: int, stop: int) -> Unfolded:
        """The elements that `unfold` gives from `start` to `stop`."""
        lazy = np.broadcast_to(np.float32(np.nan), stop - start).view(cls)
        lazy._unfold, lazy._start = unfold, start
        return lazy

    def read(self) -> Float32[ndarray, " n"]:
        """All elements, read-only."""
        values = self._unfold(self._start, self._start + self.size)
        values.flags.writeable = False
        return values

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            start, stop, step = key.indices(self.size)
            if step == 1:
                place = self._start + start
                return Unfolded.of(self._unfold, place, max(place, self._start + stop))
        return self.read()[key]

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return getattr(ufunc, method)(*map(_as_read, inputs), **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return function(*map(_as_read, args), **{key: _as_read(v) for key, v in kwargs.items()})


def _as_read(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_as_read, value))
    return value.read() if isinstance(value, Unfolded) else value


def _reading(method: str) -> Any:
    def call(self: Unfolded, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.read(), method)(*args, **kwargs)

    return call


for _name in (
    *("astype", "copy", "reshape", "ravel", "flatten", "tobytes", "tolist", "view", "item"),
    *("max", "min", "sum", "mean", "any", "all", "take", "dot", "__iter__"),
):
    setattr(Unfolded, _name, _reading(_name))
