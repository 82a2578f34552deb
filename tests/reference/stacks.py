"""Stacks for tests: deltas as lists or arrays, whole or cut into blocks of rows."""

from collections.abc import Iterator, Sequence

import numpy as np

from dppa_core.methods.shared.stack import Combination, Rows, Stack, Streamed


def stack_of(
    deltas: object,
    coefficients: Sequence[float] | None = None,
    base: object = None,
    name: str = "model.layers.0.mlp.up_proj.weight",
    seed: int = 0,
    models: Sequence[str] | None = None,
) -> Stack:
    """All rows of one tensor; the base is zero unless given, coefficients are 1."""
    arrays = np.array(deltas, np.float32)
    if arrays.ndim == 2:
        arrays = arrays[:, None, :]
    count = arrays.shape[0]
    origin = np.zeros(arrays.shape[1:], np.float32) if base is None else np.array(base, np.float32)
    return Stack(
        name,
        origin.reshape(arrays.shape[1:]),
        arrays,
        tuple(coefficients) if coefficients is not None else (1.0,) * count,
        tuple(models) if models is not None else tuple("abcdefgh"[:count]),
        0,
        seed,
    )


def rows_at_a_time(stack: Stack, rows: int) -> Iterator[Stack]:
    """The same tensor in blocks of rows."""
    for first in range(0, stack.base.shape[0], rows):
        yield Stack(
            stack.name,
            stack.base[first : first + rows],
            stack.deltas[:, first : first + rows],
            stack.coefficients,
            stack.models,
            stack.start + first * stack.base.shape[1],
            stack.seed,
            is_matrix=stack.is_matrix,
        )


def streamed(stack: Stack, rows: int = 1 << 30) -> Streamed:
    """The same tensor as a merge sees it."""
    models = len(stack.models)
    return Streamed(stack.name, stack.base.size, models, lambda: rows_at_a_time(stack, rows))


def merge_model(
    combination: Combination, stacks: Sequence[Stack], parameters: object, rows: int = 1 << 30
) -> dict[str, Rows]:
    """Merge tensors, `rows` at a time, with one survey or one for each as the method declares."""
    tensors = {stack.name: streamed(stack, rows) for stack in stacks}
    whole = combination.whole_model(parameters)
    merged = {}
    for name, tensor in tensors.items():
        statistic = None
        if combination.survey is not None:
            statistic = combination.survey(
                tuple(tensors.values()) if whole else (tensor,), parameters
            )
        parts = [combination.combine(part, parameters, statistic) for part in tensor.stacks()]
        merged[name] = np.concatenate(parts)
    return merged


def merge_one(combination: Combination, stack: Stack, parameters: object, rows: int = 1 << 30):  # type: ignore[no-untyped-def]
    """The merged delta of a model of one tensor."""
    return merge_model(combination, [stack], parameters, rows)[stack.name]
