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
        away = [math.log2(value / target) for value, target in zip(point, lowest, strict=True)]
        return depth + sum(steps**2 for steps in away)

    return loss


def merge(point: Point) -> float:
    """As of a merge: coefficient times factor counts in the bands, the coefficient elsewhere.

    The lowest loss is at the factors 0.8 and 1.2 with the coefficient 1.
    """
    first, second, coefficient = (math.log2(value) for value in point)
    terms = (
        (first + coefficient - math.log2(0.8)),
        (second + coefficient - math.log2(1.2)),
        coefficient,
    )
    return 0.3 + terms[0] ** 2 + 0.6 * terms[1] ** 2 + 0.5 * terms[2] ** 2


class Measures:
    """Counts what is asked, and refuses to be asked twice."""

    def __init__(self, loss: Loss, accuracy: Loss = lambda point: 0.5) -> None:
        self._functions = {"losses": loss, "accuracies": accuracy}
        self.points: dict[str, list[Point]] = {name: [] for name in self._functions}

    def _ask(self, kind: str, points: Sequence[Point]) -> list[float]:
        assert len(set(points)) == len(points) and not set(points) & set(self.points[kind])
        self.points[kind] += points
        return [self._functions[kind](point) for point in points]

    def losses(self, points: Sequence[Point]) -> list[float]:
        return self._ask("losses", points)

    def accuracies(self, points: Sequence[Point]) -> list[float]:
        return self._ask("accuracies", points)

    def search(self, *axes: SearchAxis, **how: object) -> JointSearch:
        return joint_search(axes, self.losses, self.accuracies, **how)  # type: ignore[arg-type]


def doublings(point: Point, target: Point) -> float:
    """The largest distance of a number from what is wanted."""
    return max(abs(math.log2(value / aim)) for value, aim in zip(point, target, strict=True))


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
    measures = Measures(bowl(*lowest))
    search = measures.search(*axes, objective="loss")
    assert doublings(search.best.values, lowest) < 0.08  # 6 %
    assert len(measures.points["losses"]) == len(search.candidates) <= 24


def test_factors_and_coefficient_that_depend_on_each_other_are_found_together() -> None:
    """The climb asks the second band while the first is fixed, and the coefficient afterwards."""
    measures = Measures(merge)
    search = measures.search(FIRST, SECOND, COEFFICIENT, objective="loss")
    assert doublings(search.best.values, (0.8, 1.2, 1.0)) < 0.1
    assert search.best.loss - 0.3 < 0.02 * (merge((1.0, 1.0, 1.0)) - 0.3)


def steep(point: Point) -> float:
    """As of a merge pruned too far: the loss is a power of the distance, up to 15 times the lowest.

    The lowest is 0.3, at the factors 0.57 and 1.04 with the coefficient 2.3 and the strength 0.022.
    """
    first, second, coefficient, strength = (math.log2(value) for value in point)
    away = (first + coefficient - 0.4) ** 2 + 0.6 * (second + coefficient - 1.26) ** 2
    return 0.3 * math.exp(away + 0.5 * (coefficient - 1.2) ** 2 + 0.3 * (strength + 5.5) ** 2)


def test_a_loss_that_rises_by_orders_of_magnitude_is_searched_by_its_logarithm() -> None:
    measures = Measures(steep)
    search = measures.search(FIRST, SECOND, COEFFICIENT, STRENGTH, objective="loss")
    assert steep((1.0, 1.0, 1.0, 0.08)) > 4
    assert search.best.loss < 0.31
    assert Measures(lambda _: 0.0).search(FIRST, objective="loss").best.loss == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_counts_as_infinite(bad: float) -> None:
    search = Measures(lambda point: bad if point[0] > 1 else 1 + point[0]).search(FIRST, SECOND)
    assert search.best.values[0] == 0.25
    nowhere = Measures(lambda _: bad).search(FIRST, SECOND, objective="loss")
    assert nowhere.best.values == (1.0, 1.0) and nowhere.best.loss == math.inf


def test_the_fit_ends_where_a_place_among_others_rounds_to_less_than_alone() -> None:
    def rounded(places: Float64[ndarray, "m d"]) -> Float64[ndarray, " m"]:
        return np.full(len(places), 1.0 if len(places) == 1 else 1 - 1e-12)

    assert _lowest(rounded, 4).tolist() == [0, 0, 0, 0]


