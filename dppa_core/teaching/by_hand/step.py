"""The content of one step: sentences, grids of numbers, a question; and number formatting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import SupportsFloat

from jaxtyping import Float32
from numpy import ndarray

from dppa_core.teaching.by_hand.tiny_merge import SIDE

DIGITS = 4
"""Significant digits of a shown number."""
MINUS, THIN, TIMES = "\u2212", "\u202f", "\u00d7"


@dataclass(frozen=True, slots=True)
class Numbers:
    """Formats weights and deltas in multiples of a unit."""

    unit: float = 1.0

    def __call__(self, value: SupportsFloat) -> str:
        """A weight, rounded to four digits."""
        return number(float(value) / self.unit)

    def term(self, value: SupportsFloat) -> str:
        """A weight as a term of a sum: in brackets if negative."""
        text = self(value)
        return f"({text})" if text.startswith(MINUS) else text


def number(value: SupportsFloat) -> str:
    """A number rounded to four digits, without trailing zeros or a negative zero."""
    rounded = float(value)
    if rounded == 0:
        return "0"
    text = f"{rounded:.{DIGITS}g}"
    if "e" in text and abs(rounded) >= 1:
        text = f"{rounded:.0f}"
    return text.replace("-", MINUS)


def signed(value: SupportsFloat) -> str:
    """A number with its sign."""
    return f"+{number(value)}" if float(value) > 0 else number(value)


def share(value: SupportsFloat) -> str:
    """A share in percent."""
    return f"{number(100 * float(value))}{THIN}%"


def place(cell: int) -> str:
    """The position of a cell, counted from 1."""
    return f"row {cell // SIDE + 1}, column {cell % SIDE + 1}"


@dataclass(frozen=True, slots=True)
class MatrixDrawing:
    """A matrix as the page draws it."""

    name: str
    label: str
    values: tuple[float, ...]
    """In units, for colours."""
    shown: tuple[str, ...]
    marks: tuple[str, ...] = ()
    """Mark of each cell, a key of the step's `legend`; may be empty."""


@dataclass(frozen=True, slots=True)
class CellQuestion:
    """A question that asks to predict a cell or a number."""

    text: str
    options: tuple[str, ...]
    answer: int
    """Index of the right option."""
    why: str
    cell: int | None = None
    """The cell of `grid` that is hidden until the answer."""
    grid: str = ""
    veils: bool = False
    """Whether to hide all marks and worked numbers of the step, which would give the answer."""


@dataclass(frozen=True, slots=True)
class NumberTable:
    """A table of numbers of all four matrices."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the merge."""

    key: str
    title: str
    text: str
    formula: str
    grids: tuple[MatrixDrawing, ...]
    cells: tuple[str, ...] = ()
    """The formula with numbers, for each cell."""
    lines: tuple[str, ...] = ()
    """The formula with numbers, for the whole matrix."""
    legend: Mapping[str, str] = field(default_factory=dict)
    """Mark -> its meaning."""
    table: NumberTable | None = None
    question: CellQuestion | None = None


def grid(
    name: str,
    label: str,
    matrix: Float32[ndarray, "6 6"],
    numbers: Numbers,
    marks: Iterable[str] = (),
) -> MatrixDrawing:
    """A matrix as it is drawn."""
    flat = matrix.ravel().tolist()
    values = tuple(value / numbers.unit for value in flat)
    return MatrixDrawing(name, label, values, tuple(map(numbers, flat)), tuple(marks))


def ask(
    text: str,
    right: str,
    wrong: Sequence[str],
    why: str,
    cell: int | None = None,
    where: str = "",
    veils: bool = False,
) -> CellQuestion | None:
    """A question whose options are in an order that does not reveal the answer.

    Args:
        wrong: Wrong answers; those equal to the right one are left out.
        why: The explanation, with numbers.
        where: Name of the grid with the hidden cell.

    Returns:
        None if no wrong answer is left.
    """
    options = sorted({right, *wrong}, key=_order)
    if len(options) < 2:
        return None
    return CellQuestion(text, tuple(options), options.index(right), why, cell, where, veils)


def _order(text: str) -> tuple[float, str]:
    try:
        return float(text.replace(MINUS, "-").split(THIN)[0]), text
    except ValueError:
        return 0.0, text
