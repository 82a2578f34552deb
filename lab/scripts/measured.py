"""Write what is made of lab/data, without measuring: the file that the page reads, the figures that
documents state, and the tables in them.

python -m lab.scripts.measured
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dppa_lab.reports.board_tables import boards
from dppa_lab.reports.data import LabData
from dppa_lab.reports.documents import with_tables
from dppa_lab.reports.experiments_table import experiments_table
from dppa_lab.reports.figures import figures
from dppa_lab.reports.page_file import page_file
from dppa_lab.reports.result_tables import (
    coefficient_table,
    merged_table,
    readme_table,
    search_tables,
)
from dppa_lab.reports.study_tables import confirmation_table, study_table
from dppa_lab.reports.survey_tables import survey_table

ROOT = Path(__file__).resolve().parents[2]
DATA = LabData(ROOT / "lab" / "data")
PAGE_FILE = ROOT / "assets" / "data" / "measured.json"
FIGURES = DATA.folder / "figures.json"
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "lab" / "docs").glob("*.md")))


def json_text(values: Mapping[str, Any]) -> str:
    """As it stands in a file."""
    return json.dumps(values, allow_nan=False, indent=1, ensure_ascii=False) + "\n"


def tables(data: LabData, known: Mapping[str, Any]) -> dict[str, str]:
    """Name -> a table of a document.

    Args:
        known: The figures.
    """
    return {
        "experiments": experiments_table(data.experiments, data.experiments_smollm2),
        "confirmation": confirmation_table(known["study"]),
        "study": study_table(known["study"]),
        "survey": survey_table(known["survey"]),
        "leaderboard": boards(data.board, data.board_smollm2),
        "results": merged_table(data.results),
        "search": search_tables(data.search),
        "coefficients": coefficient_table(data.coefficients),
        "readme": readme_table(data.results),
    }


def documents(data: LabData, known: Mapping[str, Any]) -> dict[Path, str]:
    """Every document with its tables."""
    made = tables(data, known)
    return {file: with_tables(file.read_text("utf-8"), made) for file in DOCUMENTS}


def _write(file: Path, text: str) -> None:
    if not file.is_file() or file.read_text("utf-8") != text:
        file.write_text(text, "utf-8")
        sys.stdout.write(f"{file.relative_to(ROOT)}\n")


def main() -> None:
    """Write all files; print the names of those that changed."""
    known = figures(DATA)
    _write(PAGE_FILE, json_text(page_file(DATA)))
    _write(FIGURES, json_text(known))
    for file, text in documents(DATA, known).items():
        _write(file, text)


if __name__ == "__main__":
    main()
