"""The joint search on functions by hand: what it finds, and what it asks for that."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.errors import InvalidValue
from dppa_core.tuning.search.axes import Point, SearchAxis
from dppa_core.tuning.search.joint import LossTable, _lowest
from tests.helpers.scored import asked_points

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


def descended(
    loss: Loss, *axes: SearchAxis, most: int = 24, extra: tuple[Point, ...] = ()
) -> Point:
    """The setting of the lowest loss."""
    table = LossTable(axes, most)
    points = asked_points(table.descend(extra), loss)
    assert points == list(table.losses) and len(points) <= most, "nothing is asked twice"
    return min(points, key=table.rank)


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
    assert doublings(descended(bowl(*lowest), *axes), lowest) < 0.08  # 6 %


def test_factors_and_coefficient_that_depend_on_each_other_are_found_together() -> None:
    """The climb asks the second band while the first is fixed, and the coefficient afterwards."""
    best = descended(merge, FIRST, SECOND, COEFFICIENT)
    assert doublings(best, (0.8, 1.2, 1.0)) < 0.1
    assert merge(best) - 0.3 < 0.02 * (merge((1.0, 1.0, 1.0)) - 0.3)


def steep(point: Point) -> float:
    """As of a merge pruned too far: the loss is a power of the distance, up to 15 times the lowest.

    The lowest is 0.3, at the factors 0.57 and 1.04 with the coefficient 2.3 and the strength 0.022.
    """
    first, second, coefficient, strength = (math.log2(value) for value in point)
    away = (first + coefficient - 0.4) ** 2 + 0.6 * (second + coefficient - 1.26) ** 2
    return 0.3 * math.exp(away + 0.5 * (coefficient - 1.2) ** 2 + 0.3 * (strength + 5.5) ** 2)


def test_a_loss_that_rises_by_orders_of_magnitude_is_searched_by_its_logarithm() -> None:
    assert steep((1.0, 1.0, 1.0, 0.08)) > 4
    assert steep(descended(steep, FIRST, SECOND, COEFFICIENT, STRENGTH)) < 0.31
    assert descended(lambda _: 0.0, FIRST) == (1.0,)


STRONG = replace(STRENGTH, absent=0.0)


@pytest.mark.parametrize("harm", [-0.5, 0.0, 0.5, 4.0])
def test_a_search_finds_at_least_what_the_simpler_method_inside_it_finds(harm: float) -> None:
    """DPPA contains DPA: its strength of 0. Here any strength costs, or gains, `harm`."""

    def loss(point: Point) -> float:
        *factors, strength = point
        deeper = harm * (strength / 0.08) ** 0.25 if strength else 0.0
        return bowl(0.6, 1.7, 1.3)(tuple(factors)) * math.exp(deeper)

    axes = FIRST, SECOND, COEFFICIENT
    simpler = descended(lambda point: loss((*point, 0.0)), *axes, most=11)
    best = descended(loss, *axes, STRONG)
    assert loss(best) <= loss((*simpler, 0.0))
    assert (best[-1] == 0) == (harm > 0)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_a_small_budget_ends_within_the_simpler_search(most: int) -> None:
    best = descended(lambda point: sum(point), FIRST, STRONG, COEFFICIENT, most=most)
    assert len(best) == 3


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_counts_as_infinite(bad: float) -> None:
    best = descended(lambda point: bad if point[0] > 1 else 1 + point[0], FIRST, SECOND)
    assert best[0] == 0.25
    assert descended(lambda _: bad, FIRST, SECOND) == (1.0, 1.0)


def test_the_fit_ends_where_a_place_among_others_rounds_to_less_than_alone() -> None:
    def rounded(places: Float64[ndarray, "m d"]) -> Float64[ndarray, " m"]:
        return np.full(len(places), 1.0 if len(places) == 1 else 1 - 1e-12)

    assert _lowest(rounded, 4).tolist() == [0, 0, 0, 0]


def test_the_start_is_first_then_what_is_named_and_the_same_losses_lead_to_the_same_points() -> (
    None
):
    tables = [LossTable((FIRST, SECOND, COEFFICIENT), 24) for _ in range(2)]
    first, second = (
        asked_points(table.descend([(1.4, 1.0, 1.0), (1.0, 1.0, 1.0)]), merge) for table in tables
    )
    assert first == second and first[:2] == [(1.0, 1.0, 1.0), (1.4, 1.0, 1.0)]


@pytest.mark.parametrize("most", [1, 2, 7, 24])
def test_never_more_is_asked_than_the_budget(most: int) -> None:
    descended(merge, FIRST, SECOND, COEFFICIENT, most=most)


def test_values_stay_within_the_bounds() -> None:
    table = LossTable((FIRST, SECOND), 24)
    points = asked_points(table.descend(), bowl(100.0, 0.001))
    assert min(points, key=table.rank) == (4.0, 0.25)
    assert all(0.25 <= value <= 4 for point in points for value in point)


def test_accuracy_decides_and_the_loss_between_equal_ones() -> None:
    """By loss 0.8 is best, by accuracy what is near 1.2; then 0.8 among equally accurate ones."""
    table = LossTable((COEFFICIENT,), 24)
    points = asked_points(table.descend(), bowl(0.8))
    near = table.best({point: -abs(math.log2(point[0] / 1.2)) for point in points})
    assert near[0] == min((value for (value,) in points), key=lambda value: abs(value - 1.2))
    assert table.best(dict.fromkeys(points, 0.5)) == min(points, key=table.rank)


def test_where_nothing_matters_everything_stays_as_it_is() -> None:
    assert descended(lambda point: 1.0, FIRST, SECOND, STRENGTH) == (1.0, 1.0, 0.08)


def test_weights_that_overflow_are_no_choice() -> None:
    loss = bowl(0.8, 0.9)
    best = descended(lambda point: loss(point) if max(point) < 1.3 else math.inf, FIRST, SECOND)
    assert doublings(best, (0.8, 0.9)) < 0.1


def test_a_setting_that_the_axes_cannot_tell_is_asked_but_not_moved_from() -> None:
    table = LossTable((FIRST, SECOND, COEFFICIENT), 24)
    points = asked_points(table.descend([()]), lambda point: merge(point) if point else 0.1)
    assert min(points, key=table.rank) == () == points[1]
    assert doublings(min(points[2:], key=merge), (0.8, 1.2, 1.0)) < 0.1


def test_a_start_out_of_bounds_is_refused() -> None:
    with pytest.raises(InvalidValue, match="the start 5 must lie within"):
        SearchAxis("factor1", 5.0, 0.25, 4.0)
