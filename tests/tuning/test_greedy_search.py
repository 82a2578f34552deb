"""The greedy search for amplification factors, on scores by hand."""

import pytest

from dppa_core.errors import InvalidValue
from dppa_core.tuning.search.greedy_factors import greedy_factors


def test_it_climbs_band_by_band_to_the_peak() -> None:
    peak = (1.3, 1.2)
    found = greedy_factors(lambda a: -sum(abs(x - y) for x, y in zip(a, peak, strict=True)), 2)
    assert found.best.amplification == pytest.approx(peak)


def test_a_band_that_only_harms_stays_at_zero() -> None:
    found = greedy_factors(lambda a: a[0] * (a[0] <= 1.1) - a[1], 2)
    assert found.best.amplification == (1.1, 0.0)


def test_the_first_band_starts_alone_at_one() -> None:
    assert greedy_factors(lambda a: 0.0, 3).trials[0].amplification == (1.0, 0.0, 0.0)


def test_it_never_ends_below_the_best_it_has_seen() -> None:
    scores = iter([0.5, 0.7, 0.6, 0.2, 0.1])
    found = greedy_factors(lambda a: next(scores), 2)
    assert found.best.score == max(trial.score for trial in found.trials) == 0.7


def test_factors_are_whole_tenths_and_bounded() -> None:
    found = greedy_factors(lambda a: sum(a), 1, largest=1.5)
    assert [trial.amplification[0] for trial in found.trials] == [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]


def test_no_partition_is_refused() -> None:
    with pytest.raises(InvalidValue, match="at least 1, got 0"):
        greedy_factors(lambda a: 0.0, 0)


def test_a_score_that_is_no_number_is_refused_with_its_setting() -> None:
    with pytest.raises(InvalidValue, match=r"factors \[1.0, 0.0\] is nan"):
        greedy_factors(lambda a: float("nan"), 2)
    with pytest.raises(InvalidValue, match=r"factors \[1.0\] is -inf"):
        greedy_factors(lambda a: float("-inf"), 1)
    with pytest.raises(InvalidValue, match=r"factors \[1.1, 0.0\] is nan"):
        greedy_factors(lambda a: float("nan") if a[0] > 1 else 0.5, 2)


def test_of_equal_settings_the_first_one_wins() -> None:
    found = greedy_factors(lambda a: 0.5, 2)
    assert found.best.amplification == (1.0, 0.0) == found.trials[0].amplification
    tried = [trial.amplification for trial in found.trials]
    assert tried == [(1.0, 0.0), (1.1, 0.0), (1.0, 1.0), (1.0, 1.1)]
