"""Thresholds and the rule of the library's advice, compared with the measurements behind them."""

from math import log, sqrt
from statistics import median, quantiles

import pytest

from dppa_core.tuning.advice.advice import UNEVEN_GAP
from dppa_core.tuning.advice.kept_rule import (
    FITTED,
    FITTED_RATE,
    FITTED_SIZES,
    MEAN_ERROR,
    SHORTFALL,
    KeptRule,
    foretold,
)
from dppa_lab.zoo.survey.deltas import PrunedPlace, places_of, trained_here
from dppa_lab.zoo.survey.rule import errors_elsewhere, fit, foretold_elsewhere
from lab.scripts.measured import DATA


def test_the_rule_is_the_one_fitted_to_all_surveyed_deltas() -> None:
    places = places_of(trained_here(DATA.survey), "magnitude")
    weights = fit(places, FITTED.names).weights
    assert FITTED.weights == tuple(round(weight, 2) for weight in weights)
    assert errors_elsewhere(places, (0.9,))[FITTED.names] == pytest.approx(MEAN_ERROR, abs=5e-4)
    sizes = [place.change for place in places]
    assert pytest.approx((min(sizes), max(sizes)), rel=0.01) == FITTED_SIZES
    first = places[0]
    assert foretold(first.rate, first.energy, first.change) == FITTED.foretold(first.figures)
    assert foretold(0.9, 0.5, 0.01) is None, "shorter than any delta that it was fitted to"
    assert max(place.rate for place in places) == FITTED_RATE
    assert foretold(0.99, 0.1, 0.2) is None


def test_one_delta_of_twenty_falls_short_of_the_rule_by_more_than_is_expected() -> None:
    places = places_of(trained_here(DATA.survey), "magnitude")
    guesses = zip(foretold_elsewhere(places, FITTED.names), places, strict=True)
    short = [guess - min(place.kept, 1.0) for guess, place in guesses if place.rate > 0.8]
    assert quantiles(short, n=20)[-1] == pytest.approx(SHORTFALL, abs=6e-3)


def test_domains_count_as_uneven_where_most_settled_trainings_are_more_even() -> None:
    gaps = []
    for study in DATA.planned:
        if study["set"]["regime"] == "settled":
            (merge,) = [merge for merge in study["merges"] if merge["key"] == "dppa-90-all"]
            own = study["own"].items()
            kept = [merge["hits"][d].count("1") / hits.count("1") for d, hits in own]
            gaps.append(max(kept) - min(kept))
    assert len(gaps) == 10 and (min(gaps), max(gaps)) == pytest.approx((0.09, 0.31), abs=6e-3)
    assert median(gaps) == pytest.approx(0.19, abs=6e-3) and median(gaps) < UNEVEN_GAP == 0.2


def test_the_figures_of_a_rule_are_those_by_hand() -> None:
    figures = PrunedPlace("a", "small 1", "math", 0.8, 0.5, 0.75, 0.9, 1.0).figures
    assert figures["rate"] == pytest.approx(log(4)) and figures["size"] == pytest.approx(log(0.5))
    assert figures["energy kept"] == pytest.approx(log(3))
    assert figures["noise"] == pytest.approx(log(0.5 * sqrt(0.8 / 0.2)))
    assert figures["shrunk"] == pytest.approx(log(9))


def test_a_rule_says_a_share() -> None:
    rule = KeptRule(("rate",), (-900.0, -100.0))
    assert 0 < rule.foretold({"rate": 2.0}) < 1e-9, "exp of 1,100 would overflow"
    assert KeptRule((), (log(3),)).foretold({"rate": 2.0}) == pytest.approx(0.75)
