"""The joint search on functions by hand: what it finds, and what it asks for that."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.errors import InvalidValue
from dppa_core.tuning.search.joint import (
    Budget,
    JointSearch,
    Point,
    SearchAxis,
    _lowest,
    joint_search,
)

FIRST, SECOND = SearchAxis("factor1", 1.0, 0.25, 4.0), SearchAxis("factor2", 1.0, 0.25, 4.0)
COEFFICIENT = SearchAxis("coefficient", 1.0, 0.015, 10.0)
STRENGTH = SearchAxis("strength", 0.08, 0.01, 0.5, step=1.0)
Loss = Callable[[Point], float]


def bowl(*lowest: float, depth: float = 0.5) -> Loss:
    """The loss grows with the squares of doublings away from a point."""

    def loss(point: Point) -> float:
        away = [math.log2(one / best) for one, best in zip(point, lowest, strict=True)]
        return depth + sum(one**2 for one in away)

    return loss


def merge(point: Point) -> float:
    """As of a merge: coefficient times factor counts in the bands, the coefficient elsewhere.

    The lowest loss is at the factors 0.8 and 1.2 with the coefficient 1.
    """
    one, two, coefficient = (math.log2(value) for value in point)
    terms = (one + coefficient - math.log2(0.8)), (two + coefficient - math.log2(1.2)), coefficient
    return 0.3 + terms[0] ** 2 + 0.6 * terms[1] ** 2 + 0.5 * terms[2] ** 2


class Asked:
    """Counts what is asked, and refuses to be asked twice."""

    def __init__(self, loss: Loss, accuracy: Loss = lambda point: 0.5) -> None:
        self._of = {"losses": loss, "accuracies": accuracy}
        self.points: dict[str, list[Point]] = {name: [] for name in self._of}

    def _ask(self, kind: str, points: Sequence[Point]) -> list[float]:
        assert len(set(points)) == len(points) and not set(points) & set(self.points[kind])
        self.points[kind] += points
        return [self._of[kind](point) for point in points]

    def losses(self, points: Sequence[Point]) -> list[float]:
        return self._ask("losses", points)

    def accuracies(self, points: Sequence[Point]) -> list[float]:
        return self._ask("accuracies", points)

    def search(self, *axes: SearchAxis, **how: object) -> JointSearch:
        return joint_search(axes, self.losses, self.accuracies, **how)  # type: ignore[arg-type]


def doublings(point: Point, wanted: Point) -> float:
    """The largest distance of a number from what is wanted."""
    return max(abs(math.log2(one / two)) for one, two in zip(point, wanted, strict=True))


@pytest.mark.parametrize(
    ("axes", "lowest"),
    [
        ((COEFFICIENT,), (0.7,)),
        ((COEFFICIENT,), (6.0,)),
        ((COEFFICIENT,), (0.03,)),
        ((FIRST, SECOND), (0.8, 1.2)),
        ((FIRST, SECOND), (2.5, 0.4)),
        ((FIRST, SECOND, COEFFICIENT), (1.4, 0.9, 0.6)),
        ((FIRST, SECOND, COEFFICIENT, STRENGTH), (0.8, 1.2, 1.0, 0.02)),
    ],
)
def test_the_lowest_point_is_found_within_24_settings(
    axes: tuple[SearchAxis, ...], lowest: Point
) -> None:
    asked = Asked(bowl(*lowest))
    found = asked.search(*axes, objective="loss")
    assert doublings(found.best.values, lowest) < 0.08  # 6 %
    assert len(asked.points["losses"]) == len(found.candidates) <= 24


def test_factors_and_coefficient_that_depend_on_each_other_are_found_together() -> None:
    """The climb asks the second band while the first is fixed, and the coefficient afterwards."""
    asked = Asked(merge)
    found = asked.search(FIRST, SECOND, COEFFICIENT, objective="loss")
    assert doublings(found.best.values, (0.8, 1.2, 1.0)) < 0.1
    assert found.best.loss - 0.3 < 0.02 * (merge((1.0, 1.0, 1.0)) - 0.3)


def steep(point: Point) -> float:
    """As of a merge pruned too far: the loss is a power of the distance, up to 15 times the lowest.

    The lowest is 0.3, at the factors 0.57 and 1.04 with the coefficient 2.3 and the strength 0.022.
    """
    one, two, coefficient, strength = (math.log2(value) for value in point)
    away = (one + coefficient - 0.4) ** 2 + 0.6 * (two + coefficient - 1.26) ** 2
    return 0.3 * math.exp(away + 0.5 * (coefficient - 1.2) ** 2 + 0.3 * (strength + 5.5) ** 2)


def test_a_loss_that_rises_by_orders_of_magnitude_is_searched_by_its_logarithm() -> None:
    asked = Asked(steep)
    found = asked.search(FIRST, SECOND, COEFFICIENT, STRENGTH, objective="loss")
    assert steep((1.0, 1.0, 1.0, 0.08)) > 4
    assert found.best.loss < 0.31
    assert Asked(lambda _: 0.0).search(FIRST, objective="loss").best.loss == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_counts_as_infinite(bad: float) -> None:
    found = Asked(lambda point: bad if point[0] > 1 else 1 + point[0]).search(FIRST, SECOND)
    assert found.best.values[0] == 0.25
    nowhere = Asked(lambda _: bad).search(FIRST, SECOND, objective="loss")
    assert nowhere.best.values == (1.0, 1.0) and nowhere.best.loss == math.inf


def test_the_fit_ends_where_a_place_among_others_rounds_to_less_than_alone() -> None:
    def rounded(places: Float64[ndarray, "m d"]) -> Float64[ndarray, " m"]:
        return np.full(len(places), 1.0 if len(places) == 1 else 1 - 1e-12)

    assert _lowest(rounded, 4).tolist() == [0, 0, 0, 0]


def test_the_start_is_first_and_is_always_compared() -> None:
    asked = Asked(merge)
    asked.search(FIRST, SECOND, COEFFICIENT, extra=[(1.4, 1.0, 1.0)])
    assert asked.points["losses"][:2] == [(1.0, 1.0, 1.0), (1.4, 1.0, 1.0)]
    assert {(1.0, 1.0, 1.0), (1.4, 1.0, 1.0)} < set(asked.points["accuracies"])


@pytest.mark.parametrize("losses", [1, 2, 7, 24])
@pytest.mark.parametrize("accuracies", [1, 3, 6])
def test_never_more_is_asked_than_the_budget(losses: int, accuracies: int) -> None:
    asked = Asked(merge)
    asked.search(FIRST, SECOND, COEFFICIENT, budget=Budget(losses, accuracies))
    assert len(asked.points["losses"]) <= losses
    assert len(asked.points["accuracies"]) <= min(losses, accuracies)


def test_values_stay_within_the_bounds() -> None:
    asked = Asked(bowl(100.0, 0.001))
    found = asked.search(FIRST, SECOND, objective="loss")
    assert found.best.values == (4.0, 0.25)
    assert all(0.25 <= value <= 4 for point in asked.points["losses"] for value in point)


def test_the_same_questions_lead_to_the_same_answer() -> None:
    one, two = Asked(merge), Asked(merge)
    assert one.search(FIRST, SECOND, COEFFICIENT) == two.search(FIRST, SECOND, COEFFICIENT)
    assert one.points == two.points


def test_accuracy_decides_among_the_lowest_losses_and_the_loss_between_equal_ones() -> None:
    """By loss 0.8 is best, by accuracy what is near 1.2; then 0.8 among equally accurate ones."""
    near = Asked(bowl(0.8), lambda point: -abs(math.log2(point[0] / 1.2)))
    found = near.search(COEFFICIENT)
    assert found.best.accuracy == max(
        one.accuracy for one in found.candidates if one.accuracy is not None
    )
    assert found.best.values[0] > 0.95 > found.by_loss.values[0]
    assert found.by_loss.loss == min(one.loss for one in found.candidates)
    equal = Asked(bowl(0.8)).search(COEFFICIENT)
    assert equal.best.loss == min(one.loss for one in equal.candidates)


def test_what_is_compared_by_accuracy_differs() -> None:
    """Else five of six would be the same to a tenth."""
    asked = Asked(bowl(0.8))
    asked.search(COEFFICIENT)
    places = sorted(math.log2(point[0]) for point in asked.points["accuracies"])
    assert len(places) == 6
    assert all(later - earlier > 0.05 for earlier, later in zip(places, places[1:], strict=False))


def test_a_budget_for_all_compares_all_by_accuracy() -> None:
    asked = Asked(bowl(0.8))
    found = asked.search(COEFFICIENT, budget=Budget(24, 24))
    assert set(asked.points["accuracies"]) == {one.values for one in found.candidates}


def test_where_nothing_matters_everything_stays_as_it_is() -> None:
    found = Asked(lambda point: 1.0).search(FIRST, SECOND, STRENGTH)
    assert found.best.values == (1.0, 1.0, 0.08)


def test_weights_that_overflow_are_no_choice() -> None:
    loss = bowl(0.8, 0.9)
    found = Asked(lambda point: loss(point) if max(point) < 1.3 else math.inf).search(
        FIRST, SECOND, objective="loss"
    )
    assert doublings(found.best.values, (0.8, 0.9)) < 0.1


def test_a_setting_that_the_axes_cannot_tell_is_compared_but_not_moved_from() -> None:
    asked = Asked(lambda point: merge(point) if point else 0.1, lambda point: float(not point))
    found = asked.search(FIRST, SECOND, COEFFICIENT, extra=[()])
    assert found.best.values == ()
    assert () in asked.points["accuracies"]
    assert doublings(min(asked.points["losses"][2:], key=merge), (0.8, 1.2, 1.0)) < 0.1


def test_no_axis_an_unknown_objective_and_no_budget_are_refused() -> None:
    with pytest.raises(InvalidValue, match="an axis at least"):
        Asked(merge).search()
    with pytest.raises(InvalidValue, match="accuracy, loss; got 1 axes and 'density'"):
        Asked(merge).search(FIRST, objective="density")
    with pytest.raises(InvalidValue, match="settings by losses must be a number from 1"):
        Budget(0)
    with pytest.raises(InvalidValue, match="the start 5 must lie within"):
        SearchAxis("factor1", 5.0, 0.25, 4.0)
