"""Figures hold the numbers of the tables they draw."""

from pathlib import Path

import numpy as np
import pandas
import pytest

from components.widgets.theme import PALETTE
from dppa_core.errors import InvalidValue
from dppa_core.evaluation.analysis.overlap_pass import count_meetings
from dppa_core.figures import (
    agreement,
    distribution,
    heatmap,
    kept_shares,
    planned_shares,
    scores,
    themed,
)
from dppa_core.figures.style import DARK, LIGHT
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.plan import plan_pruning


@pytest.fixture
def profile(zoo_env: Path) -> DeltaProfile:
    return cached_profile("zoo:base", "zoo:math")


def test_a_heatmap_shows_the_planned_share_of_every_matrix(profile: DeltaProfile) -> None:
    plan = plan_pruning(profile, (0.9, 0.8))
    (drawn,) = heatmap(planned_shares(plan, "density"), "kept").data
    for module in plan.modules:
        row, column = drawn.y.index(str(module.layer)), drawn.x.index(module.kind)
        assert drawn.z[row][column] == pytest.approx(100 * module.density, abs=1e-3)


def test_bars_of_a_layer_add_up_to_what_it_keeps(profile: DeltaProfile) -> None:
    plan = plan_pruning(profile, (0.9, 0.8))
    bars = kept_shares(plan).data
    assert len(bars) == 2 and bars[0].name == "strongest 10 %"
    for place, layer in enumerate(bars[0].y):
        inside = [module for module in plan.modules if str(module.layer) == layer]
        kept = sum(m.kept for m in inside) / sum(m.numel for m in inside)
        assert sum(bar.x[place] for bar in bars) == pytest.approx(100 * kept)


def test_a_distribution_counts_every_changed_element_and_those_that_stay(
    profile: DeltaProfile,
) -> None:
    kept, dropped = (np.array(bar.y) for bar in distribution(profile, 0.8).data)
    changed = sum(item.nonzero for item in profile.modules)
    assert kept.sum() + dropped.sum() == pytest.approx(changed, rel=1e-6)
    planned = sum(module.kept for module in plan_pruning(profile, (0.8,)).modules)
    assert kept.sum() == pytest.approx(planned, rel=1e-3)
    assert kept[-1] > 0 == dropped[-1], "the largest changes stay"


@pytest.mark.parametrize("rate", [-0.1, 1.1, 0.805])
def test_a_rate_between_the_steps_is_refused(profile: DeltaProfile, rate: float) -> None:
    with pytest.raises(InvalidValue, match="steps of 0.01"):
        distribution(profile, rate)


def test_agreement_is_the_share_of_common_elements_moved_in_the_same_direction(
    profile: DeltaProfile,
) -> None:
    (meeting,) = count_meetings("zoo:base", ("zoo:math", "zoo:law"))
    (drawn,) = agreement(meeting, profile, 0.5).data
    row = next(n for n, item in enumerate(profile.modules) if meeting.both[n, 50])
    module = profile.modules[row].module
    value = drawn.z[drawn.y.index(str(module.layer))][drawn.x.index(module.kind)]
    alike = 1 - meeting.opposed[row, 50] / meeting.both[row, 50]
    assert value == pytest.approx(100 * alike, abs=1e-3)
    with pytest.raises(InvalidValue, match="no element in common"):
        agreement(meeting, profile, 1.0)


def test_scores_stand_at_their_accuracies_with_their_intervals() -> None:
    rows = [("a", "math", 0.5, 0.4, 0.7), ("b", "math", 0.9, 0.8, 1.0), ("a", "law", None, 0, 0)]
    names = ["model", "domain", "accuracy_share", "accuracy_low", "accuracy_high"]
    (drawn,) = scores(pandas.DataFrame(rows, columns=names)).data
    assert list(drawn.x) == [50, 90] and list(drawn.y) == ["a", "b"]
    assert list(drawn.error_x.array) == pytest.approx([20, 10])
    assert list(drawn.error_x.arrayminus) == pytest.approx([10, 10])


def test_figures_wear_the_colours_of_the_page(profile: DeltaProfile) -> None:
    for dark, colours in enumerate((LIGHT, DARK)):
        names = {"paper": "card", "ink": "ink", "line": "line"}
        assert colours == {ours: PALETTE[name][dark] for ours, name in names.items()}
        figure = themed(distribution(profile, 0.8), dark=bool(dark))
        assert figure.layout.paper_bgcolor == colours["paper"]
        assert figure.layout.font.color == colours["ink"]
