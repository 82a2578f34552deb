"""docs/bench-engine.json and its table, of a finished benchmark."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.engine.figures import Round, figures
from benchmarks.engine.write import marked, measured_on, table

Rounds = Callable[[str], Sequence[Round]]


def to_json(rounds: Rounds, conditions: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON: conditions, figures, and every single run."""
    parts = ("S", "M", "L", "inside", "differences")
    return {
        **conditions,
        "figures": [figure.to_json() for figure in figures(rounds)],
        "rounds_of": {part: list(rounds(part)) for part in parts},
    }


def text(results: Mapping[str, Any]) -> str:
    """Every figure that was measured and has a target."""
    rows = (
        (
            figure["figure"],
            marked(figure["reached"], with_unit(figure["median"], figure["unit"])),
            figure["target"],
        )
        for figure in results["figures"]
        if figure["reached"] is not None
    )
    return table(("figure", "median", "at most"), rows) + measured_on(results)


def with_unit(value: float, unit: str) -> str:
    """Three digits, or whole MiB and ms."""
    text = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    return f"{text} {unit}".strip()
