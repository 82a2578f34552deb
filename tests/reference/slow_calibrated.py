"""Fisher and RegMean as their papers define them: loops over elements, Python numbers.

Shares no code with dppa_core.
"""

from collections.abc import Sequence
from typing import Any

Matrix = list[list[float]]


def fisher(stack: Any, norms: Sequence[float] | None) -> Matrix:
    """Coefficient times importance is the weight of an element in a mean."""
    rows, columns = stack.base.shape
    merged = [[0.0] * columns for _ in range(rows)]
    for r in range(rows):
        for c in range(columns):
            above = below = size = 0.0
            for k, coefficient in enumerate(stack.coefficients):
                importance = float(stack.statistics[k][r, c])
                if norms is not None:
                    importance /= norms[k]
                weight = coefficient * max(importance, 1e-6)
                above += weight * float(stack.deltas[k, r, c])
                below += weight
                size += abs(weight)
            merged[r][c] = above / below if abs(below) >= 1e-8 * size else 0.0
    return merged


def regmean(stack: Any, off_diagonal: float) -> Matrix:
    """W sum(G) = sum(W_i G_i), by elimination."""
    rows, columns = stack.base.shape
    total = [[0.0] * columns for _ in range(columns)]
    weights = [[0.0] * columns for _ in range(rows)]
    for k, coefficient in enumerate(stack.coefficients):
        gram = [
            [
                coefficient * float(stack.statistics[k][i, j]) * (1.0 if i == j else off_diagonal)
                for j in range(columns)
            ]
            for i in range(columns)
        ]
        for i in range(columns):
            for j in range(columns):
                total[i][j] += gram[i][j]
        for r in range(rows):
            for j in range(columns):
                weights[r][j] += sum(
                    float(stack.deltas[k, r, i]) * gram[i][j] for i in range(columns)
                )
    return [_solve([list(row) for row in total], list(row)) for row in weights]


def _solve(matrix: Matrix, right: list[float]) -> list[float]:
    """x with x M = b for a symmetric M: Gauss with pivots."""
    size = len(right)
    for at in range(size):
        pivot = max(range(at, size), key=lambda row: abs(matrix[row][at]))
        matrix[at], matrix[pivot] = matrix[pivot], matrix[at]
        right[at], right[pivot] = right[pivot], right[at]
        for row in range(at + 1, size):
            factor = matrix[row][at] / matrix[at][at]
            right[row] -= factor * right[at]
            for column in range(at, size):
                matrix[row][column] -= factor * matrix[at][column]
    solution = [0.0] * size
    for at in reversed(range(size)):
        rest = sum(matrix[at][column] * solution[column] for column in range(at + 1, size))
        solution[at] = (right[at] - rest) / matrix[at][at]
    return solution
