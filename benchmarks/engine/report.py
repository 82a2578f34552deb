"""Contents of docs/benchmarks.md and docs/bench-engine.json for a finished benchmark."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.engine.figures import MIB, Figure, Round, figures

Rounds = Callable[[str], Sequence[Round]]


def to_json(rounds: Rounds, conditions: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON: conditions, figures, and every single run."""
    parts = ("S", "M", "L", "inside", "differences")
    return {
        **conditions,
        "figures": [figure.to_json() for figure in figures(rounds)],
        "rounds_of": {part: list(rounds(part)) for part in parts},
    }


def table(found: Sequence[Figure]) -> str:
    """figure / target / measured."""
    lines = ["| figure | at most | measured (range) |", "| --- | --- | --- |"]
    for one in found:
        if one.values:
            goal = "–" if one.target is None else shown(one.target, one.unit)
            missed = " ✗" if one.reached is False else ""
            lines.append(f"| {one.name} | {goal} | {_measured(one)}{missed} |")
    return "\n".join(lines)


def _measured(one: Figure) -> str:
    low, high = (shown(value, "") for value in (min(one.values), max(one.values)))
    cpu = f"; CPU {shown(statistics.median(one.also), one.unit)}" if one.also else ""
    return f"{shown(one.median, one.unit)} ({low}–{high}){cpu}"


def shown(value: float, unit: str) -> str:
    """Three digits, or whole MiB and ms."""
    if unit == "%":
        return f"{value:.2%}"
    text = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    return f"{text} {unit}".strip()


def runs_table(rounds: Rounds) -> str:
    """Every command: seconds, CPU seconds, peak memory; medians, and the range of the seconds."""
    lines = [
        "| model | command | wall s (range) | CPU s | peak MiB | n |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for size in ("S", "M", "L"):
        found = list(rounds(size))
        for name in found[0] if found else ():
            runs = [one[name] for one in found if name in one]
            wall = [run["wall"] for run in runs]
            middle = [
                statistics.median(run[key] for run in runs) for key in ("wall", "cpu", "peak")
            ]
            who = name if name.startswith("mergekit") else f"ours, {name}"
            lines.append(
                f"| {size} | {who} | {middle[0]:.2f} ({min(wall):.2f}–{max(wall):.2f}) | "
                f"{middle[1]:.2f} | {middle[2] / MIB:.0f} | {len(runs)} |"
            )
    return "\n".join(lines)


def differences_text(rounds: Rounds) -> str:
    """How many weights differ from mergekit's, in words."""
    if not rounds("differences"):
        return ""
    found = rounds("differences")[-1]
    lines = [
        "| our merge of S beside mergekit's | weights that differ | by more than one step of "
        "bfloat16 | sum of differences ÷ sum of changes |",
        "| --- | --- | --- | --- |",
    ]
    for name, one in found.items():
        method, _, wide = name.partition("-")
        label = f"{method}, mergekit in {'float32' if wide else 'bfloat16'}"
        share, more = (one[key] / one["weights"] for key in ("differing", "by more than a step"))
        lines.append(
            f"| {label} | {one['differing']:,} of {one['weights']:,} ({share:.3%}) | {more:.3%} | "
            f"{one['share of the change']:.3%} |"
        )
    return "\n".join(lines)


def conditions_line(conditions: Mapping[str, Any]) -> str:
    """Machine and versions, in one line."""
    versions = ", ".join(f"{name} {value}" for name, value in conditions["versions"].items())
    return f"{conditions['machine']}; {versions}; n = {conditions['rounds']}."


def docs_text(rounds: Rounds, conditions: Mapping[str, Any]) -> str:
    """The part of docs/benchmarks.md between its markers."""
    skipped = [f"{size}: {why}" for size, why in conditions.get("skipped", {}).items()]
    parts = [
        conditions_line(conditions),
        table(figures(rounds)),
        runs_table(rounds),
        differences_text(rounds),
        "Left out: " + "; ".join(skipped) + "." if skipped else "",
    ]
    return "\n\n".join(part for part in parts if part)
