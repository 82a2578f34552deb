"""Scores and their intervals, against numbers computed by hand."""

import threading

import pytest

from dppa_core.errors import Cancelled
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import (
    DomainScore,
    Evaluation,
    TaskScore,
    domain_score,
    retention,
)
from dppa_core.tasks import Item
from dppa_core.tasks.intervals import wilson

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def test_the_interval_of_a_mean_is_wilsons_where_there_is_one_domain() -> None:
    nine = DomainScore(0.9, wilson(9, 10), 10, {})
    half = DomainScore(0.5, wilson(5, 10), 10, {})
    assert Evaluation("m", "test", {"math": nine}).ci95 == pytest.approx(wilson(9, 10))
    # Wilson of 5 in 10: 0.2366 to 0.7634. Below: sqrt(0.3042² + 0.2634²) / 2 = 0.2012.
    both = Evaluation("m", "test", {"math": nine, "law": half})
    assert both.ci95 == pytest.approx((0.4988, 0.8380), abs=1e-4)


def _items() -> list[Item]:
    return [
        Item("math", "one_step", "?", "The answer is 1."),
        Item("math", "one_step", "?", "The answer is 2."),
        Item("math", "two_step", "?", "The answer is 3."),
        Item("math", "two_step", "?", "The answer is 4."),
    ]


def test_a_domain_counts_all_its_items_and_each_task_its_own() -> None:
    scored = domain_score(_items(), ["1", "2", "3", "5"])
    assert scored.accuracy == 0.75
    assert scored.n == 4
    assert scored.tasks == {"one_step": TaskScore(1.0, 2), "two_step": TaskScore(0.5, 2)}


def test_retention_is_merged_over_own() -> None:
    merged = Evaluation("m", "test", {"math": domain_score(_items(), ["1", "2", "3", "5"])})
    assert retention(merged, {"math": 1.0}) == {"math": 0.75}
    assert retention(merged, {"math": 0.0}) == {}


@pytest.mark.usefixtures("zoo_env")
def test_evaluating_asks_every_item_and_reports_progress() -> None:
    reports: list[tuple[int, int, str]] = []
    scores = Examiner().evaluation(
        "zoo:base", ("math", "law"), limit=6, progress=lambda *report: reports.append(report)
    )
    assert scores.target == "zoo:base"
    assert {name: domain.n for name, domain in scores.domains.items()} == {"math": 6, "law": 6}
    assert reports[-1] == (12, 12, "law")
    assert [number for number, _, _ in reports] == sorted(number for number, _, _ in reports)
    assert scores.to_json()["domains"]["math"]["n"] == 6


@pytest.mark.usefixtures("zoo_env")
def test_a_set_stop_ends_the_evaluation() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        Examiner(fresh=True).evaluation("zoo:base", ("math",), limit=2, stop=stop)
