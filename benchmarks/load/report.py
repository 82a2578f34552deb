"""Writes docs/bench-load.json as text into docs/reliability.md.

`python -m benchmarks.load.report` does so without measuring.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.engine.journal import ROOT
from benchmarks.engine.write import filled
from benchmarks.load.watch import thirds

TEXT = Path("docs") / "reliability.md"
RESULT = Path("docs") / "bench-load.json"
MIB = 2**20
SLIDER_MS, MOST_BYTES, MOST_GROWTH = 250.0, 4 * 10**9, 100 * MIB
MOST_TOGETHER = 15 * 10**8
"""Bytes of the server and of the answering process, while `CROWD` visitors use the page."""
CROWD = 50
"""Visitors whose figures have targets."""
KINDS = {
    "drag": "drag",
    "everything": "drag and do all else",
    "merges": "each ask a merge of their own, beside five who drag",
    "greedy": "ask",
    "long": "come and go",
}

Phase = dict[str, Any]


def text(found: dict[str, Any]) -> str:
    """The machine, the targets, and a table for each of speed and cost."""
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    phases = [phase for phase in found["phases"] if phase["name"] != "soak"]
    parts = [
        f"{found['machine']}; {versions}. "
        f"The load was that before the start, and {found['load_after']:.1f} at the end.",
        "\n".join(f"- {line}" for line in targets(phases)),
        "\n".join(f"- {_soak(one)}" for one in found["phases"] if one["name"] == "soak"),
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
        if phase["visitors"] == CROWD and "together" in phase:
            yield _told(
                phase["together"] <= MOST_TOGETHER,
                f"{CROWD} visitors who {KINDS[phase['name']]}: the server and the answering "
                f"process never used more than {phase['together'] / 10**9:.2f} GB together "
                f"(at most {MOST_TOGETHER / 10**9:.1f})",
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


def _soak(phase: Phase) -> str:
    """Memory of both processes after crowds who came and left."""
    parts, grown = list[str](), list[int]()
    for name, sizes in zip(
        ("server", "answering process"), zip(*phase["course"], strict=True), strict=True
    ):
        first, last = thirds(sizes)
        grown.append(last - first)
        shown = ", ".join(
            f"{size / MIB:.0f}" for size in (sizes[0], sizes[len(sizes) // 2], sizes[-1])
        )
        parts.append(
            f"the {name} had {shown} MiB after the first, the middle and the last crowd, and grew "
            f"by {grown[-1] / MIB:.0f} from the first third to the last"
        )
    return _told(
        max(grown) <= MOST_GROWTH and not phase["errors"],
        f"{phase['crowds']} crowds of {phase['visitors']} who come, do everything and leave within "
        f"{phase['seconds'] / 60:.0f} minutes: {'; '.join(parts)} (at most "
        f"{MOST_GROWTH / MIB:.0f}), {phase['errors']} errors",
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
        "waited, and told their place | server's cores | visitors' cores | server's memory | "
        "answering process's | together |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
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
            *(_mib(phase.get(name)) for name in ("bytes", "answering", "together")),
        ]
        yield f"| {' | '.join(cells)} |"


def _mib(size: int | None) -> str:
    return "–" if size is None else f"{size / MIB:.0f} MiB"


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
