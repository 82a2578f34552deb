"""Searches by Optuna and grids: spaces, goals, stored studies, and the command."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.storages import InMemoryStorage

from dppa_core.errors import Cancelled, DppaError, InvalidValue, NonFiniteWeights
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import Behaviour, DomainScore, Exam
from dppa_core.methods.registry import METHODS
from dppa_core.recipes.yaml_text import (
    MergeRecipe,
    dump_recipe,
    load_recipe,
    parse_recipe,
    recipe_hash,
)
from dppa_core.tasks.intervals import Interval
from dppa_core.tuning.search.options import SearchOptions, check_objectives
from dppa_core.tuning.search.optuna_study import open_study, values_of
from dppa_core.tuning.search.results import StudyState, dominates, objective_values
from dppa_core.tuning.search.search_loop import run_search
from dppa_core.tuning.search.space import SearchParameter, parse_parameters, recipe_with
from tests.helpers.command import Command
from tests.helpers.scored import RECIPE, by_model, scored
from tests.reference.method_cases import PAIRS

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")

MODEL_SCORES = {f"zoo:{domain}": scored(a=(100, 100)) for domain in ("math", "finance", "law")}


def by_rate(recipe: MergeRecipe, domain: str) -> DomainScore:
    """Best at a rate of 0.7; math suffers most."""
    away = abs(recipe.models[0].levels[-1] - 0.7)
    return scored(a=(max(0, round(100 - (200 if domain == "math" else 50) * away)), 100))


def studied(
    *parameters: str,
    ask: Callable[[Exam], DomainScore] | None = None,
    grid: bool = False,
    recipe: MergeRecipe = RECIPE,
    **changed: object,
) -> StudyState:
    control = {name: changed.pop(name) for name in ("state", "stop", "beside") if name in changed}
    varied = {"grid" if grid else "vary": parameters}
    options = SearchOptions(**varied, **changed)  # type: ignore[arg-type]
    ask = ask or by_model(MODEL_SCORES, by_rate)[0]
    result = run_search(recipe, options, ask, **control)  # type: ignore[arg-type]
    assert isinstance(result, StudyState)
    return result


# --- what may be varied -------------------------------------------------------------------------


def test_ranges_come_from_the_settings_themselves() -> None:
    (knob,) = parse_parameters(["strength"], RECIPE)
    assert (knob.low, knob.high) == (0.0, 0.5)
    (knob,) = parse_parameters(["significance"], RECIPE)
    assert knob.choices == ("magnitude", "fisher", "activation", "random")
    assert [k.name for k in parse_parameters(["factors"], RECIPE)] == ["factor1", "factor2"]
    assert [k.name for k in parse_parameters(["coefficients=0.5:1"], RECIPE)] == [
        *("coefficient.math", "coefficient.finance", "coefficient.law"),
    ]
    names = [
        knob.name for knob in parse_parameters(["method=dppa,ties", "divide", "density"], RECIPE)
    ]
    assert names == ["method", "divide", "density"]
    for knob in parse_parameters(["rate=0.5:0.9:0.1", "method=dppa,ties", "levels=1:3"], RECIPE):
        assert parse_parameters([knob.text()], RECIPE) == (knob,)


def test_a_range_has_values_for_a_grid() -> None:
    rate, factor = parse_parameters(["rate=0.5:0.9:0.2", "factor=1,1.5"], RECIPE)
    assert rate.values() == (0.5, 0.7, 0.9) and factor.values() == (1.0, 1.5)
    assert SearchParameter("levels", 1, 3, 1, whole=True).values() == (1, 2, 3)
    assert SearchParameter("rate", 0.5, 0.9).values() == (0.5, 0.6, 0.7, 0.8, 0.9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ratee=0.5:0.9", "Did you mean 'rate'"),
        ("rate=0.5:1.5", "rate must be a number from 0 to 0.99, got 1.5"),
        ("rate=0.9:0.5", "begin below its end"),
        ("rate=a:b", "rate must be a number"),
        ("rate=0:0.1:0.2:0.3", "LOW:HIGH or LOW:HIGH:STEP"),
        ("rate=0.1:0.2:0.5", "step must be a number"),
        ("method=dppaa", "Did you mean 'dppa'"),
        ("significance=size", "magnitude, fisher, activation, random; got 'size'"),
        ("coefficient=0:11", "coefficient must be a number from -10 to 10"),
        ("density", "cannot vary 'density' here"),
    ],
)
def test_what_cannot_be_varied_is_named(text: str, message: str) -> None:
    with pytest.raises(DppaError, match=message):
        parse_parameters([text], RECIPE)


def test_nothing_and_twice_the_same_are_refused() -> None:
    with pytest.raises(InvalidValue, match="Nothing is varied"):
        parse_parameters([], RECIPE)
    with pytest.raises(InvalidValue, match="rate is varied twice"):
        parse_parameters(["rate", "rate=0.1:0.2"], RECIPE)


def test_settings_become_a_recipe() -> None:
    recipe = recipe_with(
        RECIPE, {"rate": 0.6, "factor2": 1.5, "coefficient.law": 0.5, "strength": 0.1}
    )
    assert recipe.models[0].levels == (0.8, 0.6)  # the first level keeps half of what is kept
    assert recipe.models[2].amplification == (1.0, 1.5) and recipe.models[2].coefficient == 0.5
    assert recipe.models[0].coefficient == 1.0 and recipe.parameters["strength"] == 0.1
    assert recipe_with(RECIPE, {"levels": 3, "factor": 1.2}).models[0].amplification == (1.2,) * 3
    assert recipe_with(RECIPE, {}) == RECIPE
    ties = recipe_with(RECIPE, {"method": "ties", "rate": 0.7})
    assert ties.models[0].levels == (0.0,) and ties.parameters["density"] == pytest.approx(0.3)
    assert recipe_with(RECIPE, {"method": "dare", "rate": 0.7}).models[0].levels == (0.7,)


OF_FEWER = (*PAIRS, "emr", "passthrough")


@pytest.mark.parametrize("method", [m.name for m in METHODS if m.name not in OF_FEWER])
def test_every_method_can_be_a_choice(method: str) -> None:
    assert recipe_with(RECIPE, {"method": method, "rate": 0.75}).method == method


# --- goals ---------------------------------------------------------------------------------------


def test_goals_are_checked_and_told_apart() -> None:
    names = ("retention", "worst", "retention.law", "density")
    values = objective_values(names, {"math": 0.5, "law": 0.98}, 0.2)
    assert values == [pytest.approx(0.7), 0.5, 0.98, 0.2]
    assert dominates((0.9, 0.2), (0.9, 0.3), ("retention", "density"))
    assert not dominates((0.9, 0.2), (0.9, 0.2), ("retention", "density"))
    assert not dominates((0.8, 0.1), (0.9, 0.2), ("retention", "density"))
    for goals, message in (
        (("speed",), "No objective 'speed'"),
        (("density", "retention"), "cannot be the first"),
        (("kl", "retention"), "kl cannot be the first objective: less is better"),
        (("retention", "lenght"), "Did you mean 'length'"),
        (("speed",), "Known: density, kl, length, loops, retention, retention.law, "),
        (("retention", "retention"), "each objective once"),
        ((), "at least one"),
    ):
        with pytest.raises(InvalidValue, match=message):
            check_objectives(goals, ("math", "law"))


def behaving(length: float, loops: float, kl: float | None) -> Behaviour:
    given, none = (Interval(value, value, value) for value in (length, loops)), kl is None
    return Behaviour(*given, None if none else Interval(kl or 0, 0, 9))


def test_of_lengths_loops_and_divergences_less_is_better() -> None:
    names, shares = ("retention", "length", "loops", "kl"), {"math": 1.0, "law": 1.0}
    both = (behaving(10, 0.5, 2.0), behaving(30, 0.0, 1.0))
    assert objective_values(names, shares, 1.0, both) == [1.0, 20, 0.25, 1.5]
    assert objective_values(names, shares, 1.0, both[:1]) == [1.0, 5, 0.25, 1.0], "0 of the rest"
    for place, name in enumerate(names[1:], 1):
        better, worse = [0.9] * 4, [0.9] * 4
        better[place] = 0.8
        assert dominates(better, worse, names) and not dominates(worse, better, names), name
    with pytest.raises(InvalidValue, match="objective kl: the merge has other tokens"):
        objective_values(names, shares, 1.0, (behaving(1, 0, None),))
    assert objective_values(names[:2], shares, 1.0, (behaving(4, 0, None),)) == [1.0, 2]


def shorter(recipe: MergeRecipe, domain: str) -> DomainScore:
    """Answers get shorter, and nearer to the base, with the rate."""
    rate = recipe.models[0].levels[-1]
    return replace(by_rate(recipe, domain), behaviour=behaving(100 * (1 - rate), 0, 1 - rate))


# --- studies -------------------------------------------------------------------------------------


def test_a_study_comes_near_the_best_rate() -> None:
    result = studied("rate=0.5:0.95", trials=25)
    assert result.recipe.models[0].levels[-1] == pytest.approx(0.7, abs=0.05)
    assert len(result.trials) == 25 and result.best.goals[0] > 0.93


def test_a_trial_without_hope_ends_after_a_domain() -> None:
    asks, exams = by_model(MODEL_SCORES, by_rate)
    result = studied("rate=0.5:0.95", trials=20, ask=asks)
    lost = [trial for trial in result.trials if trial.state == "pruned"]
    assert lost and {len(trial.retentions) for trial in lost} <= {1, 2}
    assert not any(trial.goals for trial in lost)
    counts = sum(len(trial.retentions) for trial in result.trials)
    assert sum(isinstance(exam.target, MergeRecipe) for exam in exams) == counts < 60
    asks, exams = by_model(MODEL_SCORES, by_rate)
    studied("rate=0.5:0.95", trials=20, ask=asks, prune=False)
    assert sum(isinstance(exam.target, MergeRecipe) for exam in exams) == 60


def test_two_goals_give_a_front_and_hopeless_means_beaten_whatever_follows() -> None:
    goals = ("retention", "density")
    result = studied("rate=0.5:0.95", trials=24, objectives=goals)
    front = [trial for trial in result.trials if trial.number in result.front]
    assert 1 < len(front) and all(trial.density == pytest.approx(trial.goals[1]) for trial in front)
    whole = [trial for trial in result.trials if trial.state == "complete"]
    beaten = {
        trial.number
        for trial in whole
        if any(dominates(rival.goals, trial.goals, goals) for rival in whole)
    }
    assert {trial.number for trial in whole} - beaten == set(result.front)
    for trial in (trial for trial in result.trials if trial.state == "pruned"):
        away = abs((1 - trial.density) - 0.7)
        kept = {"math": 1 - 2 * away, "finance": 1 - away / 2, "law": 1 - away / 2}
        true = objective_values(goals, kept, trial.density)
        assert any(dominates(rival.goals, true, goals) for rival in whole)


def test_length_makes_a_front_and_only_what_is_an_objective_is_measured() -> None:
    goals = ("retention", "length")
    asks, exams = by_model(MODEL_SCORES, shorter)
    result = studied("rate=0.5:0.95", trials=24, objectives=goals, ask=asks)
    whole = [trial for trial in result.trials if trial.state == "complete"]
    front = [trial for trial in whole if trial.number in result.front]
    assert len(front) > 1 and min(trial.values["rate"] for trial in front) > 0.65
    for trial in (trial for trial in result.trials if trial.state == "pruned"):
        merge = parse_recipe(trial.recipe)
        scores = {d: shorter(merge, d) for d in ("math", "finance", "law")}
        true = objective_values(
            goals,
            {domain: score.accuracy for domain, score in scores.items()},
            trial.density,
            [score.behaviour for score in scores.values() if score.behaviour],
        )
        assert any(dominates(rival.goals, true, goals) for rival in whole)
    asked = {(isinstance(exam.target, str), exam.behaviour, exam.base) for exam in exams}
    assert asked == {(True, False, ""), (False, True, "")}
    asks, exams = by_model(MODEL_SCORES, shorter)
    studied("rate=0.5:0.95", trials=1, objectives=("retention", "kl"), ask=asks)
    assert {exam.base for exam in exams if exam.behaviour} == {"zoo:base"}


def test_a_grid_asks_every_pair_once_and_in_order(tmp_path: Path) -> None:
    result = studied("rate=0.6:0.8:0.1", "factor=1,1.2", grid=True)
    tried = [(trial.values["rate"], trial.values["factor"]) for trial in result.trials]
    assert tried == [(r, f) for r in (0.6, 0.7, 0.8) for f in (1.0, 1.2)]
    assert result.best.values["rate"] == 0.7


def test_a_setting_that_computes_no_numbers_fails_alone() -> None:
    def breaking(recipe: MergeRecipe, domain: str) -> DomainScore:
        if recipe.models[0].amplification[0] > 1:
            raise NonFiniteWeights("The model computes NaN or infinity.")
        return by_rate(recipe, domain)

    asks, _ = by_model(MODEL_SCORES, breaking)
    result = studied("rate=0.6,0.7", "factor=1,2", grid=True, ask=asks)
    assert [trial.state for trial in result.trials] == ["complete", "failed"] * 2
    assert "NaN or infinity" in result.trials[1].why


def test_a_stopped_study_goes_on_where_it_was(tmp_path: Path) -> None:
    state, stop = tmp_path / "study.db", threading.Event()
    whole = studied("rate=0.5:0.95", trials=8, state=tmp_path / "whole.db")
    asks, exams = by_model(MODEL_SCORES, by_rate)

    def stopping(exam: Exam) -> DomainScore:
        if len(exams) >= 12:
            stop.set()
            raise Cancelled("Stopped.")
        return asks(exam)

    with pytest.raises(Cancelled):
        studied("rate=0.5:0.95", trials=8, state=state, ask=stopping, stop=stop)
    again = studied("rate=0.5:0.95", trials=8, state=state)
    assert len(again.trials) == 8
    before = [trial.values for trial in whole.trials][:3]
    assert [trial.values for trial in again.trials][:3] == before
    asks, exams = by_model(MODEL_SCORES, by_rate)
    assert studied("rate=0.5:0.95", trials=8, state=state, ask=asks) == again
    assert not [exam for exam in exams if isinstance(exam.target, MergeRecipe)]
    with pytest.raises(
        InvalidValue, match=r"\(vary rate=0.5:0.95:0.0001, now rate=0.5:0.9:0.0001\)"
    ):
        studied("rate=0.5:0.9", trials=8, state=state)
    halved = tuple(replace(model, coefficient=0.5) for model in RECIPE.models)
    with pytest.raises(InvalidValue, match="given"):
        studied("rate=0.5:0.95", trials=8, state=state, recipe=replace(RECIPE, models=halved))


def test_the_recipe_given_is_tried_first_where_the_ranges_hold_it() -> None:
    vary = ["rate=0.5:0.95", "factors=0.5:1.5", "coefficient.law", "method=dppa,ties"]
    first = studied(*vary, trials=1).trials[0]
    values = {"rate": 0.8, "factor1": 1.0, "factor2": 1.0, "coefficient.law": 1.0, "method": "dppa"}
    assert first.values == values and recipe_hash(parse_recipe(first.recipe)) == recipe_hash(RECIPE)
    knobs = parse_parameters(["rate=0.5:0.7"], RECIPE)
    assert values_of(RECIPE, knobs) == {}, "out of the range"
    uneven = replace(
        RECIPE, models=(replace(RECIPE.models[0], coefficient=0.5), *RECIPE.models[1:])
    )
    assert values_of(uneven, parse_parameters(["coefficient"], RECIPE)) == {}, "not one number"
    assert values_of(uneven, parse_parameters(["coefficient.math"], RECIPE)) == {
        "coefficient.math": 0.5
    }


def test_what_a_killed_process_was_trying_comes_first() -> None:
    options, storage = SearchOptions(vary=("rate",), objectives=("retention",)), InMemoryStorage()
    study = open_study(RECIPE, options, {}, storage, "one")
    study.ask({"rate": optuna.distributions.FloatDistribution(0, 1)})  # the recipe given
    study.ask({"rate": optuna.distributions.FloatDistribution(0, 1)})
    again = open_study(RECIPE, options, {}, storage, "one")
    rates = [again.ask().suggest_float("rate", 0, 1) for _ in range(2)]
    assert rates == [trial.params["rate"] for trial in study.trials[:2]]


def test_no_study_can_be_kept_in_a_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database, but a text that is long enough to be looked at " * 20)
    with pytest.raises(InvalidValue, match="study cannot be opened"):
        studied("rate", state=path)


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    asks, _ = by_model(MODEL_SCORES | {"zoo:base": scored(a=(0, 100))}, by_rate)
    monkeypatch.setattr(Examiner, "score", lambda self, exam: asks(exam))
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(RECIPE))
    return path


@pytest.mark.long
def test_the_command_stores_the_study_and_writes_the_winner(dppa: Command, recipe: Path) -> None:
    out = recipe.with_name("best.yaml")
    options = ("--vary", "rate=0.5:0.95", "--objective", "retention", "--objective", "density")
    assert dppa("search", recipe, "--out", out, *options, "--trials", 8, "--json") == 0
    assert len(dppa.json["trials"]) == 8 and dppa.json["front"] and not dppa.err
    best = dppa.json["best"]
    assert load_recipe(out).models[0].levels[-1] == pytest.approx(best["values"]["rate"])
    assert dppa.json["test"][0]["domain"] == "math" and out.with_name("best.study.db").exists()
    names = [baseline["name"] for baseline in dppa.json["beside"]]
    assert names == ["the recipe given", "task arithmetic at coefficient 1, not searched"]
    assert "seen" in dppa.json["beside"][0]["comparison"] and dppa.json["retention"]["ci95"]
    assert dppa("search", recipe, "--out", out, *options, "--trials", 9, "--overwrite") == 0
    assert dppa.err.count("\n") == 1 and dppa.err.startswith("9/9 rate ")


def test_a_file_says_what_is_searched_and_a_grid_is_a_table(dppa: Command, recipe: Path) -> None:
    out, space = recipe.with_name("best.yaml"), recipe.with_name("space.yaml")
    space.write_text('search: {grid: {rate: [0.6, 0.7], factor: "1:1.2:0.1"}}')
    assert dppa("search", recipe, "--out", out, "--space", space, "--test-limit", 0) == 0
    lines = dppa.out.splitlines()
    assert lines[1].split() == ["retention", "%", "by", "rate", "\\", "factor", "1", "1.1", "1.2"]
    assert lines[3].split() == ["0.7", "100", "100", "100"]


def test_a_grid_of_two_objectives_is_two_tables_and_the_test_split_has_both(
    dppa: Command, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {name: replace(s, behaviour=behaving(9, 0, None)) for name, s in MODEL_SCORES.items()}
    base = {"zoo:base": replace(scored(a=(0, 100)), behaviour=behaving(3, 0, 0.0))}
    asks, exams = by_model(own | base, shorter)
    monkeypatch.setattr(Examiner, "score", lambda self, exam: asks(exam))
    grid = ("--grid", "rate=0.6,0.7", "--grid", "factor=1,1.2")
    goals = ("--objective", "retention", "--objective", "kl")
    assert dppa("search", recipe, "--out", recipe.with_name("best.yaml"), *grid, *goals) == 0
    lines = [line.split() for line in dppa.out.splitlines()]
    assert lines[1][:2] == ["retention", "%"] and lines[4][:2] == ["kl", "by"]
    assert lines[5] == ["0.6", "0.4", "0.4"] and "4/4 rate 0.7" in dppa.err and "kl 0.3" in dppa.err
    assert ["math", "length", "3", "9", "30"] in lines and ["math", "kl", "0", "-", "0.3"] in lines
    assert all(exam.behaviour for exam in exams if exam.target == "zoo:base")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vary", "speed"], "cannot vary 'speed' here"),
        (["--grid", "rate=0.1,0.2"], "A grid has two settings, got 1"),
        (["--grid", "rate", "--grid", "factor", "--vary", "rate"], "either --vary or --grid"),
        (["--vary", "rate", "--sampler", "dice"], "sampler must be one of tpe, nsga2, random"),
        (["--vary", "rate", "--objective", "speed"], "No objective 'speed'"),
        (["--vary", "rate", "--study", "recipe.yaml"], "must be three files"),
        (["--vary", "rate", "--study", "sqlite:///x"], "--study takes a file, not the address"),
        (["--vary", "rate", "--study", "mysql+pymysql://u@h/x"], "address of a database"),
        (["--space", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["--space", "recipe.yaml"], "recipe.yaml: the key 'search' must be"),
    ],
)
def test_a_mistake_is_one_line(
    dppa: Command,
    recipe: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(recipe.parent)
    assert dppa("search", recipe, "--out", "found.yaml", *arguments) == 1
    assert message in dppa.err and dppa.err.count("\n") == 1 and not dppa.out


def test_a_recipe_of_trials_is_the_whole_recipe() -> None:
    kept = replace(RECIPE, seed=7, dtype="float32")
    assert (
        recipe_with(kept, {"rate": 0.9}).seed == 7
        and recipe_with(kept, {"rate": 0.9}).dtype == "float32"
    )


def test_several_trials_at_a_time_are_as_many() -> None:
    together, most, lock = [0], [0], threading.Lock()
    both = threading.Barrier(2)

    def ask(exam: Exam) -> DomainScore:
        if isinstance(exam.target, str):
            return MODEL_SCORES[exam.target]
        with lock:
            together[0] += 1
            most[0] = max(most[0], together[0])
        if exam.domain == "math":
            both.wait(timeout=30)  # fails unless two are asked at once
        with lock:
            together[0] -= 1
        return by_rate(exam.target, exam.domain)

    result = studied("rate=0.5:0.9", trials=8, prune=False, beside=2, ask=ask)
    assert len(result.trials) == 8 and most[0] == 2
    assert len({trial.values["rate"] for trial in result.trials}) == 8