def test_the_start_is_first_and_is_always_compared() -> None:
    measures = Measures(merge)
    measures.search(FIRST, SECOND, COEFFICIENT, extra=[(1.4, 1.0, 1.0)])
    assert measures.points["losses"][:2] == [(1.0, 1.0, 1.0), (1.4, 1.0, 1.0)]
    assert {(1.0, 1.0, 1.0), (1.4, 1.0, 1.0)} < set(measures.points["accuracies"])


@pytest.mark.parametrize("losses", [1, 2, 7, 24])
@pytest.mark.parametrize("accuracies", [1, 3, 6])
def test_never_more_is_asked_than_the_budget(losses: int, accuracies: int) -> None:
    measures = Measures(merge)
    measures.search(FIRST, SECOND, COEFFICIENT, budget=Budget(losses, accuracies))
    assert len(measures.points["losses"]) <= losses
    assert len(measures.points["accuracies"]) <= min(losses, accuracies)


def test_values_stay_within_the_bounds() -> None:
    measures = Measures(bowl(100.0, 0.001))
    search = measures.search(FIRST, SECOND, objective="loss")
    assert search.best.values == (4.0, 0.25)
    assert all(0.25 <= value <= 4 for point in measures.points["losses"] for value in point)


def test_the_same_questions_lead_to_the_same_answer() -> None:
    first, second = Measures(merge), Measures(merge)
    assert first.search(FIRST, SECOND, COEFFICIENT) == second.search(FIRST, SECOND, COEFFICIENT)
    assert first.points == second.points


def test_accuracy_decides_among_the_lowest_losses_and_the_loss_between_equal_ones() -> None:
    """By loss 0.8 is best, by accuracy what is near 1.2; then 0.8 among equally accurate ones."""
    near = Measures(bowl(0.8), lambda point: -abs(math.log2(point[0] / 1.2)))
    search = near.search(COEFFICIENT)
    assert search.best.accuracy == max(
        candidate.accuracy for candidate in search.candidates if candidate.accuracy is not None
    )
    assert search.best.values[0] > 0.95 > search.by_loss.values[0]
    assert search.by_loss.loss == min(candidate.loss for candidate in search.candidates)
    equal = Measures(bowl(0.8)).search(COEFFICIENT)
    assert equal.best.loss == min(candidate.loss for candidate in equal.candidates)


def test_what_is_compared_by_accuracy_differs() -> None:
    """Else five of six would be the same to a tenth."""
    measures = Measures(bowl(0.8))
    measures.search(COEFFICIENT)
    places = sorted(math.log2(point[0]) for point in measures.points["accuracies"])
    assert len(places) == 6
    assert all(later - earlier > 0.05 for earlier, later in zip(places, places[1:], strict=False))


def test_a_budget_for_all_compares_all_by_accuracy() -> None:
    measures = Measures(bowl(0.8))
    search = measures.search(COEFFICIENT, budget=Budget(24, 24))
    assert set(measures.points["accuracies"]) == {
        candidate.values for candidate in search.candidates
    }


def test_where_nothing_matters_everything_stays_as_it_is() -> None:
    search = Measures(lambda point: 1.0).search(FIRST, SECOND, STRENGTH)
    assert search.best.values == (1.0, 1.0, 0.08)


def test_weights_that_overflow_are_no_choice() -> None:
    loss = bowl(0.8, 0.9)
    search = Measures(lambda point: loss(point) if max(point) < 1.3 else math.inf).search(
        FIRST, SECOND, objective="loss"
    )
    assert doublings(search.best.values, (0.8, 0.9)) < 0.1


def test_a_setting_that_the_axes_cannot_tell_is_compared_but_not_moved_from() -> None:
    measures = Measures(
        lambda point: merge(point) if point else 0.1, lambda point: float(not point)
    )
    search = measures.search(FIRST, SECOND, COEFFICIENT, extra=[()])
    assert search.best.values == ()
    assert () in measures.points["accuracies"]
    assert doublings(min(measures.points["losses"][2:], key=merge), (0.8, 1.2, 1.0)) < 0.1


def test_no_axis_an_unknown_objective_and_no_budget_are_refused() -> None:
    with pytest.raises(InvalidValue, match="an axis at least"):
        Measures(merge).search()
    with pytest.raises(InvalidValue, match="accuracy, loss; got 1 axes and 'density'"):
        Measures(merge).search(FIRST, objective="density")
    with pytest.raises(InvalidValue, match="settings by losses must be a number from 1"):
        Budget(0)
    with pytest.raises(InvalidValue, match="the start 5 must lie within"):
        SearchAxis("factor1", 5.0, 0.25, 4.0)
