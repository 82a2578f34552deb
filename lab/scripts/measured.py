"""Write what is made of lab/data, without measuring: the file that the page reads.

python -m lab.scripts.measured
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dppa_lab.reports.data import LabData
from dppa_lab.reports.page_file import page_file

ROOT = Path(__file__).resolve().parents[2]
DATA = LabData(ROOT / "lab" / "data")
PAGE_FILE = ROOT / "assets" / "data" / "measured.json"


def json_text(values: Mapping[str, Any]) -> str:
    """As it stands in a file."""
    return json.dumps(values, allow_nan=False, indent=1, ensure_ascii=False) + "\n"


def made(data: LabData) -> dict[Path, str]:
    """Every file and its text."""
    return {PAGE_FILE: json_text(page_file(data))}


def main() -> None:
    """Write all files; print the names of those that changed."""
    for file, text in made(DATA).items():
        if not file.is_file() or file.read_text("utf-8") != text:
            file.write_text(text, "utf-8")
            sys.stdout.write(f"{file.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
