"""Intervals and the paired test, against numbers computed by hand and a plain bootstrap."""

import numpy as np
import pytest

from dppa_core.errors import InvalidValue
from dppa_core.tasks.intervals import (
    VariancePart,
    difference,
    mean_interval,
    ratio,
    reach,
    sign_test,
    student,
    wilson,
)


def hits(right: int, n: int) -> tuple[bool, ...]:
    return (True,) * right + (False,) * (n - right)


def test_the_wilson_interval_of_9_in_10() -> None:
    low, high = wilson(9, 10)
    assert (low, high) == pytest.approx((0.59585, 0.98212), abs=1e-5)


def test_none_and_all_are_the_ends_themselves() -> None:
    assert wilson(0, 64)[0] == 0.0 and wilson(64, 64)[1] == 1.0


@pytest.mark.parametrize(("right", "n"), [(0, 20), (20, 20), (1, 1)])
def test_the_interval_holds_the_share_and_stays_in_0_to_1(right: int, n: int) -> None:
    low, high = wilson(right, n)
    assert 0 <= low <= right / n + 1e-12
    assert right / n - 1e-12 <= high <= 1


def test_a_ratio_of_two_domains_is_their_geometric_mean() -> None:
    pairs = {"math": (hits(8, 20), hits(10, 20)), "law": (hits(5, 10), hits(10, 10))}
    interval = ratio(pairs)
    assert interval is not None
    assert interval.value == pytest.approx((0.8 * 0.5) ** 0.5)
    assert interval.low < interval.value < interval.high


def test_a_domain_that_nobody_answers_has_no_ratio() -> None:
    assert ratio({"math": (hits(1, 4), hits(0, 4))}) is None
    assert ratio({}) is None
    none = ratio({"math": (hits(0, 4), hits(4, 4)), "law": (hits(4, 4), hits(4, 4))})
    assert none is not None and none.value == none.low == 0.0


def test_counts_drawn_anew_are_items_drawn_anew() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.random(80) < 0.7, rng.random(80) < 0.5
    interval = difference({"math": (tuple(first.tolist()), tuple(second.tolist()))})
    drawn = rng.integers(0, 80, (20_000, 80))
    plain = first[drawn].mean(1) - second[drawn].mean(1)
    assert interval.value == pytest.approx(first.mean() - second.mean())
    assert (interval.low, interval.high) == pytest.approx(
        np.percentile(plain, [2.5, 97.5]), abs=0.03
    )


def test_the_same_answers_differ_by_nothing_and_few_of_them_say_little() -> None:
    few, many = (difference({"math": (hits(n, n), hits(n, n))}) for n in (20, 400))
    assert few.value == many.value == 0.0
    assert few.low < many.low < 0 < many.high < few.high < 0.15
    equal = ratio({"math": (hits(20, 20), hits(20, 20))})
    assert equal is not None and equal.low < 1 < equal.high


def test_domains_count_equally_however_many_items_they_have() -> None:
    pairs = {"math": (hits(10, 10), hits(0, 10)), "law": (hits(0, 1000), hits(0, 1000))}
    assert difference(pairs).value == pytest.approx(0.5)


def test_the_sign_test_of_5_to_0_is_a_sixteenth() -> None:
    assert sign_test({"math": (hits(5, 9), hits(0, 9))}) == pytest.approx(2 / 2**5)
    assert sign_test({"math": (hits(5, 9), hits(5, 9))}) == 1.0
    # 4 to 1: (5 + 1) of 32 splits are at least as uneven, on either side
    four = (True, True, True, True, False)
    assert sign_test({"math": (four, tuple(not hit for hit in four))}) == pytest.approx(12 / 32)


def test_other_items_are_not_compared() -> None:
    with pytest.raises(InvalidValue, match="3 and 4 answers cannot be compared"):
        difference({"math": (hits(1, 3), hits(1, 4))})


def test_a_mean_weighs_items_by_their_tokens_and_is_the_same_twice() -> None:
    interval = mean_interval((1.0, 8.0, 3.0), (1, 4, 1))
    assert interval.value == 2.0 and interval.low < 2 < interval.high
    assert interval == mean_interval((1.0, 8.0, 3.0), (1, 4, 1))
    assert mean_interval((2.0, 2.0), (1, 1)).high == 2.0


@pytest.mark.parametrize(
    ("freedom", "errors"),  # printed tables of Student's t, two-sided 5 %
    [(1, 12.706), (2, 4.303), (4, 2.776), (10, 2.228), (100, 1.984), (120, 1.980), (1e9, 1.960)],
)
def test_students_t_is_that_of_the_tables(freedom: float, errors: float) -> None:
    assert student(freedom) == pytest.approx(errors, abs=6e-4)


def test_a_variance_that_few_values_tell_reaches_further() -> None:
    """Three values alone: 4.303 errors. With an equal known part: (1 + 1)² / (1/2) = 8."""
    assert reach([VariancePart(1.0, 2)]) == pytest.approx(4.303, abs=1e-3)
    assert reach([VariancePart(1.0, 2), VariancePart(1.0, 1e12)]) == pytest.approx(
        student(8) * 2**0.5
    )
    assert reach([]) == reach([VariancePart(0.0, 2)]) == 0.0


def test_three_draws_hold_the_mean_in_95_of_100() -> None:
    rng = np.random.default_rng(3)
    drawn = rng.normal(size=(1_500, 3))
    half = np.array([reach([VariancePart(draws.var(ddof=1) / 3, 2)]) for draws in drawn])
    assert (abs(drawn.mean(1)) <= half).mean() == pytest.approx(0.95, abs=0.015)
