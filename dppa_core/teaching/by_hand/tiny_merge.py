"""The mini-model: two layers of two 6 x 6 matrices, a base and two domain models of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.in_memory import MemoryCheckpoint
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import InvalidValue, shown
from dppa_core.parameter_fields import check_number
from dppa_core.pruning.floats import to_float32

SIDE = 6
"""Rows and columns of a matrix."""
NUMEL = SIDE * SIDE
TENSORS = tuple(
    f"model.layers.{layer}.{part}.weight"
    for layer in (0, 1)
    for part in ("self_attn.q_proj", "mlp.down_proj")
)
YOURS = TENSORS[0]
"""The shown and editable matrix; its significance is relative to the other three."""
BASE, FIRST, SECOND = "base", "A", "B"
MODELS = (BASE, FIRST, SECOND)
STARTS = ("heavy", "random", "real")
"""Heavy-tailed changes; normal changes; weights of the embedded models."""
LARGEST = 1e6
"""Largest magnitude of an edited weight."""

Matrix = Float32[ndarray, "6 6"]

_REAL = {BASE: "zoo:base", FIRST: "zoo:math", SECOND: "zoo:finance"}
_REAL_LAYERS = (1, 4)
# Spread of each matrix's changes, in the order of TENSORS. Layers and modules must differ.
_SPREADS = {"heavy": (7.0, 5.0, 5.0, 6.0), "random": (9.0, 9.0, 9.0, 9.0)}


@dataclass(frozen=True, slots=True, eq=False)
class Mini:
    """A base and two domain models, small enough to write down."""

    weights: Mapping[str, Mapping[str, Matrix]]
    """Model -> tensor -> its weights."""
    unit: float = 1.0
    """The weight shown as 1 on the page."""

    def checkpoint(self, model: str, dtype: str = "F32") -> MemoryCheckpoint:
        """One of the three models as a checkpoint."""
        return MemoryCheckpoint(self.weights[model], dtype)


def start(name: str) -> Mini:
    """An initial mini-model, one of `STARTS`; raises InvalidValue for another name."""
    if name == "real":
        return _real()
    if name not in STARTS:
        raise InvalidValue(f"A start is one of {', '.join(STARTS)}, got {shown(name)}.")
    rng = np.random.default_rng(884)
    base = {tensor: np.round(rng.normal(0, 30, (SIDE, SIDE))) for tensor in TENSORS}
    models = {BASE: base}
    for model in (FIRST, SECOND):
        models[model] = {
            tensor: base[tensor] + np.clip(np.round(_drawn(rng, name, spread)), -99, 99)
            for tensor, spread in zip(TENSORS, _SPREADS[name], strict=True)
        }
    return Mini({m: {t: w.astype(np.float32) for t, w in ts.items()} for m, ts in models.items()})


def _drawn(rng: np.random.Generator, name: str, spread: float) -> ndarray:
    shape = (SIDE, SIDE)
    return spread * (rng.standard_t(1.6, shape) if name == "heavy" else rng.normal(0, 1, shape))


def _real() -> Mini:
    """The 6 x 6 block of each of four modules that the math model changed most."""
    opened = {model: open_checkpoint(reference) for model, reference in _REAL.items()}
    blocks: dict[str, dict[str, Matrix]] = {model: {} for model in MODELS}
    for tensor in TENSORS:
        layer = _REAL_LAYERS[TENSORS.index(tensor) // 2]
        name = f"model.layers.{layer}.{tensor.partition('layers.')[2][2:]}"
        whole = {model: _matrix(checkpoint, name) for model, checkpoint in opened.items()}
        rows, columns = _busiest(whole[FIRST] - whole[BASE])
        for model in MODELS:
            blocks[model][tensor] = whole[model][rows, columns].copy()
    typical = float(np.median(np.abs(blocks[FIRST][YOURS] - blocks[BASE][YOURS])))
    digits = math.floor(math.log10(typical)) - 1 if typical else 0
    return Mini(blocks, float(f"1e{digits}"))  # changes of two digits before the point


def _matrix(checkpoint: Checkpoint, name: str) -> Float32[ndarray, "rows columns"]:
    flat = to_float32(checkpoint.raw(name), checkpoint.dtype(name))
    return flat.reshape(checkpoint.shape(name))


def _busiest(delta: Float32[ndarray, "rows columns"]) -> tuple[slice, slice]:
    """The aligned 6 x 6 block with the largest sum of d²."""
    rows, columns = (size // SIDE for size in delta.shape)
    squares = np.square(delta[: rows * SIDE, : columns * SIDE], dtype=np.float64)
    blocks = squares.reshape(rows, SIDE, columns, SIDE).sum(axis=(1, 3))
    row, column = divmod(int(blocks.argmax()), columns)
    return slice(row * SIDE, row * SIDE + SIDE), slice(column * SIDE, column * SIDE + SIDE)


def edited(mini: Mini, weights: Mapping[str, Sequence[object]]) -> Mini:
    """The mini-model with other weights in the shown matrix.

    Args:
        weights: Model -> the matrix's 36 weights, row by row; other models stay.

    Raises:
        InvalidValue: an unknown model, not 36 weights, or a weight that is not finite up to 1e6.
    """
    changed = {model: dict(tensors) for model, tensors in mini.weights.items()}
    for model, values in weights.items():
        if model not in MODELS:
            raise InvalidValue(f"The models are {', '.join(MODELS)}, got {shown(model)}.")
        if not isinstance(values, (list, tuple)) or len(values) != NUMEL:
            raise InvalidValue(f"A matrix of {SIDE} x {SIDE} is {NUMEL} numbers, row by row.")
        numbers = [
            check_number(
                f"{model}, row {n // SIDE + 1}, column {n % SIDE + 1}", v, -LARGEST, LARGEST
            )
            for n, v in enumerate(values)
        ]
        changed[model][YOURS] = np.array(numbers, np.float32).reshape(SIDE, SIDE)
    return Mini(changed, mini.unit)
