"""The table of the experiments of both sets of models."""

from __future__ import annotations

from dppa_core.evaluation.tables import markdown_table
from dppa_lab.reports.data import Values

HEAD = ("experiment", "question", "embedded", "SmolLM2")


def experiments_table(embedded: Values, smollm2: Values) -> str:
    """The hand-written findings of two reports in short, one row an experiment."""
    other = {run["key"]: run["short"] for run in smollm2["experiments"]}
    rows = [
        (
            f"{run['title']} ({run['number']})",
            run["question"].replace("|", "\\|"),
            run["short"],
            other.get(run["key"], "–"),
        )
        for run in embedded["experiments"]
    ]
    return markdown_table(HEAD, rows)
