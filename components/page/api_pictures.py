"""Pictures of a merge as SVG, for programs and agents: each stands alone, in light and dark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

import numpy as np

from dppa_core.charts.chart import chart_svg
from dppa_core.charts.plots import Axis, Chart, Series
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
    numel, held = Counter[str](), [Counter[str]() for _ in plan.levels]
    for module in plan.modules:
        numel[module.kind] += module.numel
        for counter, count in zip(held, module.partitions, strict=True):
            counter[module.kind] += count
    kinds = tuple(numel)
    series = tuple(
        Series(f"partition {number}", kinds, tuple(100 * kept[k] / numel[k] for k in kinds))
        for number, kept in enumerate(held, 1)
    )
    title = f"What each partition holds of {short_name(plan.finetuned)}"
    return chart_svg(Chart("bars", title, MODULES, SHARE, series))


def distribution_picture(name: str, profile: DeltaProfile, plan: PruningPlan) -> str:
    """The number of entries by |d|, and of those that stay at the last level.

    The rate is rounded to the nearest hundredth, for which the profile has counts.
    """
    table = rate_table(profile, plan.parameters)
    column = round(100 * plan.levels[-1])
    middle = np.log10(np.sqrt(table.edges[:-1] * table.edges[1:]))
    positions = tuple(float(value) for value in middle)
    kept = table.histogram * table.kept_histogram[:, column]
    lines = (("all", table.histogram), ("kept", kept))
    series = tuple(Series(label, positions, tuple(map(float, counts))) for label, counts in lines)
    title = f"Sizes of the changes of {short_name(name)}, {column} % pruned"
    axes = Axis("|d|, change of a weight", "power of ten"), Axis("entries")
    return chart_svg(Chart("lines", title, *axes, series))


def scores_picture(domain: str, scores: Mapping[str, DomainScore]) -> str:
    """Accuracy in percent, with its 95 % interval, of each model or merge."""
    names, results = tuple(map(short_name, scores)), scores.values()
    shares = zip(*((score.accuracy, *score.ci95) for score in results), strict=True)
    percents = (tuple(100 * share for share in column) for column in shares)
    series = Series("accuracy", names, *percents)
    count = next(iter(results)).n
    title = f"{domain}: right answers to {count} test questions"
    return chart_svg(Chart("bars", title, Axis("model"), Axis("accuracy", "%"), (series,)))


def plan_of(plans: tuple[PruningPlan, ...], model: str) -> PruningPlan:
    """The plan of a model, or the first one; raises InvalidValue if there is none."""
    if not plans:
        raise InvalidValue(
            "This method decides while it merges what it keeps: there is no plan to draw. "
            "`merge` tells what it did."
        )
    by_model = {plan.finetuned: plan for plan in plans}
    if model and model not in by_model:
        raise InvalidValue(f"model: {model[:80]!r} takes no part. Known: {', '.join(by_model)}.")
    return by_model.get(model, plans[0])
