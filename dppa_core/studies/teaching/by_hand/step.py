"""What one step shows: sentences, grids of numbers, and a question; and how numbers are written.

Knows texts and plain values only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, SupportsFloat

from jaxtyping import Float32
from numpy import ndarray

from dppa_core.studies.teaching.by_hand.tiny_merge import SIDE

DIGITS = 4
"""Significant ones of a number that is shown."""
MINUS, THIN, TIMES = "\u2212", "\u2009", "\u00d7"


@dataclass(frozen=True, slots=True)
class Numbers:
    """Writes weights and deltas down, in multiples of a unit."""

    unit: float = 1.0

    def __call__(self, value: SupportsFloat) -> str:
        """A weight, rounded to four digits."""
        return number(float(value) / self.unit)

    def term(self, value: SupportsFloat) -> str:
        """A weight as part of a sum: in brackets where it is negative."""
        text = self(value)
        return f"({text})" if text.startswith(MINUS) else text


def number(value: SupportsFloat) -> str:
    """A number, rounded to four digits; no zeros behind, no minus before zero."""
    given = float(value)
    if given == 0:
        return "0"
    text = f"{given:.{DIGITS}g}"
    if "e" in text and abs(given) >= 1:
        text = f"{given:.0f}"
    return text.replace("-", MINUS)


def signed(value: SupportsFloat) -> str:
    """The same with its plus."""
    return f"+{number(value)}" if float(value) > 0 else number(value)


def share(value: SupportsFloat) -> str:
    """A share in percent."""
    return f"{number(100 * float(value))}{THIN}%"


def place(cell: int) -> str:
    """Where a cell is, as people count."""
    return f"row {cell // SIDE + 1}, column {cell % SIDE + 1}"


@dataclass(frozen=True, slots=True)
class MatrixDrawing:
    """A matrix as it is drawn."""

    name: str
    label: str
    values: tuple[float, ...]
    """In units; for colours."""
    shown: tuple[str, ...]
    marks: tuple[str, ...] = ()
    """Of each cell, one of the step's `legend`; none where empty."""


@dataclass(frozen=True, slots=True)
class CellQuestion:
    """One cell, or one number, to foretell."""

    text: str
    options: tuple[str, ...]
    answer: int
    """Index of the right one."""
    why: str
    cell: int | None = None
    """The cell that is hidden until the answer, in the grid of that name."""
    grid: str = ""
    veils: bool = False
    """Whether all marks and worked numbers of the step wait for the answer: they would tell it."""


@dataclass(frozen=True, slots=True)
class NumberTable:
    """Numbers of all four matrices."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way."""

    key: str
    title: str
    text: str
    formula: str
    grids: tuple[MatrixDrawing, ...]
    cells: tuple[str, ...] = ()
    """Of each cell, the formula with its numbers put in."""
    lines: tuple[str, ...] = ()
    """Of the whole matrix, the formula with its numbers put in."""
    legend: Mapping[str, str] = field(default_factory=dict)
    """Mark -> what it says."""
    table: NumberTable | None = None
    question: CellQuestion | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


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
    """A question whose options stand in an order that gives nothing away.

    Args:
        text: What is asked.
        right: The right answer.
        wrong: Others; those that say the same as the right one are left out.
        why: Says why it is, by the numbers.
        cell: See `CellQuestion`.
        where: Name of the grid it is hidden in.
        veils: See `CellQuestion`.

    Returns:
        None where nothing else than the right answer is left.
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
