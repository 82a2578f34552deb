"""Figures from rounds: each a ratio within a round, with median, range and target."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MIB = 2**20
Round = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    target: float | None
    """The largest value that passes; None if there is no target."""
    values: tuple[float, ...]
    """One a round; empty if not measured."""
    unit: str = ""
    also: tuple[float, ...] = ()
    """The same in CPU time."""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def reached(self) -> bool | None:
        """Whether the medians pass, of CPU time too; None without a target.

        On a busy machine a short run may be lucky where a long one is not.
        """
        if self.target is None or not self.values:
            return None
        medians = [statistics.median(values) for values in (self.values, self.also) if values]
        return max(medians) <= self.target

    def to_json(self) -> dict[str, Any]:
        return {
            "figure": self.name,
            "target": self.target,
            "median": statistics.median(self.values) if self.values else None,
            "values": list(self.values),
            "cpu_values": list(self.also),
            "unit": self.unit,
            "reached": self.reached,
        }


def figures(rounds: Callable[[str], Sequence[Round]]) -> list[Figure]:
    """Of docs/benchmarks.md those that have a target.

    Args:
        rounds: Part -> its finished rounds, as `Journal.rounds` gives them.
    """
    inside = rounds("inside")
    return [
        _ratio("our merge ÷ mergekit ties, S", 0.06, rounds("S"), "dppa", "mergekit ties"),
        _ratio("our merge ÷ mergekit ties, M", 0.035, rounds("M"), "dppa", "mergekit ties"),
        *(
            _ratio(
                f"our merge ÷ mergekit task_arithmetic, {size}",
                0.35,
                rounds(size),
                "dppa",
                "mergekit task_arithmetic",
            )
            for size in "SM"
        ),
        *(_peak(f"peak memory, {size}", 450, rounds(size), "dppa") for size in "SML"),
        _quotient(
            "profile of one model ÷ memcpy",
            4.5,
            inside,
            "profile",
            "copy, bytes of a profile",
        ),
        *(
            _quotient(
                f"fused pass, {ties}, ÷ memcpy",
                1.5,
                inside,
                f"apply, {ties}",
                "copy, bytes of a merge",
            )
            for ties in ("ties pruned", "exact ties")
        ),
        _milliseconds(
            "slider to live weights, S",
            120,
            inside,
            "slider to live weights",
        ),
        _milliseconds("new factors to live weights, S", 120, inside, "new factors to live weights"),
        _ratio(
            "two cores ÷ one core, merge M", 0.6, rounds("M"), "dppa, two cores", "dppa", cpu=False
        ),
        *like_for_like(rounds),
    ]


def like_for_like(rounds: Callable[[str], Sequence[Round]]) -> list[Figure]:
    """The same method on both sides, every tensor treated as mergekit treats it."""
    return [
        *(
            _ratio(f"our {method} ÷ mergekit {method}, {size}", None, rounds(size), *pair)
            for method, pair in {
                method: (method, f"mergekit {method}") for method in ("ties", "task_arithmetic")
            }.items()
            for size in "SM"
        ),
        *(_peak(f"peak memory of our ties, {size}", None, rounds(size), "ties") for size in "SM"),
    ]


def _ratio(
    name: str,
    target: float | None,
    rounds: Iterable[Round],
    run: str,
    reference: str,
    cpu: bool = True,
) -> Figure:
    both = [r for r in rounds if run in r and reference in r]
    wall = tuple(r[run]["wall"] / r[reference]["wall"] for r in both)
    also = tuple(r[run]["cpu"] / r[reference]["cpu"] for r in both) if cpu else ()
    return Figure(name, target, wall, "", also)


def _quotient(
    name: str, target: float, rounds: Iterable[Round], numerator: str, denominator: str
) -> Figure:
    return Figure(name, target, tuple(r[numerator] / r[denominator] for r in rounds))


def _milliseconds(name: str, target: float, rounds: Iterable[Round], action: str) -> Figure:
    some = [r for r in rounds if action in r]
    wall = tuple(1000 * r[action] for r in some)
    return Figure(name, target, wall, "ms", tuple(1000 * r[f"{action}, CPU"] for r in some))


def _peak(name: str, target: float | None, rounds: Iterable[Round], run: str) -> Figure:
    return Figure(name, target, tuple(r[run]["peak"] / MIB for r in rounds if run in r), "MiB")
