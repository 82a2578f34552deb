"""Figures of scores: retention, draws, the best coefficient, documents of the harness."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dppa_core.errors import InvalidValue
from dppa_core.evaluation.lm_eval_harness import TaskResult
from dppa_core.evaluation.scores import Marks
from dppa_core.tasks.intervals import VariancePart, reach, student
from dppa_lab.experiments.exams import best_coefficient, exam
from dppa_lab.experiments.questions import ExperimentExaminer
from dppa_lab.experiments.score_table import (
    Draws,
    accuracy,
    against_draws,
    compared,
    mean_retained,
    retained,
)
from dppa_lab.experiments.setting import Subject, Treatment, embedded, merged


def marks(*hits: int) -> Marks:
    return Marks(tuple(map(bool, hits)), (1.0,) * len(hits), (2,) * len(hits))


def test_accuracies_and_retention_are_in_per_cent() -> None:
    half, whole = marks(1, 0, 1, 0), marks(1, 1, 1, 1)
    assert (accuracy(half).value, accuracy(half).n) == (50.0, 4)
    assert retained({"math": half, "law": whole}, {"math": whole, "law": whole}).value == (
        pytest.approx(100 * 0.5**0.5)
    )
    assert compared({"math": whole}, {"math": half}).difference.value == 0.5


def test_draws_have_the_variance_of_items_and_of_draws() -> None:
    """Two draws of four items, 1/2 and 0 right: by hand."""
    draws = Draws((marks(1, 1, 0, 0), marks(0, 0, 0, 0)))
    assert draws.mean == 0.25
    parts = [VariancePart((4 * 0.25**2 / 3) / 4, 3), VariancePart((2 * 0.25**2 / 1) / 2, 1)]
    for part, expected in zip(draws.parts(), parts, strict=True):
        assert part.variance == pytest.approx(expected.variance)
        assert part.freedom == expected.freedom
    gap = against_draws({"law": marks(1, 1, 1, 1)}, {"law": draws})
    assert (gap.value, gap.low) == (0.75, pytest.approx(0.75 - reach(parts)))
    assert draws.cell().note == "2 draws: 0.0–50.0"


def test_a_draw_that_is_asked_two_domains_varies_in_both_together() -> None:
    """One draw has all of both, the other none: their mean varies as much as each of them."""
    draws = Draws((marks(1, 1), marks(0, 0)))
    none = {"math": marks(0, 0), "law": marks(0, 0)}
    apart = against_draws(none, {"math": draws, "law": draws})
    joint = against_draws(none, {"math": draws, "law": draws}, together=True)
    assert apart.value == joint.value == -0.5
    assert -0.5 - joint.low == pytest.approx(student(1) * 0.5)
    assert -0.5 - apart.low == pytest.approx(student(2) * 0.5**1.5)


def test_what_several_draws_retain_has_an_interval_of_items_and_of_draws() -> None:
    unpruned = {"law": marks(*(1,) * 40)}
    half, most = {"law": marks(*(1, 0) * 20)}, {"law": marks(*(1,) * 36, *(0,) * 4)}
    cells = [retained(draw, unpruned) for draw in (half, most, half)]
    assert mean_retained([half], unpruned) == cells[0]
    mean = mean_retained([half, most, half], unpruned)
    assert mean.value == pytest.approx((50 + 90 + 50) / 3) and mean.n == 40
    errors = [(cell.high - cell.low) / 2 / 1.96 for cell in cells]  # type: ignore[operator]
    items = VariancePart(sum(error * error for error in errors) / 3, 39)
    half_width = reach([items, VariancePart((2 * 40**2 / 3 / 2) / 3, 2)])
    expected = (mean.value - half_width, mean.value + half_width)
    assert (mean.low, mean.high) == pytest.approx(expected, abs=0.01)
    assert mean.note == "3 draws: 50.0–90.0"
    assert mean_retained([half, half], {"law": marks(*(0,) * 40)}).value is None


def coefficients(hits: dict[float, tuple[int, int]], *tried: float) -> tuple[float, list[float]]:
    """The best coefficient of a merge with such answers, and all tried ones in order."""
    setting, in_order = embedded(), []

    def recipe(coefficient: float) -> Any:
        in_order.append(coefficient)
        return merged(setting, setting.subjects, Treatment("dare"), coefficients=coefficient)

    steps = best_coefficient(setting, ["law"], recipe, {"law": marks(1, 1)}, tried)
    try:
        questions = next(steps)
        while True:
            sizes = [q.target.models[0].coefficient for q in questions]  # type: ignore[attr-defined]
            answers = [replace(marks(*hits[size]), losses=(size,) * 2) for size in sizes]
            questions = steps.send(dict(zip(questions, answers, strict=True)))
    except StopIteration as end:
        return end.value, in_order


def test_the_best_coefficient_retains_most_of_the_search_items() -> None:
    """0.7 keeps all; 1.0 does too, with a larger loss; 0.5 keeps half."""
    hits = {0.5: (1, 0), 0.7: (1, 1), 1.0: (1, 1)}
    assert coefficients(hits, 0.5, 0.7, 1.0) == (0.7, [0.5, 0.7, 1.0])


def test_coefficients_further_out_are_tried_while_the_outermost_is_the_best() -> None:
    hits = {0.5: (0, 0), 1.0: (1, 0), 1.2: (1, 1), 1.44: (0, 0)}
    assert coefficients(hits, 0.5, 1.0) == (1.2, [0.5, 1.0, 1.2, 1.44])
    hits = {0.5: (1, 0), 1.0: (0, 0), 0.42: (0, 0)}
    assert coefficients(hits, 0.5, 1.0) == (0.5, [0.5, 1.0, 0.42])


class Exams(ExperimentExaminer):
    """An examiner whose harness answers at once, and counts its calls."""

    def __init__(self, *documents: float) -> None:
        super().__init__()
        self.calls = 0
        self._answer = TaskResult("piqa", "acc", 0.5, None, len(documents), True, documents)

    def harness(self, task: str, folder: str | None, limit: int | None) -> Any:
        assert (task, folder, limit) == ("piqa", None, 4)
        self.calls += 1
        return SimpleNamespace(ask=lambda resident: (self._answer,))


def test_documents_of_the_harness_are_split_and_asked_once(zoo_env: Path) -> None:
    setting = replace(embedded(test=3, search=1), subjects=(Subject("zoo:law", "lm-eval:piqa"),))
    test, search = (exam(setting, "zoo:law", "lm-eval:piqa", split) for split in ("test", "search"))
    examiner = Exams(1.0, 0.0, 1.0, 1.0)
    assert test.cached(examiner) is None
    assert test.answer(examiner).hits == (False, True, True)
    kept = search.cached(examiner)
    assert kept is not None and kept.hits == (True,) and examiner.calls == 1
    with pytest.raises(InvalidValue, match="right or wrong"):
        exam(setting, "zoo:math", "lm-eval:piqa").answer(Exams(0.25, 1.0, 0.5, 1.0))
    with pytest.raises(InvalidValue, match="1 documents"):
        exam(setting, "zoo:math", "lm-eval:piqa").answer(Exams(1.0))
