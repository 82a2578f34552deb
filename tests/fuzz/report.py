"""Writes docs/fuzz.json as a table into docs/reliability.md.

`python -m tests.fuzz.report` does so without fuzzing.
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.engine.write import filled

ROOT = Path(__file__).resolve().parents[2]
RESULT, TEXT = ROOT / "docs" / "fuzz.json", ROOT / "docs" / "reliability.md"
START, END = "<!-- fuzz:start -->", "<!-- fuzz:end -->"


def table(found: dict[str, Any]) -> str:
    """A row for each target, and the machine."""
    rows = [
        "| what is read | inputs | read / refused | blown up | findings | slowest, ms "
        "| slowest blown up, s | memory, MiB | minutes |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for run in found["targets"].values():
        cells = (
            run["what"],
            f"{run['inputs']:,}".replace(",", " "),
            f"{run['accepted']} / {run['inputs'] - run['accepted']}",
            f"{run['blown_up']} of {run['largest'] // 1000} kB",
            str(len(run["findings"])),
            f"{1000 * run['slowest']:.0f}",
            f"{run['slowest_blown_up']:.2f}",
            f"{run['memory']:.0f}",
            f"{run['seconds'] / 60:.1f}",
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([*rows, "", f"{found['machine']}; atheris {found['atheris']}."])


def write(found: dict[str, Any]) -> None:
    """Save a result, and write its table."""
    RESULT.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    text = TEXT.read_text("utf-8")
    TEXT.write_text(filled(text, table(found), START, END), "utf-8")


if __name__ == "__main__":
    write(json.loads(RESULT.read_text("utf-8")))
