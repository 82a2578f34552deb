"""The second order in the survey: costs, correlations and break points, by hand."""

from typing import Any

import pytest

from dppa_lab.zoo.survey.correlation import correlation_gap, mean_gap
from dppa_lab.zoo.survey.deltas import RATES
from dppa_lab.zoo.survey.second_order import foretold_deltas, second_order_figures
from lab.tests.helpers.deltas import delta, hits

COSTS = (0.01, 0.04, 0.16, 0.64, 2.56, 10.24)
"""Foretold ones. A model breaks half of the way from 0.04 to 0.16."""
KEPT = (1, 0.95, 0.85, 0.5, 0.2, 0.1)
"""Retentions at those costs."""


def record(seed: int, later: int = 0) -> dict[str, Any]:
    """A model that costs twice what is foretold; `later` steps of rate earlier if above 0."""
    places = []
    for place, rate in enumerate(RATES):
        cost = COSTS[place + later]
        measured = {"1": 0.1 + 2 * cost, "1.5": 0.1 + cost, "2": 0.1 + 3 * cost}
        loss = {"own": 0.1, "foretold": 0.1 + cost, "best_factor": 1.25, "measured": measured}
        pruned = dict.fromkeys(("magnitude", "dare"), hits(KEPT[place + later]))
        places.append({"rate": rate, "energy": 1 - rate, "pruned": pruned, "loss": loss})
    return delta(seed, places, change=0.1 + 0.05 * seed)


RECORDS = [record(seed, seed % 2) for seed in range(4)]


def test_costs_and_factors_stand_beside_the_foretold_ones() -> None:
    figures = second_order_figures(RECORDS)["kinds"]["small, plain"]
    assert figures["deltas"] == 4
    assert (figures["50"]["cost"], figures["50"]["foretold"]) == pytest.approx((0.05, 0.025)), (
        "0.02, 0.08"
    )
    assert (figures["80"]["cost"], figures["80"]["foretold"]) == pytest.approx((0.2, 0.1))
    assert (figures["80"]["factor"], figures["80"]["foretold_factor"]) == (1.5, 1.25)


def test_a_forecast_off_by_more_than_a_factor_of_two_is_counted() -> None:
    far = [record(seed, seed % 2) for seed in range(4)]
    for at in far[0]["places"]:
        at["loss"]["best_factor"] = 3.5
    assert second_order_figures(far)["far off"]["factor"]["50"] == 1


def test_the_measured_cost_is_ranked_within_each_rate() -> None:
    figures = second_order_figures(RECORDS)["rank correlations"]
    assert figures["cost"]["foretold"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert figures["cost"]["lost energy"] is None, "all lose the same"
    assert figures["factor"]["foretold"] is None, "all are alike"


def test_the_break_point_is_foretold_from_other_bases() -> None:
    """All break where the foretold cost is 0.1; half of them one measured rate sooner."""
    figures = second_order_figures(RECORDS)["break points"]
    assert figures["broken"] == 4 and figures["median of the foretold cost"] == pytest.approx(0.1)
    assert figures["error by the foretold cost"] == pytest.approx(0, abs=1e-9)
    assert figures["error by the mean"] > 0.01 and figures["cost minus mean"]["value"] < 0


def test_a_gap_of_correlations_and_of_means_is_drawn_pair_by_pair() -> None:
    y, bases = [1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0], ["a"] * 4 + ["b"] * 4
    turned = correlation_gap(y, y[::-1], y, bases)
    assert turned == pytest.approx({"value": 2, "low": 2, "high": 2}), "1 and -1"
    assert correlation_gap(y, [0.0] * 8, y, bases) is None, "without spread there is none"
    two = [2.0] * 4 + [4.0] * 4
    assert mean_gap(two, [1.0] * 8, bases) == {"value": 2, "low": 1, "high": 3}, "1 in a, 3 in b"


def test_models_that_answer_nothing_or_have_no_losses_are_left_out() -> None:
    silent = {**record(4), "own": hits(0.1)}
    plain = {**record(5), "places": [{**at} for at in record(5)["places"]]}
    for at in plain["places"]:
        del at["loss"]
    assert len(foretold_deltas([*RECORDS, silent, plain])) == 4
    assert second_order_figures([silent, plain]) == second_order_figures(RECORDS[:2]) == {}


@pytest.mark.parametrize(("later", "breaks"), [(0, 0.857), (1, 0.667)])
def test_a_break_point_is_half_of_the_way_between_two_logits(later: int, breaks: float) -> None:
    (foretold,) = foretold_deltas([record(0, later)])
    assert foretold.breaks == pytest.approx(breaks, abs=1e-3)
