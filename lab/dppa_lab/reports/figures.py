"""lab/data/figures.json: named numbers that documents state, computed from the measured data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.tasks.intervals import SIGNIFICANCE_LEVEL
from dppa_lab.reports.board_tables import corrected
from dppa_lab.reports.data import LabData
from dppa_lab.reports.study_tables import study_figures
from dppa_lab.zoo.results.choosing import BUDGET
from dppa_lab.zoo.spec import SIZES
from dppa_lab.zoo.study.merges import RATES
from dppa_lab.zoo.survey.figures import survey_figures

Values = Mapping[str, Any]
SMOLLM2_MILLIONS = 134.515008
"""Parameters of SmolLM2-135M."""


def figures(data: LabData) -> dict[str, Any]:
    """All of them: fractions, not per cent, and differences as fractions, not points."""
    return {
        "setup": _setup(data),
        "leaderboard": _board(data.board),
        "leaderboard-smollm2": _board(data.board_smollm2),
        "results": _results(data.results),
        "search": _search(data.search),
        "study": study_figures(list(data.study.values())),
        "survey": survey_figures(data.survey),
    }


def _setup(data: LabData) -> dict[str, Any]:
    """How everything was measured."""
    asked = {name: len(hits) for name, hits in next(iter(data.study.values()))["own"].items()}
    return {
        "level of intervals": 1 - SIGNIFICANCE_LEVEL,
        "rates": list(RATES),
        "settings by loss": BUDGET.losses,
        "settings by accuracy": BUDGET.accuracies,
        "search items a domain": data.results["search_items"],
        "search items a domain, SmolLM2": data.board_smollm2["search_items"],
        "test items": asked,
        "test items, all": sum(asked.values()),
        "strength of the paper": PruningParameters().strength,
        "million parameters, SmolLM2": SMOLLM2_MILLIONS,
        "million parameters": {
            name: size.architecture.parameters / 1e6 for name, size in SIZES.items()
        },
    }


def _board(board: Values) -> dict[str, Any]:
    """Place, retention and difference from DPPA of every method, and what changes changed."""
    rows = board["rows"]
    against = {row["method"]: row["against_dppa"] for row in rows if row["method"] != "dppa"}
    return {
        "methods": len(rows),
        "test items": sum(of["n"] for of in rows[0]["domains"].values()),
        "more than DPPA": _sided(against, 1),
        "less than DPPA": _sided(against, -1),
        "not told apart": sum(not gap["significant"] for gap in against.values()),
        "places": {row["method"]: place for place, row in enumerate(rows, 1)},
        "retention": {row["method"]: row["retention"] for row in rows},
        "corrected": {row["method"]: corrected(row, board["own"]) for row in rows},
        "minus DPPA": {name: gap["mean"] for name, gap in against.items()},
        "changed": {
            f"{one['method']}, {one['what']}": {
                "retention": one["retention"],
                "minus itself": one["against_itself"]["mean"],
            }
            for one in board["variants"]
        },
        "changes": len(board["variants"]),
    }


def _sided(against: Values, side: int) -> list[str]:
    """Methods whose difference is beyond chance, on one side of 0."""
    return [n for n, gap in against.items() if gap["significant"] and gap["mean"] * side > 0]


def _results(results: Values) -> dict[str, Any]:
    """Rate in per cent -> what every merge of all three keeps, as pruned and searched, and DPPA
    minus magnitude."""
    by_rate: dict[str, Any] = {}
    for row in results["merges"]:
        of, one = by_rate.setdefault(f"{100 * row['rate']:g}", {}), row["merged"]
        of[row["method"]] = {
            "as pruned": one["plain"]["kept"],
            "searched": one["best"]["kept"],
            "values": one["values"],
        }
        if row["method"] == "dppa":
            of["dppa-magnitude"] = one["minus"]["magnitude"]
    return by_rate


def _search(search: Values) -> dict[str, Any]:
    """What the climb kept, and merges without a search beside it."""
    return {
        "search items a domain": search["items"],
        "settings": sum(one["tried"] for one in search["models"]),
        "factors": {of["domain"]: of["factors"] for of in search["models"]},
        "geometric retention": search["retention"]["value"],
        "chosen by hand": search["chosen by hand"],
        "beside": {
            one["name"]: {
                "geometric retention": one["retention"]["value"],
                "more answered": -one["comparison"]["difference"]["value"],
            }
            for one in search["beside"]
        },
    }
