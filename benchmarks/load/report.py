"""Writes docs/bench-load.json as text into docs/reliability.md.

`python -m benchmarks.load.report` does so without measuring.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.engine.journal import ROOT
from benchmarks.engine.write import filled

TEXT = Path("docs") / "reliability.md"
MIB = 2**20
SLIDER_MS, MOST_BYTES, MOST_GROWTH = 250.0, 4 * 10**9, 100 * MIB
CROWD = 50
"""Visitors whose figures have targets."""
KINDS = {
    "drag": "drag",
    "everything": "drag and do all else",
    "greedy": "ask",
    "long": "come and go",
}

Phase = dict[str, Any]


def text(found: dict[str, Any]) -> str:
    """The machine, the targets, and a table for each of speed and cost."""
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    phases = found["phases"]
    parts = [
        f"{found['machine']}; {versions}. "
        f"The load was that before the start, and {found['load_after']:.1f} at the end.",
        "\n".join(f"- {line}" for line in targets(phases)),
        "\n".join(_speed(phases)),
        "\n".join(_cost(phases)),
    ]
    return "\n\n".join(part for part in parts if part)


def targets(phases: list[Phase]) -> Iterator[str]:
    """A sentence for each target, with ✗ before missed ones."""
    for phase in phases:
        slider = phase["seen"].get("slider answer")
        if phase["visitors"] == CROWD and slider:
            met = slider["p95"] <= SLIDER_MS and not phase["errors"]
            doing = KINDS[phase["name"]]
            yield _told(
                met,
                f"{CROWD} visitors who {doing}: 95 % of the answers to a slider come within "
                f"{slider['p95']:.0f} ms (at most {SLIDER_MS:.0f}), {phase['errors']} errors",
            )
    biggest = max(phase["peak"] for phase in phases)
    yield _told(
        biggest < MOST_BYTES,
        f"The server never used more than {biggest / 10**9:.2f} GB of memory (below 4)",
    )
    for phase in phases:
        if phase["name"] == "greedy":
            yield _told(phase["before_the_others"] <= 2, _greedy(phase))  # noqa: PLR2004
        if phase["name"] == "long":
            moves = phase["seen"]["slider answer"]["count"]
            grown = phase["last_third"] - phase["first_third"]
            course = ", ".join(f"{size / MIB:.0f}" for size in phase["course"])
            tenths = f"; in each tenth of the time it was {course} MiB" if course else ""
            yield _told(
                grown <= MOST_GROWTH and not phase["errors"],
                f"{moves:,} slider moves in {phase['seconds'] / 60:.1f} minutes, by visitors who "
                f"come and go: memory grew by {grown / MIB:.0f} MiB from first third to last "
                f"(at most {MOST_GROWTH / MIB:.0f}), {phase['errors']} errors{tenths}",
            )


def _greedy(phase: Phase) -> str:
    return (
        f"One visitor asks {phase['asked_at_once']} questions at once ({phase['not_let_in']} are "
        f"not let in), then {phase['visitors'] - 1} others ask one each: all of them are answered "
        f"after {phase['before_the_others']} of the first one's (at most 2)"
    )


def _told(met: bool, sentence: str) -> str:
    return sentence + "." if met else f"✗ {sentence}."


def _speed(phases: list[Phase]) -> Iterator[str]:
    yield "| visitors | who | waited for | times | half within | 95 % within | 99 % within |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for phase in phases:
        for what, found in phase["seen"].items():
            cells = [time_text(found[name]) for name in ("p50", "p95", "p99")]
            who = f"{phase['visitors']} | {KINDS[phase['name']]}"
            yield f"| {who} | {what} | {found['count']:,} | {' | '.join(cells)} |"


def _cost(phases: list[Phase]) -> Iterator[str]:
    yield (
        "| visitors | who | slider answers a second | errors | told that it is full | "
        "waited, and told their place | server's cores | visitors' cores | server's memory |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for phase in phases:
        cells = [
            f"{phase['visitors']}",
            KINDS[phase["name"]],
            f"{phase['answers']:.0f}",
            f"{phase['errors']}",
            f"{phase['refused']}",
            f"{phase['told']} of {phase['waited']}",
            f"{phase['server_cores']:.2f}",
            f"{phase['own_cores']:.2f}",
            f"{phase['bytes'] / MIB:.0f} MiB",
        ]
        yield f"| {' | '.join(cells)} |"


def time_text(milliseconds: float) -> str:
    """A time with its unit."""
    if milliseconds < 1000:  # noqa: PLR2004
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.1f} s"


def write(
    root: Path,
    found: dict[str, Any],
    name: str = "load",
    say: Callable[[dict[str, Any]], str] = text,
) -> None:
    """Keep a result in docs/, and its text between the markers of that name."""
    kept = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    (root / "docs" / f"bench-{name}.json").write_text(kept, "utf-8")
    path, marks = root / TEXT, (f"<!-- {name}:{place} -->" for place in ("start", "end"))
    path.write_text(filled(path.read_text("utf-8"), say(found), *marks), "utf-8")


def main() -> None:
    """Write the text of the saved result."""
    write(ROOT, json.loads((ROOT / "docs" / "bench-load.json").read_text("utf-8")))


if __name__ == "__main__":
    main()
