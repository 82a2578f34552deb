"""A search by Optuna: trials of settings, in a study that may be stored and resumed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from copy import copy
from dataclasses import dataclass
from typing import Any, cast

import optuna
from optuna.trial import Trial, TrialState

from dppa_core.errors import InvalidRecipe, NonFiniteWeights
from dppa_core.evaluation.scores import DomainScore, Exam
from dppa_core.progress import Stop, check
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe, recipe_hash
from dppa_core.system.threads import side_by_side
from dppa_core.tuning.search.climb import made_by
from dppa_core.tuning.search.open_study import STARTUP, one_line, open_study, take_up_killed
from dppa_core.tuning.search.space import SearchParameter, Value, applies, settled
from dppa_core.tuning.search.studied import (
    WHY,
    StudySettings,
    StudyState,
    StudyTrial,
    TrialOutcome,
    check_goals,
    dominates,
    is_over,
    studied,
    tried,
)
from dppa_core.tuning.search.trial import (
    SEARCH,
    Ask,
    ProfileOf,
    by_domain,
    density_of,
    domains_for,
    geometric_mean,
    remembered_profiles,
    retentions,
)

Watch = Callable[[StudyTrial], None]


def run_study(
    recipe: MergeRecipe,
    settings: StudySettings,
    ask: Ask,
    *,
    tasks: Sequence[str] | None = None,
    storage: str | optuna.storages.BaseStorage | None = None,
    name: str = "dppa",
    watch: Watch | None = None,
    earlier: Watch | None = None,
    stop: Stop | None = None,
    public: bool = False,
    beside: int = 1,
) -> StudyState:
    """Run trials until the study has `settings.trials` of them.

    A trial scores one domain after the other. With one goal, Optuna's median pruner may end it;
    with several, it ends when no score of the remaining domains could put it on the front.

    Args:
        recipe: Gives all settings that do not vary.
        settings: Parameters, goals and number of trials.
        ask: Holds exams; raises Cancelled once the search is stopped.
        tasks: The domain of each model; by default those of the embedded models.
        storage: Optuna's: a URL such as sqlite:///study.db, or an open storage; None: in memory.
        name: The study's name in the storage; an existing study is resumed.
        watch: Called with each trial that ends.
        earlier: Called with each trial of earlier runs, before the first new one.
        stop: Checked between trials; the study stays.
        public: Whether untrusted users chose the models; local folders are then refused.
        beside: Trials in parallel, one thread each. With several, the next draw depends on which
            trial ends first.

    Raises:
        InvalidValue: an unknown goal, or a study of another search.
        Cancelled: as requested; the unfinished trial is repeated next time.
    """
    each = domains_for(recipe, tasks)
    domains = tuple(dict.fromkeys(each))
    check_goals(settings.goals, domains)
    facts = study_made_by(recipe, domains, settings.limit, public=public)
    study = open_study(recipe, settings, facts, storage, name)
    take_up_killed(study)
    asked = (
        (domain, ask(Exam(model.model, domain, SEARCH, settings.limit)))
        for domain, model in zip(each, recipe.models, strict=True)
    )
    own = by_domain(asked, lambda score: score)
    if earlier:
        for one in studied(study, settings, domains).trials:
            earlier(one)
    run = _Run(recipe, settings, ask, domains, own, remembered_profiles(public=public))
    _try_all(study, run, watch, stop, beside)
    return studied(study, settings, domains)


def study_made_by(
    recipe: MergeRecipe, domains: Sequence[str], limit: int, *, public: bool = False
) -> dict[str, Any]:
    """Everything that the scores of a study depend on, beside its settings: factors and
    coefficients, too, which are constant where they do not vary."""
    return made_by(recipe, domains, limit, public=public) | {"given": recipe_hash(recipe)}


def _try_all(
    study: optuna.Study, run: _Run, watch: Watch | None, stop: Stop | None, beside: int
) -> None:
    """Run trials until there are enough, `beside` in parallel; the first error ends them all."""
    turn, going, failed = threading.Lock(), [0], threading.Event()

    def work() -> None:
        mine = copy(study)  # the same trials with this thread's own sampler
        while not failed.is_set():
            with turn:
                if _finished(study) + going[0] >= run.settings.trials:
                    return
                check(stop)
                mine.sampler = _sampler(run.settings, len(study.trials))
                trial = mine.ask()
                going[0] += 1
            well = False
            try:
                _try_one(mine, trial, run, watch)
                well = True
            finally:
                with turn:
                    going[0] -= 1
                if not well:
                    failed.set()

    tasks = [work] * min(beside, run.settings.trials)
    with closing(side_by_side(tasks, len(tasks))) as done:
        for _ in done:
            pass


def _finished(study: optuna.Study) -> int:
    return sum(map(is_over, study.get_trials(deepcopy=False)))


def _sampler(settings: StudySettings, number: int) -> optuna.samplers.BaseSampler:
    """A new sampler per trial, so that a resumed run draws the same values."""
    seed = settings.seed * 100_003 + number
    if settings.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if settings.sampler == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed, population_size=20)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=10)


@dataclass(frozen=True, slots=True)
class _Run:
    recipe: MergeRecipe
    settings: StudySettings
    ask: Ask
    domains: tuple[str, ...]
    own: Mapping[str, DomainScore]
    profile_of: ProfileOf


def _try_one(study: optuna.Study, trial: Trial, run: _Run, watch: Watch | None) -> None:
    told = False
    try:
        try:
            study.tell(trial, _scored(study, trial, run))
        except optuna.TrialPruned:
            study.tell(trial, state=TrialState.PRUNED)
        except (InvalidRecipe, NonFiniteWeights) as error:
            trial.set_user_attr(WHY, one_line(error))
            study.tell(trial, state=TrialState.FAIL)
        told = True
    finally:
        if not told:  # stopped: repeat this setting first next time
            study.tell(trial, state=TrialState.FAIL)
            if trial.params:
                study.enqueue_trial(dict(trial.params))
    if watch:
        watch(tried(study.trials[trial.number]))


def _scored(study: optuna.Study, trial: Trial, run: _Run) -> list[float]:
    values = suggested(trial, run.recipe, run.settings.knobs)
    recipe = settled(run.recipe, values)
    trial.set_user_attr("recipe", dump_recipe(recipe))
    density = density_of(recipe, run.profile_of)
    trial.set_user_attr("density", density)
    scores: dict[str, DomainScore] = {}
    kept: dict[str, float] = {}
    for step, domain in enumerate(run.domains):
        scores[domain] = run.ask(Exam(recipe, domain, SEARCH, run.settings.limit))
        kept = retentions(scores, run.own)
        trial.set_user_attr("retentions", kept)
        if step + 1 < len(run.domains) and _hopeless(study, trial, run, kept, density, step):
            raise optuna.TrialPruned
    outcome = TrialOutcome(kept, density)
    return [outcome.value(goal) for goal in run.settings.goals]


def suggested(
    trial: Trial, recipe: MergeRecipe, knobs: Sequence[SearchParameter]
) -> dict[str, Value]:
    """The sampler's values: the method first, then the parameters that apply to it."""
    values: dict[str, Value] = {}
    for knob in sorted(knobs, key=lambda knob: knob.name != "method"):
        method = str(values.get("method", recipe.method))
        if not applies(knob.name, recipe, method):
            continue
        if knob.choices:
            values[knob.name] = cast(Value, trial.suggest_categorical(knob.name, knob.choices))
        elif knob.whole:
            values[knob.name] = trial.suggest_int(knob.name, int(knob.low), int(knob.high))
        else:
            step = knob.step or None
            values[knob.name] = round(
                trial.suggest_float(knob.name, knob.low, knob.high, step=step), 10
            )
    return values


def _hopeless(
    study: optuna.Study,
    trial: Trial,
    run: _Run,
    kept: Mapping[str, float],
    density: float,
    step: int,
) -> bool:
    """Whether the scores so far rule out that the trial becomes one of the best."""
    settings = run.settings
    if not settings.prune or settings.every:
        return False
    if len(settings.goals) == 1:
        trial.report(geometric_mean(tuple(kept.values())), step)
        return bool(trial.should_prune())
    whole = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(whole) < STARTUP:
        return False
    seen = [trial.user_attrs["retentions"] for trial in whole]
    best = {d: max(1.0, *(one[d] for one in seen)) for d in run.domains}
    hoped = TrialOutcome({d: kept.get(d, best[d]) for d in run.domains}, density)
    hope = [hoped.value(goal) for goal in settings.goals]
    return any(dominates(one.values, hope, settings.goals) for one in whole)
