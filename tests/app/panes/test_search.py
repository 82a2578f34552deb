"""The page's search without a browser: checks, progress, limits, and continuing."""

import math
import threading
from dataclasses import replace
from typing import Any

import pytest

import components.views.score.search_work as search_work
from components.session.presets import first_session
from components.session.state import session_from_state
from components.views.score.own_lists import PUBLIC_LIMITS, read_lists
from components.views.score.search_words import (
    GOALS,
    RANGES,
    SearchRequest,
    goal_words,
    knob_words,
    lists_of_models,
    range_words,
    read_search,
    value_text,
)
from components.views.score.search_work import run_request, stream_search, taken_over
from components.work.job import Bounded
from components.work.studio import Studio
from dppa_core.errors import Cancelled, InvalidValue, OutOfBudget
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import DomainScore, Exam
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.system.recent import Recent
from tests.helpers.own_questions import APPLES, CLAUSES
from tests.helpers.scored import scored

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SESSION = first_session()
ALONE = scored(a=(100, 100))


def answered(exam: Exam) -> DomainScore:
    """Best at a rate of 0.7 and at factors of 1.1."""
    if not isinstance(exam.target, MergeRecipe):
        return ALONE
    model = exam.target.models[0]
    away = abs(model.levels[-1] - 0.7) + sum(abs(f - 1.1) for f in model.amplification)
    return scored(a=(round(100 - 20 * away), 100))


@pytest.fixture(autouse=True)
def no_model_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Examiner, "score", lambda self, exam, stop: answered(exam))


def choices(**changed: Any) -> dict[str, Any]:
    usual = {"way": "climb", "limit": 16, "vary": ["rate", "factors"], "goals": "retention"}
    usual |= {"per_model": False, "trials": 6, "down": "rate", "across": "factor"}
    return usual | {"per": "model", "objective": "entropy", "steps": 10, "start": 1} | changed


def values_of(studio: Studio, cache: Recent, **changed: Any) -> list[dict[str, Any]]:
    return list(stream_search(read_search(choices(**changed), SESSION), studio, cache))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"way": "luck"}, "joint, climb, optuna, grid, adamerging; got 'luck'"),
        ({"limit": 500}, "Questions must be a number from 8 to 96"),
        ({"way": "optuna", "vary": []}, "Tick at least one"),
        ({"way": "optuna", "vary": "rate"}, "Tick at least one"),
        ({"way": "optuna", "vary": ["seed"]}, "Vary must be one of .* got 'seed'"),
        ({"way": "optuna", "trials": 10_000}, "Trials must be a number from 5 to 60"),
        ({"way": "optuna", "goals": "speed"}, "Search for must be one of"),
        ({"way": "grid", "across": "rate"}, "both sides are rate"),
        ({"way": "adamerging", "steps": 1000}, "Steps must be a number from 10 to 200"),
        ({"way": "adamerging", "start": 9}, "Start must be a number from 0 to 2"),
        ({"way": "adamerging", "limit": 500}, "Questions must be a number from 8 to 96"),
        ({"way": "adamerging", "per": "tensor"}, "per must be one of model, layer"),
        ({"way": "adamerging", "objective": "luck"}, "objective must be one of entropy, surprise"),
        ({"way": "grid", "down": ["rate"]}, "A side of the grid must be one of"),
    ],
)
def test_what_a_browser_sends_is_checked(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidValue, match=says):
        read_search(choices(**changed), SESSION)


def test_a_climb_tells_every_factor_and_what_it_found(studio: Studio) -> None:
    *running, last = values_of(studio, Recent(4))
    assert {value["state"] for value in running} == {"running"} and last["state"] == "done"
    assert [(t["model"], t["band"]) for t in last["trials"][:2]] == [("zoo:math", 0)] * 2
    assert all(row["factors"] == [1.1, 1.1] for row in last["result"]["best"])
    assert last["result"]["test"].startswith("On test questions: ") and not last["result"]["worse"]
    recipe = session_from_state(last["result"]["take"]).recipe()
    assert {model.amplification for model in recipe.models} == {(1.1, 1.1)}


