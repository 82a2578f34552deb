"""Writes docs/bench-abuse.json as text into docs/reliability.md.

`python -m benchmarks.abuse.report` does so without measuring.
"""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.abuse.attacks import ATTACKS
from benchmarks.engine.journal import ROOT
from benchmarks.load import report as load
from benchmarks.load.report import MIB, SLIDER_MS, time_text

FIRST_TOKEN_MS, MOST_BYTES, MOST_MORE, SLOWER_MS = 10_000.0, 2 * 10**9, 150 * MIB, 250.0
HEADS = (
    "one client of 20 connections",
    "its requests (not answered 200)",
    f"95 % of sliders within {SLIDER_MS:.0f} ms (slowest)",
    f"first token within {FIRST_TOKEN_MS / 1000:.0f} s",
    "right answers",
    "export",
    "told that the queue is full",
    f"memory at most {MOST_BYTES / 10**9:.0f} GB",
    "30 s later: no more threads",
    f"30 s later: at most {MOST_MORE / MIB:.0f} MiB more",
    f"30 s later: first token at most {SLOWER_MS:.0f} ms slower",
)
"""Of what has a target the target, which counts for the honest visitor and the server."""
Row = dict[str, Any]


def text(found: dict[str, Any]) -> str:
    """The machine, how many targets were met, and a row for each attack; ✗ marks a miss."""
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    lines = ["| " + " | ".join(cells) + " |" for cells in map(_cells, found["rows"])]
    kept = sum("✗" not in line for line in lines)
    return "\n".join(
        (
            f"{found['machine']}; {versions}. The load was that before the start. "
            f"{kept} of {len(lines)} attacks miss no target.",
            "",
            f"| {' | '.join(HEADS)} |",
            f"| {' | '.join('---' for _ in HEADS)} |",
            *lines,
        )
    )


def _cells(row: Row) -> Iterator[str]:
    """A cell for each of HEADS."""
    yield str(ATTACKS[row["attack"]].__doc__)
    yield f"{row['requests']:,} ({row['requests'] - row['answers'].get('200', 0):,})"
    late, failed = row["slider"]["p95"], row["slider_failed"]
    times = f"{time_text(late)} ({time_text(row['slowest'])})"
    yield _marked(
        late <= SLIDER_MS and not failed, times + (f", {failed} failed" if failed else "")
    )
    first, missed = row["first_token"], row["asked"] - row["answered"]
    shown = f"{missed} of {row['asked']} questions unanswered" if missed else time_text(first)
    yield _marked(first <= FIRST_TOKEN_MS and not missed, shown)
    wrong = row.get("wrong")  # earlier rows lack it
    yield _marked(not wrong, "–" if wrong is None else f"{wrong} wrong" if wrong else "all")
    yield _marked(row["exported"], "made" if row["exported"] else "not made")
    yield f"{row['full']}"
    yield _marked(row["peak"] <= MOST_BYTES, f"{row['peak'] / 10**9:.2f} GB")
    yield from _after(row["before"], row["after"])


def _after(before: Row, after: Row) -> Iterator[str]:
    more = after["threads"] - before["threads"]
    yield _marked(more <= 0, f"{after['threads']} ({more:+})")
    grown = after["bytes"] - before["bytes"]
    yield _marked(grown <= MOST_MORE, f"{after['bytes'] / MIB:.0f} MiB ({grown / MIB:+.0f})")
    first, usual = after["first_token"], before["first_token"]
    shown = "none" if first is None else time_text(first)
    quick = first is not None and first <= usual + SLOWER_MS
    yield _marked(quick, f"{shown} (before: {time_text(usual)})")


def _marked(met: bool, cell: str) -> str:
    return cell if met else f"✗ {cell}"


write = partial(load.write, name="abuse", say=text)

if __name__ == "__main__":
    write(ROOT, json.loads((ROOT / "docs" / "bench-abuse.json").read_text("utf-8")))
