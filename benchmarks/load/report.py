"""docs/bench-load.json and its table of targets."""

from collections.abc import Iterator
from typing import Any

from benchmarks.engine.write import marked, measured_on, table
from benchmarks.load.watch import thirds

MIB = 2**20
SLIDER_MS, MOST_BYTES, MOST_GROWTH = 250.0, 4 * 10**9, 100 * MIB
MOST_TOGETHER = 15 * 10**8
"""Bytes of the server and of the answering process, while `CROWD` visitors use the page."""
MOST_BEFORE = 2
"""Answers of one who asks much, before those of others who ask one each."""
CROWD = 50
"""Visitors whose figures have targets."""
MANY, MOST_SHARE = 100, 0.05
"""Visitors who read words; the server's processor time for tabs that write them, of its own way."""
KINDS = {
    "drag": "drag",
    "everything": "do everything",
    "merges": "each ask a merge of their own",
}

Phase = dict[str, Any]


def text(results: dict[str, Any]) -> str:
    """A row for each target; ✗ marks a miss."""
    return table(("promise", "measured", "at most"), targets(results["phases"])) + measured_on(
        results
    )


def targets(phases: list[Phase]) -> Iterator[tuple[str, str, str]]:
    """What is promised, its measurement, its bound."""
    for phase in phases:
        if phase["visitors"] == CROWD and phase["name"] in KINDS:
            yield from _of_crowd(f"{CROWD} {KINDS[phase['name']]}", phase)
    biggest = max((phase["peak"] for phase in phases if "peak" in phase), default=0)
    met = biggest < MOST_BYTES
    yield "memory of the server", marked(met, _gb(biggest)), _gb(MOST_BYTES)
    yield from _words({phase["name"]: phase for phase in phases})
    for phase in phases:
        if phase["name"] == "greedy":
            before = phase["before_the_others"]
            promise = f"answers that one who asks {phase['asked_at_once']} gets before others"
            yield promise, marked(before <= MOST_BEFORE, f"{before}"), f"{MOST_BEFORE}"
        if phase["name"] == "long":
            yield _growth("a long run", phase, phase["last_third"] - phase["first_third"])
        if phase["name"] == "soak":
            ends = [thirds(sizes) for sizes in zip(*phase["course"], strict=True)]
            yield _growth("coming and going", phase, max(b - a for a, b in ends))


def _of_crowd(who: str, phase: Phase) -> Iterator[tuple[str, str, str]]:
    if slider := phase["seen"].get("slider answer"):
        met, errors = slider["p95"] <= SLIDER_MS and not phase["errors"], phase["errors"]
        cell = f"{slider['p95']:.0f} ms" + (f", {errors} errors" if errors else "")
        yield f"{who}, sliders (95 %)", marked(met, cell), f"{SLIDER_MS:.0f} ms"
    if "together" in phase:
        met = phase["together"] <= MOST_TOGETHER
        yield f"{who}, memory", marked(met, _gb(phase["together"])), _gb(MOST_TOGETHER)


def _words(by_name: dict[str, Phase]) -> Iterator[tuple[str, str, str]]:
    tab, server, pupils = (
        by_name.get(name) for name in ("words of the tab", "words of the server", "class")
    )
    if tab and server:
        share = tab["reading"] / server["reading"]
        promise = f"{tab['visitors']} drag and read words of their tabs, processor time"
        cell = marked(share <= MOST_SHARE and not tab["errors"], f"{100 * share:.1f} %")
        yield promise, cell, f"{100 * MOST_SHARE:.0f} % of words by the server"
        yield _plans(f"{tab['visitors']} read words of their tabs", tab)
    if pupils:
        longest = int(pupils["longest_queue"])
        cell = marked(not longest and not pupils["errors"], f"{longest}")
        yield f"a class of {pupils['visitors']}, longest queue", cell, "0"
        yield _plans(f"a class of {pupils['visitors']}", pupils)


def _plans(who: str, phase: Phase) -> tuple[str, str, str]:
    late = phase["seen"]["on_settle"]["p95"]
    cell = marked(late <= SLIDER_MS and not phase["errors"], f"{late:.0f} ms")
    return f"{who}, exact plans (95 %)", cell, f"{SLIDER_MS:.0f} ms"


def _growth(cause: str, phase: Phase, grown: int) -> tuple[str, str, str]:
    met = grown <= MOST_GROWTH and not phase["errors"]
    cell = f"{grown / MIB:.0f} MiB" + (f", {phase['errors']} errors" if phase["errors"] else "")
    return f"memory that {cause} adds", marked(met, cell), f"{MOST_GROWTH / MIB:.0f} MiB"


def _gb(size: float) -> str:
    return f"{size / 10**9:.2f} GB"