RATES = {"way": "optuna", "vary": ["rate"]}


@pytest.mark.parametrize("changed", [{}, {"way": "joint"}, {"way": "grid"}, RATES])
def test_every_way_asks_the_given_merge_and_says_first_what_is_worse(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    exams: list[Exam] = []

    def turned(exam: Exam) -> DomainScore:
        exams.append(exam)
        if exam.split == "search" or not isinstance(exam.target, MergeRecipe):
            return replace(answered(exam), loss=2 - answered(exam).accuracy)
        return scored(a=(90 if exam.target == SESSION.recipe() else 30, 100))

    monkeypatch.setattr(Examiner, "score", lambda self, exam, stop: turned(exam))
    result = values_of(studio, Recent(4), **changed)[-1]["result"]
    tested = [exam for exam in exams if exam.split == "test"]
    assert SESSION.recipe() in [exam.target for exam in tested] and len(tested) == 6
    assert result["worse"]
    assert "the given merge is better than what was found: -60.0 points" in result["test"]


def test_a_merge_is_worse_only_if_the_difference_is_seen(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of 300 test items more is right as given: the button must not say what the test does
    not."""

    def turned(exam: Exam) -> DomainScore:
        if exam.split == "search" or not isinstance(exam.target, MergeRecipe):
            return answered(exam)
        return scored(a=(90 if exam.target == SESSION.recipe() else 89, 100))

    monkeypatch.setattr(Examiner, "score", lambda self, exam, stop: turned(exam))
    result = values_of(studio, Recent(4))[-1]["result"]
    assert "No difference seen between what was found and the given merge: -1.0" in result["test"]
    assert not result["worse"]


def test_a_joint_search_tells_every_setting_and_offers_the_best(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_loss(exam: Exam) -> DomainScore:
        merge = exam.target if isinstance(exam.target, MergeRecipe) else None
        factors = merge.models[0].amplification if merge else ()
        return replace(answered(exam), loss=1 + sum((factor - 1.1) ** 2 for factor in factors))

    monkeypatch.setattr(Examiner, "score", lambda self, exam, stop: with_loss(exam))
    cache = Recent(4)
    last = values_of(studio, cache, way="joint")[-1]
    assert last["state"] == "done" and 9 < len(last["trials"]) <= 24
    first, best = last["trials"][0], last["result"]["best"]
    as_given = {"factor1": 1.0, "factor2": 1.0, "coefficient": 1.0, "strength": 0.08}
    assert first["values"] == as_given and first["goals"] < best["goals"]
    assert set(best["retentions"]) == {"math", "law", "finance"}
    taken = session_from_state(best["take"]).recipe().models[0]
    assert taken.amplification == pytest.approx((1.1, 1.1), abs=0.06)
    assert last["result"]["take"] == best["take"]
    assert last["words"]["factor1"] == "strongest band ×"
    assert values_of(studio, cache, way="joint")[-1]["trials"] == last["trials"]


def test_a_joint_search_finds_the_factors_of_each_model_where_they_conflict(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = {"zoo:math": 2.0, "zoo:finance": 0.5, "zoo:law": 1.0}

    def conflicting(exam: Exam) -> DomainScore:
        models = exam.target.models if isinstance(exam.target, MergeRecipe) else ()
        away = sum(
            abs(math.log2(max(factor, 0.1) / best[model.model]))
            for model in models
            for factor in model.amplification
        )
        return replace(scored(a=(round(100 - 10 * min(away, 9)), 100)), loss=0.5 + away**2)

    monkeypatch.setattr(Examiner, "score", lambda self, exam, stop: conflicting(exam))
    shared, apart = (
        values_of(studio, Recent(4), way="joint", per_model=per_model)[-1]
        for per_model in (False, True)
    )
    assert len(shared["trials"]) <= 24 < len(apart["trials"]) <= 32
    assert apart["result"]["best"]["goals"][0] > shared["result"]["best"]["goals"][0] + 0.2
    assert apart["words"]["factor1.math"] == "strongest band of math ×"
    taken = session_from_state(apart["result"]["take"])
    assert not taken.linked
    assert taken.factors_of("zoo:math")[0] > 1 > taken.factors_of("zoo:finance")[0]


def test_a_grid_has_a_cell_for_every_pair_that_can_be_taken_over(studio: Studio) -> None:
    last = values_of(studio, Recent(4), way="grid")[-1]
    assert [side["name"] for side in last["sides"]] == ["rate", "factor"]
    assert len(last["trials"]) == 25 and {t["state"] for t in last["trials"]} == {"complete"}
    for trial in (last["trials"][3], last["trials"][24]):
        session = session_from_state(trial["take"])
        assert session.rate == pytest.approx(trial["values"]["rate"])
        assert set(session.factors) == {trial["values"]["factor"]}
    assert last["result"]["best"]["values"]["rate"] == 0.7
    assert last["words"] == {"rate": "rate", "factor": "every band ×"}
    assert value_text("rate", 0.7) == "70\u202f%" and value_text("factor", 1.2) == "1.2"


@pytest.mark.long
def test_a_search_goes_on_where_it_was_and_repeats_nothing(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, exams = Recent(4), []

    def counted(exam: Exam) -> DomainScore:
        exams.append(exam)
        if len(exams) == 14:
            raise Cancelled("Stopped.")
        return answered(exam)

    monkeypatch.setattr(Examiner, "score", lambda self, exam, stop: counted(exam))
    stopped = values_of(studio, cache, way="optuna", trials=8, goals="both")[-1]
    assert stopped["state"] == "stopped" and 0 < len(stopped["trials"]) < 8
    begun, *_, last = values_of(studio, cache, way="optuna", trials=8, goals="both")
    assert begun["trials"] == stopped["trials"] and begun["done"] == len(begun["trials"])
    assert last["state"] == "done" and len(last["trials"]) == 8
    assert last["trials"][: len(stopped["trials"])] == stopped["trials"]
    assert set(last["result"]["front"]) <= {row["number"] for row in last["trials"]}
    before = len(exams)
    assert (
        values_of(studio, cache, way="optuna", trials=8, goals="both")[-1]["trials"]
        == last["trials"]
    )
    assert not [q for q in exams[before:] if isinstance(q.target, MergeRecipe)]


@pytest.mark.cases(1)
@pytest.mark.parametrize("goal", ["worst", "math"])
def test_what_ranks_the_changes_is_searched_for_what_one_domain_keeps(
    studio: Studio, goal: str
) -> None:
    last = values_of(studio, Recent(4), way="optuna", vary=["significance", "rate"], goals=goal)[-1]
    assert last["goals"] == GOALS[goal] and last["state"] == "done"
    kinds = {trial["values"]["significance"] for trial in last["trials"]}
    assert kinds <= {"magnitude", "fisher", "activation"} and len(kinds) > 1
    best = last["result"]["best"]
    assert session_from_state(best["take"]).significance == best["values"]["significance"]
    assert best["goals"] == (max(t["goals"][0] for t in last["trials"] if t["goals"]),)


def test_one_run_ends_after_a_time_and_says_how_to_go_on(
    zoo_env: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_work, "PUBLIC_SECONDS", 0.0)
    search = read_search(choices(way="optuna"), SESSION)
    with pytest.raises(OutOfBudget, match="Start goes on"):
        run_request(search, Studio(public=True), Recent(4), lambda event: None, threading.Event())
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        run_request(search, Studio(public=False), Recent(4), lambda event: None, stop)
    assert Bounded(stop, 60).is_set() and not Bounded(threading.Event(), 60).is_set()


def test_what_is_taken_over_is_that_merge_and_models_that_are_off_stay() -> None:
    first, *others = SESSION.models
    session = replace(SESSION, models=(replace(first, on=False), *others))
    recipe = session.recipe()
    factors = tuple(replace(model, amplification=(1.3, 0.5)) for model in recipe.models)
    scaled = replace(recipe, models=factors)
    taken = session_from_state(taken_over(session, scaled))
    assert recipe_hash(taken.recipe()) == recipe_hash(scaled)
    assert [model.reference for model in taken.models] == [m.reference for m in session.models]
    assert taken_over(session, replace(scaled, seed=3)) is None


def test_what_is_varied_is_told_in_the_words_of_the_sliders() -> None:
    assert [range_words(text) for text in RANGES.values()] == [
        "rate 50–95\u202f%",
        *("factors × 0–2", "coefficients × 0.3–1.5", "strength 0–0.3", "levels 1–4"),
        "method: dppa, magnitude, dare, ties",
        "significance: magnitude, fisher, activation",
    ]
    assert goal_words("worst") == "the lowest retention of a domain"
    assert goal_words("law") == "retention of law"
    names = ("factor", "factor1", "factor2", "factor3", "coefficient.law", "rate")
    assert [knob_words(name) for name in names] == [
        *("every band ×", "strongest band ×", "next band ×", "band 3 ×", "coefficient of law ×"),
        "rate",
    ]


def by_own(search: SearchRequest, text: str, **lists: str) -> SearchRequest:
    """The search by a list for all models, and lists for single ones."""
    texts = {"": text} | {f"zoo:{name}": items for name, items in lists.items()}
    domains = lists_of_models(read_lists(texts, SESSION, PUBLIC_LIMITS), search.recipe)
    return replace(search, questions=domains)


@pytest.mark.long
def test_a_search_by_a_list_for_each_model_tells_what_is_kept_of_each(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = set[tuple[str, str]]()

    def noted(self: Examiner, exam: Exam, stop: object) -> DomainScore:
        if not isinstance(exam.target, MergeRecipe):
            pairs.add((exam.target, exam.domain))
        return replace(answered(exam), loss=1.0)

    monkeypatch.setattr(Examiner, "score", noted)
    search = by_own(read_search(choices(way="joint"), SESSION), APPLES, law=CLAUSES)
    *_, last = stream_search(search, studio, Recent(4))
    assert last["state"] == "done", last
    assert set(last["trials"][0]["retentions"]) == {"questions", "law questions"}
    assert ("zoo:law", "law questions") in pairs and ("zoo:math", "questions") in pairs
    assert ("zoo:math", "law questions") not in pairs
    with pytest.raises(InvalidValue, match="no questions for math"):
        lists_of_models(read_lists({"zoo:law": CLAUSES}, SESSION, PUBLIC_LIMITS), search.recipe)


def test_a_search_goes_by_own_questions_and_tells_contents_apart(
    zoo_env: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts: set[object] = set()

    def score(self: Examiner, exam: Exam, stop: object) -> DomainScore:
        prompts.update(item.prompt for item in exam.items())
        return replace(answered(exam), loss=1.0)

    monkeypatch.setattr(Examiner, "score", score)
    studio, cache = Studio(public=True), Recent(4)
    for way in ("climb", "joint", "optuna", "grid"):
        prompts.clear()
        search = by_own(read_search(choices(way=way), SESSION), APPLES)
        domain = search.questions[0]
        ended = list(stream_search(search, studio, cache))[-1]
        assert ended["state"] == "done", ended
        test = {item.prompt for item in domain.of_split("test")}
        assert prompts - test == {item.prompt for item in domain.of_split("search")}
        changed_names = by_own(search, APPLES.replace("Tom", "Tim").replace("Ben", "Bob"))
        first = next(iter(stream_search(changed_names, studio, cache)))
        assert not first["trials"]
