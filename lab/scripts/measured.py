"""Write what is made of lab/data, without measuring: the file that the page reads, the figures that
documents state, and the tables in them.

python -m lab.scripts.measured
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dppa_lab.reports.board_tables import boards, form_rows
from dppa_lab.reports.conflict_tables import conflict_table
from dppa_lab.reports.data import LabData
from dppa_lab.reports.figures import figures
from dppa_lab.reports.form_tables import encoder_table, factor_table, form_tables
from dppa_lab.reports.page_file import page_file
from dppa_lab.reports.result_tables import (
    coefficient_table,
    experiments_table,
    merged_table,
    readme_table,
    search_tables,
)
from dppa_lab.reports.study_tables import confirmation_table, nested_table, study_table
from dppa_lab.reports.survey_tables import survey_table

ROOT = Path(__file__).resolve().parents[2]
DATA = LabData(ROOT / "lab" / "data")
PAGE_FILE = ROOT / "assets" / "data" / "measured.json"
FIGURES = DATA.folder / "figures.json"
BLOCK = re.compile(r"<!-- table: ([\w-]+) -->\n.*?<!-- end -->", re.DOTALL)
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "lab" / "docs").glob("*.md")))


def json_text(values: Mapping[str, Any]) -> str:
    """As it stands in a file."""
    return json.dumps(values, allow_nan=False, indent=1, ensure_ascii=False) + "\n"


def tables(data: LabData, values: Mapping[str, Any]) -> dict[str, str]:
    """Name -> a table of a document.

    Args:
        values: The figures.
    """
    files = {name: data.file(f"{name}.json") for name in ("results", "search", "coefficients")}
    experiments = (data.file(f"experiments{name}.json") for name in ("", "-smollm2"))
    leaderboards = (data.file(f"leaderboard{name}.json") for name in ("", "-smollm2"))
    return {
        "experiments": experiments_table(*experiments),
        "confirmation": confirmation_table(values["study"]),
        "nested": nested_table(values["nested"]),
        "study": study_table(values["study"]),
        **{f"forms-{size}": form_tables(kinds) for size, kinds in values["forms"].items()},
        **{f"factors-{size}": factor_table(kinds) for size, kinds in values["forms"].items()},
        "conflicts": conflict_table(values["conflicts"]),
        "encoders": encoder_table(values["encoders"]),
        "survey": survey_table(values["survey"]),
        "leaderboard": boards(*leaderboards),
        "leaderboard-forms": form_rows(data.file("leaderboard.json")),
        "results": merged_table(files["results"]),
        "search": search_tables(files["search"]),
        "coefficients": coefficient_table(files["coefficients"]),
        "readme": readme_table(files["results"]),
    }


def with_tables(page: str, tables: Mapping[str, str]) -> str:
    """The page with the tables in its blocks `<!-- table: NAME -->` … `<!-- end -->`; raises
    KeyError if one of them is not there."""

    def block(match: re.Match[str]) -> str:
        return f"<!-- table: {match[1]} -->\n{tables[match[1]]}\n<!-- end -->"

    return BLOCK.sub(block, page)


def documents(data: LabData, values: Mapping[str, Any]) -> dict[Path, str]:
    """Every document with its tables."""
    by_name = tables(data, values)
    return {file: with_tables(file.read_text("utf-8"), by_name) for file in DOCUMENTS}


def _write(file: Path, text: str) -> None:
    if not file.is_file() or file.read_text("utf-8") != text:
        file.write_text(text, "utf-8")
        sys.stdout.write(f"{file.relative_to(ROOT)}\n")


def main() -> None:
    """Write all files; print the names of those that changed."""
    values = figures(DATA)
    _write(PAGE_FILE, json_text(page_file(DATA)))
    _write(FIGURES, json_text(values))
    for file, text in documents(DATA, values).items():
        _write(file, text)


if __name__ == "__main__":
    main()
