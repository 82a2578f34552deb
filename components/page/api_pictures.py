"""Pictures of a merge as SVG, for programs and agents: each stands alone, in light and dark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from dppa_core.charts.chart import chart_svg
from dppa_core.charts.report import Axis, Chart, Series
from dppa_core.errors import InvalidValue
from dppa_core.evaluation.scores import DomainScore
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.plan import PruningPlan
from dppa_core.pruning.rate_table import rate_table
from dppa_core.pruning.share_plot import share_svg

from ..work.figures import short_name

Picture = Literal["heatmap", "kept", "distribution", "scores"]
MODULES, SHARE = Axis("kind of matrix"), Axis("of the delta's entries", "%")


def heatmap_picture(plan: PruningPlan) -> str:
    """The share of its delta that each matrix keeps: layers down, kinds across."""
    return share_svg(short_name(plan.finetuned), plan.kept_shares())


def kept_picture(plan: PruningPlan) -> str:
    """Each partition's share of the entries of a kind of matrix, in percent."""
    kinds = tuple(dict.fromkeys(one.kind for one in plan.modules))
    series = []
    for number in range(len(plan.levels)):
        held = dict.fromkeys(kinds, 0)
        for one in plan.modules:
            held[one.kind] += one.partitions[number]
        whole = {k: sum(one.numel for one in plan.modules if one.kind == k) for k in kinds}
        series.append(
            Series(f"partition {number + 1}", kinds, tuple(100 * held[k] / whole[k] for k in kinds))
        )
    title = f"What each partition holds of {short_name(plan.finetuned)}"
    return chart_svg(Chart("bars", title, MODULES, SHARE, tuple(series)))


def distribution_picture(name: str, profile: DeltaProfile, plan: PruningPlan) -> str:
    """How many entries have which |d|, and how many of them stay at the last level.

    The rate is rounded to the nearest hundredth, for which the profile has counts.
    """
    table = rate_table(profile, plan.parameters)
    column = round(100 * plan.levels[-1])
    middle = np.log10(np.sqrt(table.edges[:-1] * table.edges[1:]))
    places = tuple(float(value) for value in middle)
    kept = table.histogram * table.kept_histogram[:, column]
    lines = (("all", table.histogram), ("kept", kept))
    series = tuple(
        Series(label, places, tuple(float(count) for count in counts)) for label, counts in lines
    )
    title = f"Sizes of the changes of {short_name(name)}, {column} % pruned"
    axes = Axis("|d|, change of a weight", "power of ten"), Axis("entries")
    return chart_svg(Chart("lines", title, *axes, series))


def scores_picture(domain: str, found: Mapping[str, DomainScore]) -> str:
    """Accuracy with its 95 % interval of each that was asked, in percent."""
    names, scores = tuple(map(short_name, found)), found.values()
    low, high = zip(*(one.ci95 for one in scores), strict=True)
    series = Series(
        "accuracy",
        names,
        tuple(100 * one.accuracy for one in scores),
        tuple(100 * value for value in low),
        tuple(100 * value for value in high),
    )
    asked = next(iter(scores)).n
    title = f"{domain}: right answers to {asked} test questions"
    return chart_svg(Chart("bars", title, Axis("model"), Axis("accuracy", "%"), (series,)))


def plan_of(plans: tuple[PruningPlan, ...], model: str) -> PruningPlan:
    """The plan of a model, or the first; raises InvalidValue where there is none."""
    if not plans:
        raise InvalidValue(
            "This method decides while it merges what it keeps: there is no plan to draw. "
            "`merge` tells what it did."
        )
    known = {plan.finetuned: plan for plan in plans}
    if model and model not in known:
        raise InvalidValue(f"model: {model[:80]!r} takes no part. Known: {', '.join(known)}.")
    return known.get(model, plans[0])
