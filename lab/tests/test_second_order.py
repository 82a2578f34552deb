"""What the survey says of the second order: tables, correlations and break points, by hand."""

from typing import Any

import pytest

from dppa_lab.zoo.survey.correlation import correlation_gap, mean_gap
from dppa_lab.zoo.survey.second_order import foretold_deltas, told

RATES = (0.5, 0.8, 0.9, 0.95, 0.98)
COSTS = (0.01, 0.04, 0.16, 0.64, 2.56, 10.24)
"""Foretold ones. A model breaks half of the way from 0.04 to 0.16."""
KEPT = (20, 19, 17, 10, 4, 2)
"""Right answers of 20 at those costs."""


def bits(right: int) -> str:
    return "1" * right + "0" * (20 - right)


def record(seed: int, later: int = 0, **told: Any) -> dict[str, Any]:
    """A model that costs twice what is foretold; `later` steps of rate earlier if above 0."""
    places = []
    for place, rate in enumerate(RATES):
        cost = COSTS[place + later]
        measured = {"1": 0.1 + 2 * cost, "1.5": 0.1 + cost, "2": 0.1 + 3 * cost}
        loss = {"own": 0.1, "foretold": 0.1 + cost, "best_factor": 1.25, "measured": measured}
        pruned = dict.fromkeys(("magnitude", "dare"), bits(KEPT[place + later]))
        places.append({"rate": rate, "energy": 1 - rate, "pruned": pruned, "loss": loss})
    return {
        "set": {"size": "small", "regime": "plain", "seed": seed, "base": f"{seed}", **told},
        "search_items": 2,
        "domain": "law",
        "own": bits(20),
        "change": 0.1 + 0.05 * seed,
        "shrunk": {"0": bits(0), "0.5": bits(10)},
        "places": places,
    }


RECORDS = [record(seed, seed % 2) for seed in range(4)]


def test_costs_and_factors_stand_beside_the_foretold_ones() -> None:
    page = "\n".join(told(RECORDS))
    assert "| small, plain | 4 | 0.050 / 0.025 | 0.200 / 0.100 |" in page, "0.02, 0.08 / half"
    assert "| small, plain | 4 | 1.50 / 1.25 | 1.50 / 1.25 |" in page
    assert "The factor of least loss, of 1, 1.5, 2 (none below 1 was tried), and the" in page


def test_a_forecast_off_by_more_than_a_factor_of_two_is_counted() -> None:
    far = [record(seed, seed % 2) for seed in range(4)]
    for at in far[0]["places"]:
        at["loss"]["best_factor"] = 3.5
    page = "\n".join(told(far))
    assert "Of 4 deltas it is wrong by more than a factor of 2: cost at 50 % for " in page
    assert "factor at 50 % for 1" in page


def test_the_measured_cost_is_ranked_within_each_rate() -> None:
    page = "\n".join(told(RECORDS))
    assert "a rank correlation of 1.00 (1.00 to 1.00) with the foretold one, – with" in page
    assert "The best factor has – with the foretold one and – with 1 − E" in page, "all are alike"


def test_the_break_point_is_foretold_from_other_bases() -> None:
    """All break where the foretold cost is 0.1; half of them one measured rate sooner."""
    page = "\n".join(told(RECORDS))
    assert "4 of these deltas break between measured rates (below 90 % kept)" in page
    assert "the median of the foretold cost is 0.100 nats per token" in page
    assert "the rate at which the foretold cost reaches that median, 0.0;" in page
    assert "the mean break point, 0.0" not in page
    assert "Minus the mean: the foretold cost -" in page, "nearer than the mean"


def test_a_gap_of_correlations_and_of_means_is_drawn_pair_by_pair() -> None:
    y, bases = [1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0], ["a"] * 4 + ["b"] * 4
    assert correlation_gap(y, y[::-1], y, bases) == "+2.00 (+2.00 to +2.00)", "1 and -1"
    assert correlation_gap(y, [0.0] * 8, y, bases) == "–", "without spread there is none"
    two = [2.0] * 4 + [4.0] * 4
    assert mean_gap(two, [1.0] * 8, bases) == "+2.0 (+1.0 to +3.0)", "1 in base a, 3 in b"


def test_models_that_answer_nothing_or_have_no_losses_are_left_out() -> None:
    silent = {**record(4), "own": bits(2)}
    plain = {**record(5), "places": [{**at} for at in record(5)["places"]]}
    for at in plain["places"]:
        del at["loss"]
    assert len(foretold_deltas([*RECORDS, silent, plain])) == 4
    assert told([silent, plain]) == [] and told(RECORDS[:2]) == []


@pytest.mark.parametrize(("later", "breaks"), [(0, 0.857), (1, 0.667)])
def test_a_break_point_is_half_of_the_way_between_two_logits(later: int, breaks: float) -> None:
    (one,) = foretold_deltas([record(0, later)])
    assert one.breaks == pytest.approx(breaks, abs=1e-3)
