"""A small handmade result of experiments with every kind of plot, as the page reads it."""

import json
from dataclasses import replace
from pathlib import Path

from components.session.method_choice import MethodChoice
from components.session.presets import first_session
from dppa_core.charts.plots import Axis, Chart, Heatmap, Series
from dppa_core.charts.report import Cost, Experiment, ExperimentsReport, Findings, report_json
from dppa_core.charts.tables import Cell, Column, Row, Table
from dppa_core.recipes.yaml_text import dump_recipe

MERGE = replace(first_session(), rate=0.9).recipe()
"""Of the first row."""
DARE = replace(first_session(), method=MethodChoice("dare"), rate=0.9)
DRAWN = replace(DARE.recipe(), seed=3)
"""Of the second row: the page has no control for a seed."""
X, Y = Axis("pruned", "%"), Axis("accuracy", "%")
LINES = Chart("lines", "Less is kept at 95 %", X, Y, (Series("DP", (90.0, 95.0), (66.0, 16.0)),))
BARS = Chart(
    "bars",
    "By method",
    Axis("method"),
    Axis("gain", "points"),
    (
        Series("80 %", ("DPPA", "TIES"), (-1.5, None), (-3.0, None), (0.5, None)),
        Series("90 %", ("DPPA", "TIES"), (2.0, 4.0), (1.0, 2.0), (3.0, 6.0)),
    ),
)
MAP = Heatmap(
    *("Gain", Axis("strength"), X, Y, ("0", "0.08"), ("90", "95"), ((1.0, None), (0, -2)), 0),
    places=(((0, 0), None), (None, (0, 2))),  # the last row of the table has no merge
)
TABLE = Table(
    "Accuracy",
    (Column("method"), Column("pruned", "%"), Column("accuracy", "%")),
    (
        Row((Cell("DPPA"), Cell(90.0), Cell(66.0, 59.2, 72.2, 200)), dump_recipe(MERGE)),
        Row((Cell("DARE"), Cell(90.0), Cell(41.0, 12.7, 69.3, 200, "3 draws")), dump_recipe(DRAWN)),
        Row((Cell("math alone"), Cell(0.0), Cell(None, note="${no_items}"))),
    ),
)
FINDINGS = Findings(
    (TABLE,), (LINES, BARS, MAP), "DP keeps 66 %, -6.2 points.", ("72 B: no machine",)
)
SETTING = {"title": "By hand", "base": "zoo:base", "test_items": 200, "search_items": 64}
REPORT = ExperimentsReport(
    "dppa reproduce --all --preset mine.yaml --limit 200",
    "a machine",
    {"torch": "2"},
    SETTING | {"models": [{"model": "zoo:math", "domain": "math"}]},
    (
        Experiment(
            *("first", "1", "DP", "Does it keep more?", "Asked.", FINDINGS, "", Cost(90, 200, 8)),
            made="by `dppa reproduce first --limit 200` on a machine",
        ),
        Experiment(
            "last", "6b", "Sizes", "Does it grow?", "-", None, "`dppa zoo train` comes first"
        ),
    ),
)


def write_results(folder: Path) -> Path:
    """Its file."""
    path = folder / "experiments.json"
    path.write_text(json.dumps(report_json(REPORT)), "utf-8")
    return path
