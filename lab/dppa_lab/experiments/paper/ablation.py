"""Experiment 4: what each half of DPPA does by itself."""

from __future__ import annotations

from dppa_core.charts.plots import Axis, Chart
from dppa_core.charts.report import Findings
from dppa_core.charts.tables import Cell, Table, factors_text
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_lab.experiments.paper.rated_marks import PruningVariant, RatedMarks, rated_marks
from dppa_lab.experiments.score_table import points, pruned, row, table
from dppa_lab.experiments.setting import Setting
from dppa_lab.experiments.steps import Steps, declared

RATES = (0.8, 0.9, 0.95)
OWL = (("k_layer", PruningParameters().k_layer),)
"""DP's own, so that OWL-style is DP's step from layers without the one to modules."""
VARIANTS = (
    PruningVariant("magnitude", "plain magnitude", "magnitude"),
    PruningVariant("owl", "OWL-style", "owl", parameters=OWL),
    PruningVariant("dp", "DP alone", "dp"),
    PruningVariant("one", "magnitude, one factor", "magnitude", 1),
    PruningVariant("dpa", "DPA alone", "magnitude", 2),
    PruningVariant("both", "both (DPPA)", "dppa", 2),
)
COMPARED = {
    "owl": ("magnitude", "dp"),
    "dp": ("magnitude",),
    "one": ("magnitude",),
    "dpa": ("magnitude", "one"),
    "both": ("magnitude", "dp", "one", "dpa"),
}
"""Variant -> those that it is compared with."""
REFERENCES = {
    "magnitude": "plain magnitude",
    "dp": "DP alone",
    "one": "one factor",
    "dpa": "DPA alone",
}


def steps(setting: Setting) -> Steps[Findings]:
    """Choose the factors, then ask test items."""
    rated = yield from rated_marks(setting, VARIANTS, RATES)
    return Findings((_table(setting, rated),), (_plot(rated),))


def _table(setting: Setting, rated: RatedMarks) -> Table:
    columns = (
        *("variant", "pruned|%", *(f"{subject.name}|%" for subject in setting.subjects)),
        *("mean retention|%", "factors, strongest / next band|×"),
        *(f"minus {name}|points" for name in REFERENCES.values()),
    )
    rows = []
    for rate in RATES:
        for variant in VARIANTS:
            factors = [
                f"{subject.name} {factors_text(rated.factors[variant.key, rate, subject.domain])}"
                for subject in setting.subjects
                if variant.factors
            ]
            gaps = [
                points(rated.gain(variant.key, reference, rate))
                if reference in COMPARED.get(variant.key, ())
                else Cell(None)
                for reference in REFERENCES
            ]
            single = len(setting.subjects) == 1
            recipe = rated.recipes[variant.key, rate, setting.subjects[0].domain]
            cells = rated.cells(variant.key, rate)
            first = variant.title, 100 * rate
            text = "; ".join(factors) or None
            rows.append(row(*first, *cells, text, *gaps, recipe=recipe if single else None))
    return table("Each domain model alone, pruned and put back on the base", columns, rows)


def _plot(rated: RatedMarks) -> Chart:
    kept = {pruned(rate): [rated.kept(variant.key, rate) for variant in VARIANTS] for rate in RATES}
    axes, titles = (Axis("variant"), Axis("mean retention", "%")), [v.title for v in VARIANTS]
    return Chart.of("bars", "What each half of DPPA keeps", axes, titles, kept)


ABLATION = declared("ablation", steps)
