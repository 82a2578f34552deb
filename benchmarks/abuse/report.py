"""docs/bench-abuse.json and its table of targets."""

from collections.abc import Iterator
from typing import Any

from benchmarks.engine.write import marked, measured_on, table
from benchmarks.load.report import MIB, SLIDER_MS
from components.server.queue.fast_answers import AT_ONCE, WRITE_AT_ONCE
from components.work.studio import WORKERS

FIRST_TOKEN_MS, MOST_BYTES, MOST_MORE, SLOWER_MS = 10_000.0, 2 * 10**9, 150 * MIB, 250.0
MOST_THREADS = WORKERS + AT_ONCE + WRITE_AT_ONCE + 12
"""Threads of all pools, lessons' two among them, and ten that serve, listen and sweep. A pool makes
a thread when none is idle, and keeps it."""
Row = dict[str, Any]


def text(results: dict[str, Any]) -> str:
    """The worst of all attacks for each target, and whose it is; ✗ marks a miss."""
    head = (f"for others, in {len(results['rows'])} attacks", "worst", "at most", "of")
    return table(head, _worst(results["rows"])) + measured_on(results)


def _worst(rows: list[Row]) -> Iterator[tuple[str, ...]]:
    measured = [values(row) for row in rows]
    for promise, (_, most, form) in measured[0].items():
        figures = [figures_of_attack[promise][0] for figures_of_attack in measured]
        worst = max(figures)
        attack = rows[figures.index(worst)]["attack"].replace("_", " ") if worst > 0 else "–"
        yield promise, marked(worst <= most, form.format(worst)), form.format(most), attack


def values(row: Row) -> dict[str, tuple[float, float, str]]:
    """What an attack did to others: the value, its bound, their form."""
    before, after = row["before"], row["after"]
    grown = after["bytes"] - before["bytes"]
    first = float("inf") if after["first_token"] is None else after["first_token"]
    slower = first - before["first_token"]
    missed = (
        row["slider_failed"],
        row["asked"] - row["answered"],
        row.get("wrong") or 0,  # earlier rows lack it
        not row["exported"],
    )
    return {
        "95 % of sliders": (row["slider"]["p95"], SLIDER_MS, "{:.0f} ms"),
        "first token": (row["first_token"] or 0, FIRST_TOKEN_MS, "{:.0f} ms"),
        "failed or wrong": (sum(missed), 0, "{}"),
        "memory": (row["peak"] / 10**9, MOST_BYTES / 10**9, "{:.2f} GB"),
        "later: threads": (after["threads"], MOST_THREADS, "{}"),
        "later: more memory": (grown / MIB, MOST_MORE / MIB, "{:.0f} MiB"),
        "later: slower first token": (slower, SLOWER_MS, "{:.0f} ms"),
    }
