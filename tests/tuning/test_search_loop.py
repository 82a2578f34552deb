"""The loop of all searches: in parallel, stopped and resumed, on scores by hand."""

import math
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dppa_core.errors import InvalidValue
from dppa_core.evaluation.scores import DomainScore, Exam
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.tasks import DOMAINS
from dppa_core.tuning.search.options import SearchOptions
from dppa_core.tuning.search.results import SearchTrial
from dppa_core.tuning.search.search_loop import run_search
from tests.helpers.scored import RECIPE, by_model, scored

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")

MODEL_SCORES = {f"zoo:{domain}": scored(a=(8, 8), b=(32, 32)) for domain in DOMAINS}
WALKS = pytest.mark.parametrize(
    "options", [SearchOptions(), SearchOptions(joint=True)], ids=["climb", "joint"]
)
ALL = pytest.mark.parametrize(
    "options",
    [SearchOptions(), SearchOptions(joint=True), SearchOptions(vary=("rate=0.5:0.9",), trials=9)],
    ids=["climb", "joint", "optuna"],
)


def peaked(recipe: MergeRecipe, domain: str) -> DomainScore:
    """Best at 1.2 / 1.1."""
    first, second = recipe.models[0].amplification
    away = abs(first - 1.2) + abs(second - 1.1)
    return replace(scored(a=(8, 8), b=(max(0, 32 - round(10 * away)), 32)), loss=0.5 + away**2)


@WALKS
@pytest.mark.parametrize("killed_after", [0, 1, 9, 20])
def test_a_killed_search_goes_on_to_the_very_same_result(
    options: SearchOptions, killed_after: int, tmp_path: Path
) -> None:
    state, (ask, every) = tmp_path / "state.json", by_model(MODEL_SCORES, peaked)
    whole, left = run_search(RECIPE, options, ask), iter(range(killed_after))

    def dying(exam: Exam) -> DomainScore:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return ask(exam)

    count = len(every)
    with pytest.raises(KeyboardInterrupt):
        run_search(RECIPE, options, dying, state=state)
    again, exams = by_model(MODEL_SCORES, peaked)
    trials: list[SearchTrial] = []
    assert run_search(RECIPE, options, again, state=state, watch=trials.append) == whole
    assert len(exams) == count - killed_after  # finished scores are reused
    remembered = [trial.remembered for trial in trials]
    assert remembered == sorted(remembered, reverse=True)


@WALKS
def test_side_by_side_it_finds_what_it_finds_alone_in_the_same_order(
    options: SearchOptions, tmp_path: Path
) -> None:
    alone = run_search(RECIPE, options, by_model(MODEL_SCORES, peaked)[0])
    first, together = iter(range(6)), threading.Barrier(3, timeout=30)
    state, ask = tmp_path / "state.json", by_model(MODEL_SCORES, peaked)[0]

    def met(exam: Exam) -> DomainScore:
        if next(first, None) is not None:
            together.wait()  # breaks unless three are asked at a time
        return ask(exam)

    trials: list[SearchTrial] = []
    result = run_search(RECIPE, options, met, state=state, watch=trials.append, beside=8)
    assert result == alone
    models = ["", *(model.model for model in RECIPE.models)]  # a joint search names no model
    in_order = sorted(trials, key=lambda trial: models.index(trial.model))
    assert tuple(in_order) == alone.trials
    none_left = by_model({}, lambda recipe, domain: scored(a=(math.nan, 1)))[0]
    assert run_search(RECIPE, options, none_left, state=state) == alone  # nothing was lost


@WALKS
def test_a_state_of_another_search_is_refused_by_what_differs(
    options: SearchOptions, tmp_path: Path
) -> None:
    state, ask = tmp_path / "state.json", by_model(MODEL_SCORES, peaked)[0]
    run_search(RECIPE, options, ask, state=state)
    with pytest.raises(InvalidValue, match=r"items (64|200), now 16"):
        run_search(RECIPE, replace(options, limit=16), ask, state=state)
    with pytest.raises(InvalidValue, match="another search"):
        run_search(RECIPE, replace(options, joint=not options.joint, limit=16), ask, state=state)
    for text in ("", "[]", '{"search": 1}', state.read_text().replace("[8, 8]", "[9, 8]")):
        state.write_text(text)
        with pytest.raises(InvalidValue, match="not a state of a search"):
            run_search(RECIPE, options, ask, state=state)


@ALL
def test_the_first_error_ends_a_parallel_search_after_the_running_exams(
    options: SearchOptions,
) -> None:
    ask, exams = by_model(MODEL_SCORES, peaked)

    def failing(exam: Exam) -> DomainScore:
        score = ask(exam)
        if len(exams) == 5:
            raise InvalidValue("no such thing")
        time.sleep(0.02)
        return score

    with pytest.raises(InvalidValue, match="no such thing"):
        run_search(RECIPE, options, failing, beside=3)
    assert len(exams) < 9
