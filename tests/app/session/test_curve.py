"""Coefficients by points: linear interpolation, and exact round trips."""

import pytest

from components.session.curve import checked_curve, numbers_along, points_through
from dppa_core.errors import InvalidValue


def test_between_two_points_runs_a_straight_line() -> None:
    assert numbers_along(((0, 1.0), (4, 0.0))) == {0: 1.0, 1: 0.75, 2: 0.5, 3: 0.25, 4: 0.0}


def test_the_points_themselves_are_kept_to_the_last_digit() -> None:
    numbers = numbers_along(((0, 1 / 3), (3, 1.0)))
    assert numbers[0] == 1 / 3 and numbers[1] == 0.555556


@pytest.mark.parametrize(
    "curve",
    [
        ((0, 1.0), (5, 1.0)),
        ((0, 1.0), (2, 0.1), (5, 0.7)),
        ((0, 0.3), (1, 0.9), (2, -0.4), (3, 2.0)),
        ((0, 1 / 3), (31, 2 / 7)),
    ],
)
def test_numbers_along_a_curve_lead_back_to_its_points(
    curve: tuple[tuple[int, float], ...],
) -> None:
    assert points_through(numbers_along(curve)) == curve


def test_any_numbers_are_met_exactly() -> None:
    numbers = {layer: ((layer * 7919) % 101) / 97 - 0.2 for layer in range(40)}
    assert numbers_along(points_through(numbers)) == numbers


@pytest.mark.parametrize(
    "points",
    [(), ((0, 1.0),), ((0, 1.0), (0, 2.0)), ((0, 1.0), (True, 2.0)), ((0, 1.0), (-1, 1.0))],
)
def test_points_that_are_no_curve_are_refused(points: tuple[tuple[int, float], ...]) -> None:
    with pytest.raises(InvalidValue, match="Coefficient of zoo:math"):
        checked_curve("Coefficient of zoo:math", points, -1, 2)
