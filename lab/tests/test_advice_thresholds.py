"""Thresholds and the rule of the library's advice, compared with the measurements behind them."""

from statistics import median, quantiles

import pytest

from dppa_core.tuning.advice.advice import UNEVEN
from dppa_core.tuning.advice.kept_rule import (
    ERROR,
    FITTED,
    FITTED_RATE,
    FITTED_SIZES,
    SHORTFALL,
    foretold,
)
from dppa_lab.zoo.survey.rule import (
    errors_elsewhere,
    fit,
    foretold_elsewhere,
    places_of,
    trained_here,
)
from lab.scripts.measured import DATA


def test_the_rule_is_the_one_fitted_to_all_surveyed_deltas() -> None:
    places = places_of(trained_here(DATA.survey), "magnitude")
    known = fit(places, FITTED.names)
    assert FITTED.weights == tuple(round(one, 2) for one in known.weights)
    assert errors_elsewhere(places, (0.9,))[FITTED.names] == pytest.approx(ERROR, abs=5e-4)
    sizes = [one.change for one in places]
    assert pytest.approx((min(sizes), max(sizes)), rel=0.01) == FITTED_SIZES
    one = places[0]
    assert foretold(one.rate, one.energy, one.change) == FITTED.foretold(one.figures)
    assert foretold(0.9, 0.5, 0.01) is None, "shorter than any delta that it was fitted to"
    assert max(place.rate for place in places) == FITTED_RATE
    assert foretold(0.99, 0.1, 0.2) is None


def test_one_delta_of_twenty_falls_short_of_the_rule_by_more_than_is_expected() -> None:
    places = places_of(trained_here(DATA.survey), "magnitude")
    known = foretold_elsewhere(places, FITTED.names)
    short = [f - min(one.kept, 1.0) for f, one in zip(known, places, strict=True) if one.rate > 0.8]
    assert quantiles(short, n=20)[-1] == pytest.approx(SHORTFALL, abs=6e-3)


def test_domains_count_as_uneven_where_most_settled_trainings_are_more_even() -> None:
    gaps = []
    for known in [of for of in DATA.planned if of["set"]["regime"] == "settled"]:
        (merge,) = [one for one in known["merges"] if one["key"] == "dppa-90-all"]
        kept = [merge["hits"][d].count("1") / known["own"][d].count("1") for d in known["own"]]
        gaps.append(max(kept) - min(kept))
    assert len(gaps) == 10 and (min(gaps), max(gaps)) == pytest.approx((0.09, 0.31), abs=6e-3)
    assert median(gaps) == pytest.approx(0.19, abs=6e-3) and median(gaps) < UNEVEN == 0.2
