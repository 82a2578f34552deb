"""lab/data/figures.json: named numbers that documents state, computed from the measured data."""

from __future__ import annotations

from typing import Any

from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.tasks.intervals import SIGNIFICANCE_LEVEL, Interval
from dppa_lab.reports.board_tables import corrected
from dppa_lab.reports.data import LabData, Values
from dppa_lab.zoo.conflicts.conflict_figures import conflict_figures
from dppa_lab.zoo.forms.encoder_figures import encoder_figures
from dppa_lab.zoo.forms.form_figures import form_figures
from dppa_lab.zoo.results.choosing import BUDGET
from dppa_lab.zoo.results.retained import hits_of, paired_gain, sides
from dppa_lab.zoo.spec import SIZES
from dppa_lab.zoo.study.merges import RATES
from dppa_lab.zoo.study.nested_figures import nested_figures
from dppa_lab.zoo.study.study_figures import study_figures
from dppa_lab.zoo.survey.survey_figures import survey_figures

SMOLLM2_MILLIONS = 134.515008
"""Parameters of SmolLM2-135M."""


def figures(data: LabData) -> dict[str, Any]:
    """All figures: fractions, not per cent, and differences as fractions, not points."""
    return {
        "setup": _setup(data),
        "conflicts": conflict_figures(data.conflicts),
        "encoders": encoder_figures(data.file("encoders.json")),
        "forms": {size: form_figures(deltas) for size, deltas in data.forms.items()},
        "leaderboard": _board(data.file("leaderboard.json")),
        "leaderboard-smollm2": _board(data.file("leaderboard-smollm2.json")),
        "nested": nested_figures(data.nested),
        "results": _results(data.file("results.json")),
        "search": _search(data.file("search.json")),
        "study": study_figures(list(data.study.values())),
        "survey": survey_figures(data.survey),
    }


def _setup(data: LabData) -> dict[str, Any]:
    """How everything was measured."""
    own_hits = next(iter(data.study.values()))["own"]
    items = {domain: len(hits) for domain, hits in own_hits.items()}
    parameters = {name: size.architecture.parameters / 1e6 for name, size in SIZES.items()}
    return {
        "level of intervals": 1 - SIGNIFICANCE_LEVEL,
        "rates": list(RATES),
        "settings by loss": BUDGET.losses,
        "settings by accuracy": BUDGET.accuracies,
        "search items a domain": data.file("results.json")["search_items"],
        "search items a domain, SmolLM2": data.file("leaderboard-smollm2.json")["search_items"],
        "test items": items,
        "test items, all": sum(items.values()),
        "strength of the paper": PruningParameters().strength,
        "million parameters, SmolLM2": SMOLLM2_MILLIONS,
        "million parameters": parameters,
    }


WHOLE = "task_arithmetic"
"""The method that adds whole deltas."""


def _minus_whole(board: Values, method: str) -> Interval:
    """Mean retention of a method minus that of whole deltas added, paired by item."""
    by_method = {row["method"]: row["hits"] for row in board["rows"]}
    merged, whole = (
        {domain: hits_of(text) for domain, text in by_method[name].items()}
        for name in (method, WHOLE)
    )
    return paired_gain(merged, whole, board["own"])


def _board(board: Values) -> dict[str, Any]:
    """Place, retention and difference from DPPA of every method, and what changes changed."""
    rows = board["rows"]
    gaps = {row["method"]: row["against_dppa"] for row in rows if row["method"] != "dppa"}
    beyond = {name: gap["mean"] for name, gap in gaps.items() if gap["significant"]}
    others = [name for name in gaps if name != WHOLE] + ["dppa"]
    over_whole = [_minus_whole(board, name) for name in others]
    return {
        "methods": len(rows),
        "test items": sum(score["n"] for score in rows[0]["domains"].values()),
        "more than DPPA": [name for name, mean in beyond.items() if mean > 0],
        "less than DPPA": [name for name, mean in beyond.items() if mean < 0],
        "not told apart": len(gaps) - len(beyond),
        "more than whole deltas": [
            name for name, side in zip(others, sides(over_whole), strict=True) if side > 0
        ],
        "minus whole deltas": {
            name: gap.value for name, gap in zip(others, over_whole, strict=True)
        },
        "places": {row["method"]: place for place, row in enumerate(rows, 1)},
        "retention": {row["method"]: row["retention"] for row in rows},
        "corrected": {row["method"]: corrected(row, board["own"]) for row in rows},
        "minus DPPA": {name: gap["mean"] for name, gap in gaps.items()},
        "changed": {
            f"{variant['method']}, {variant['what']}": {
                "retention": variant["retention"],
                "minus itself": variant["against_itself"]["mean"],
            }
            for variant in board["variants"]
        },
        "changes": len(board["variants"]),
    }


def _results(results: Values) -> dict[str, Any]:
    """Rate in per cent -> what every merge of all three keeps, as pruned and searched, and DPPA
    minus magnitude."""
    by_rate: dict[str, Any] = {}
    for row in results["merges"]:
        merges, merged = by_rate.setdefault(f"{100 * row['rate']:g}", {}), row["merged"]
        merges[row["method"]] = {
            "as pruned": merged["plain"]["kept"],
            "searched": merged["best"]["kept"],
            "values": merged["values"],
        }
        if row["method"] == "dppa":
            merges["dppa-magnitude"] = merged["minus"]["magnitude"]
    return by_rate


def _search(search: Values) -> dict[str, Any]:
    """Retention by the climb, and by merges without a search beside it."""
    return {
        "search items a domain": search["items"],
        "settings": sum(model["tried"] for model in search["models"]),
        "factors": {model["domain"]: model["factors"] for model in search["models"]},
        "geometric retention": search["retention"]["value"],
        "chosen by hand": search["chosen by hand"],
        "beside": {
            merge["name"]: {
                "geometric retention": merge["retention"]["value"],
                "more answered": -merge["comparison"]["difference"]["value"],
            }
            for merge in search["beside"]
        },
    }
