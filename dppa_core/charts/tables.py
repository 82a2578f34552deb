"""Tables of results with units and 95 % intervals, as Markdown or as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Ends = Sequence[float]
"""The two ends of an interval, the lower first."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column's title and unit."""

    title: str
    unit: str = ""
    """"%", "points", "×", …; empty for texts and counts."""

    @property
    def head(self) -> str:
        """The title with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


@dataclass(frozen=True, slots=True)
class Cell:
    """A number with its interval and note, or a text."""

    value: float | str | None
    """In the unit of its column; None if there is no value, see `note`."""
    low: float | None = None
    high: float | None = None
    """End of the 95 % interval."""
    n: int | None = None
    note: str = ""
    """The reason for a missing value, or a remark."""

    def text(self, unit: str) -> str:
        """The cell as a page shows it."""
        if self.value is None:
            return f"– ({self.note})" if self.note else "–"
        if isinstance(self.value, str):
            text = self.value
        elif self.low is None or self.high is None:
            text = _number(self.value, unit).removesuffix(".0")
        else:
            low, high = _number(self.low, unit), _number(self.high, unit)
            between = " to " if self.low < 0 else "–"  # a dash before a minus is hard to read
            text = f"{_number(self.value, unit)} ({low}{between}{high})"
        return f"{text}; {self.note}" if self.note else text


@dataclass(frozen=True, slots=True)
class Row:
    """A row of cells."""

    cells: tuple[Cell, ...]
    recipe: str | None = None
    """The row's merge, as YAML."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns; the first column names the row."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def markdown(self) -> str:
        """The table as Markdown, without the title."""
        return markdown_table([column.head for column in self.columns], self._texts())

    def text(self) -> str:
        """The table for a terminal, without the title."""
        return text_table([column.head for column in self.columns], self._texts())

    def _texts(self) -> list[list[str]]:
        units = [column.unit for column in self.columns]
        return [
            [cell.text(unit) for cell, unit in zip(row.cells, units, strict=True)]
            for row in self.rows
        ]


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned text columns: the first left-aligned, the others right-aligned."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def percent(share: float, digits: int = 0) -> str:
    """A fraction in per cent."""
    return f"{hundredths(share):.{digits}f} %"


def percent_text(value: float, ends: Ends, between: str = "-", unit: str = "") -> str:
    """A fraction in per cent with its interval: 50.0 (40.0-60.0)."""
    middle, low, high = map(hundredths, (value, *ends))
    return f"{middle:.1f}{unit} ({low:.1f}{between}{high:.1f})"


def signed_text(value: float, ends: Ends, unit: str = "") -> str:
    """A difference of fractions in points with its interval: +1.0 (-0.5 to +2.5)."""
    middle, low, high = map(hundredths, (value, *ends))
    return f"{middle:+.1f}{unit} ({low:+.1f} to {high:+.1f})"


def hundredths(share: float) -> float:
    """A fraction times 100, without the noise of that product, so that halves round alike."""
    return round(100 * share, 6)


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def factors_text(factors: Sequence[float]) -> str:
    """Factors, the strongest band first: 1.4 / 1."""
    return " / ".join(f"{factor:g}" for factor in factors)


def settings_text(values: Mapping[str, float]) -> str:
    """The numbers that a search chose: factors 0.8 / 1.2, coefficient 0.98."""
    factors = [f"{value:.3g}" for name, value in values.items() if name.startswith("factor")]
    others = [f"{name} {value:.3g}" for name, value in values.items() if name[:6] != "factor"]
    if factors:
        others.insert(0, f"{'factors' if len(factors) > 1 else 'factor'} {' / '.join(factors)}")
    return ", ".join(others)


def listed(names: Sequence[str]) -> str:
    """The names as "a, b and c"."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _number(value: float, unit: str) -> str:
    """Percent and points to a tenth, nats to four significant digits, others to three."""
    text = f"{value:.1f}" if unit in ("%", "points") else f"{value:.{4 if unit == 'nats' else 3}g}"
    return "0.0" if text == "-0.0" else text.replace("-", "−")
