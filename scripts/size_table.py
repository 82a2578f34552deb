"""What a merge of three domain models takes by size, into docs/reference/preflight.md.

    python scripts/size_table.py

Foretold by preflight's formulas, for weights in bfloat16 and two threads.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run as a script, from wherever

from dppa_core.preflight_checks.estimate import Sizes, estimate, in_time  # noqa: E402
from dppa_core.preflight_checks.facts import in_bytes  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "preflight.md"
START, END = "<!-- sizes:start -->", "<!-- sizes:end -->"
BILLIONS = (0.5, 1.5, 3, 7, 13, 70)
MODELS, WIDTH, THREADS = 4, 2, 2


def table() -> str:
    """The rows as Markdown."""
    lines = [
        "| parameters | download | disk in all | memory to merge | to chat | profile and merge |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for billions in BILLIONS:
        count = round(billions * 1e9)
        stored = (count * WIDTH,) * MODELS
        cost = estimate(Sizes(count, stored, sum(stored), workers=THREADS))
        cells = (
            f"{billions:g} B",
            f"{in_bytes(cost.download)}, {in_time(cost.download_seconds)}",
            in_bytes(cost.download + cost.written),
            in_bytes(cost.merge_memory),
            in_bytes(cost.model_memory),
            in_time(cost.merge_seconds),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Write the table between its markers."""
    before, rest = PAGE.read_text("utf-8").split(START)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{START}\n{table()}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
