"""Rules for DP's strength: learned from the other domains, checked on test items."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from dppa_core.evaluation.scores import Marks
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_lab.experiments.paper.strength import ITEMS, RATES, STRENGTH
from dppa_lab.experiments.paper.strength_rules import (
    STRENGTHS,
    Facts,
    RatePoint,
    by_plan,
    by_rate,
    constant,
    left_out,
    no_starving,
    per_density,
    score_of,
)
from dppa_lab.experiments.questions import ExamQuestion
from lab.tests.helpers.followed_steps import SETTING, followed, hits

pytestmark = pytest.mark.usefixtures("zoo_env")
PLACES = [RatePoint("", domain, rate) for rate in (0.8, 0.95) for domain in ("a", "b")]


def peaked(best: Mapping[RatePoint, float]) -> dict[RatePoint, dict[float, tuple[float, float]]]:
    """Scores that fall with the distance from a place's best strength."""
    return {
        place: {strength: (1 - abs(strength - peak), 0.0) for strength in STRENGTHS}
        for place, peak in best.items()
    }


FACTS = {
    place: Facts(
        {strength: 1 - abs(strength - 0.04) for strength in STRENGTHS},
        {strength: 1 - strength for strength in STRENGTHS},
        {strength: max(0.0, 1 - place.rate - strength) for strength in STRENGTHS},
    )
    for place in PLACES
}


def test_a_rule_does_not_see_the_domain_it_chooses_for_at_any_size() -> None:
    places = [*PLACES, RatePoint("small", "a", 0.8), RatePoint("small", "b", 0.8)]
    facts = {place: FACTS[RatePoint("", place.domain, place.rate)] for place in places}
    scores = peaked({place: 0.1 if place.domain == "a" else 0.02 for place in places})
    choice = left_out(constant, scores, facts)
    assert {choice[place] for place in places if place.domain == "a"} == {0.02}
    assert {choice[place] for place in places if place.domain == "b"} == {0.1}


def test_one_a_rate_and_a_multiple_of_the_density_follow_the_rate() -> None:
    best = {place: 0.08 if place.rate == 0.8 else 0.02 for place in PLACES}
    scores = peaked(best)
    assert left_out(by_rate, scores, FACTS) == best
    assert left_out(per_density, scores, FACTS) == best  # 0.4 · 0.2 and 0.4 · 0.05
    assert score_of(scores, best) == (1.0, 0.0)


def test_the_plan_alone_chooses_by_energy_and_by_the_least_density() -> None:
    scores = peaked(dict.fromkeys(PLACES, 0.0))
    assert set(by_plan("energy")(scores, FACTS, PLACES).values()) == {0.04}
    # All peaks are at 0, so the learned rule is: no density below the overall one.
    assert set(no_starving(scores, FACTS, PLACES).values()) == {0.0}
    high = peaked(dict.fromkeys(PLACES, 0.1))
    assert set(no_starving(high, FACTS, PLACES).values()) == {0.1}


def answer(question: ExamQuestion) -> Marks:
    """The paper's strength costs half of the items; 0.04 costs none, and has the least loss."""
    n = ITEMS if question.split == "search" else 20
    target = question.target
    assert isinstance(target, MergeRecipe)
    strength = target.parameters["strength"]
    right = n // 2 if strength == 0.08 else n if strength == 0.04 else n * 3 // 4
    return hits(right, n, 1 + abs(strength - 0.04))


def test_the_whole_experiment_asks_the_map_and_then_three_strengths_of_the_test_items() -> None:
    small = replace(SETTING, title="small", subjects=SETTING.subjects[:1])
    findings, questions = followed(STRENGTH.steps(replace(SETTING, sizes=(small,))), answer)
    mapped = [question for question in questions if question.split == "search"]
    tested = [question for question in questions if question.split == "test"]
    assert len(mapped) == len(STRENGTHS) * len(RATES) * (len(SETTING.domains) + 1)
    assert {question.limit for question in mapped} == {ITEMS}
    assert {q.target.parameters["strength"] for q in tested} == {0.0, 0.04, 0.08}
    loss, _, tests = findings.tables
    assert {row.cells[6].value for row in loss.rows} == {0.04}, "of the least loss"
    assert {tuple(cell.value for cell in row.cells[3:6]) for row in tests.rows} == {(75, 50, 100)}
    assert [plot.title.partition(":")[0] for plot in findings.plots][-2:] == ["Law", "Size small"]
    heat = findings.plots[0]
    assert heat.kind == "heatmap"
    assert heat.cells[0][STRENGTHS.index(0.0)] == 0
