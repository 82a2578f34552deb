"""The joint search by loss and accuracy, on functions by hand."""

import math
from collections.abc import Callable, Sequence

import pytest

from dppa_core.errors import InvalidValue
from dppa_core.tuning.search.axes import Point, SearchAxis
from dppa_lab.zoo.joint_search import Budget, JointSearch, joint_search

COEFFICIENT = SearchAxis("coefficient", 1.0, 0.015, 10.0)
Measures = dict[str, list[Point]]


def search(
    accuracy: Callable[[Point], float], budget: Budget | None = None
) -> tuple[JointSearch, Measures]:
    """A search whose loss is lowest at 0.8, and the settings that were asked."""
    settings: Measures = {"losses": [], "accuracies": []}

    def measure(kind: str, function: Callable[[Point], float]) -> Callable[..., list[float]]:
        def ask(points: Sequence[Point]) -> list[float]:
            assert len(set(points)) == len(points) and not set(points) & set(settings[kind])
            settings[kind] += points
            return [function(point) for point in points]

        return ask

    losses = measure("losses", lambda point: 0.5 + math.log2(point[0] / 0.8) ** 2)
    accuracies = measure("accuracies", accuracy)
    return joint_search([COEFFICIENT], losses, accuracies, budget or Budget()), settings


def test_accuracy_decides_among_the_lowest_losses_and_the_loss_between_equal_ones() -> None:
    """By loss 0.8 is best, by accuracy what is near 1.2; then 0.8 among equally accurate ones."""
    result, _ = search(lambda point: -abs(math.log2(point[0] / 1.2)))
    shares = [c.accuracy for c in result.candidates if c.accuracy is not None]
    assert result.best.accuracy == max(shares)
    assert result.best.values[0] > 0.95 > result.by_loss.values[0]
    assert result.by_loss.loss == min(candidate.loss for candidate in result.candidates)
    equal, _ = search(lambda point: 0.5)
    assert equal.best.loss == min(candidate.loss for candidate in equal.candidates)


def test_settings_compared_by_accuracy_differ_and_the_start_is_one() -> None:
    """Else five of six would be the same to a tenth."""
    _, settings = search(lambda point: 0.5)
    places = sorted(math.log2(point[0]) for point in settings["accuracies"])
    assert len(places) == 6 and (1.0,) in settings["accuracies"]
    assert all(later - earlier > 0.05 for earlier, later in zip(places, places[1:], strict=False))


@pytest.mark.parametrize("losses", [1, 2, 7, 24])
@pytest.mark.parametrize("accuracies", [1, 3, 24])
def test_never_more_is_asked_than_the_budget(losses: int, accuracies: int) -> None:
    _, settings = search(lambda point: 0.5, Budget(losses, accuracies))
    assert len(settings["losses"]) <= losses
    assert len(settings["accuracies"]) <= min(len(settings["losses"]), accuracies)
    assert accuracies < 24 or set(settings["accuracies"]) == set(settings["losses"])


def test_no_budget_is_refused() -> None:
    with pytest.raises(InvalidValue, match="at least one setting by each measure; got 0 by loss"):
        Budget(0)
