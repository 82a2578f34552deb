"""Samples by Optuna, or all cells of a grid, in a study that may be stored and resumed."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import cast

import optuna
from optuna.trial import Trial, TrialState

from dppa_core.errors import InvalidRecipe, NonFiniteWeights
from dppa_core.evaluation.scores import Behaviour, DomainScore
from dppa_core.recipes.yaml_text import dump_recipe
from dppa_core.tuning.search.options import SearchOptions
from dppa_core.tuning.search.optuna_study import (
    STARTUP_TRIALS,
    ended_trial,
    fail,
    give_up,
    has_ended,
    is_pruned,
)
from dppa_core.tuning.search.results import (
    StudyState,
    dominates,
    front_of,
    objective_values,
)
from dppa_core.tuning.search.sampler import Failure, OpenTrial, Sampler, SearchTask
from dppa_core.tuning.search.scoring import (
    by_domain,
    density_of,
    geometric_mean,
    remembered_profiles,
    retentions,
)
from dppa_core.tuning.search.space import Value, applies, recipe_with


class OptunaSampler(Sampler):
    """Draws settings until the study has enough trials.

    A trial scores one domain after the other. With one objective, Optuna's median pruner may end
    it; with several, it ends when no score of the remaining domains could put it on the front.
    """

    def __init__(self, study: optuna.Study, task: SearchTask) -> None:
        self._study, self._recipe, self._options = study, task.recipe, task.options
        self._watch = task.watch
        self._model_scores = by_domain(
            zip(task.domains, task.model_scores, strict=True), lambda score: score
        )
        self._parameters = task.options.parameters(task.recipe)
        self._profile_of = remembered_profiles(public=task.public)
        self._open: dict[int, Trial] = {}
        for trial in filter(has_ended, study.get_trials(deepcopy=False)):
            self._watch(ended_trial(trial, remembered=True))

    def ask(self) -> OpenTrial | None:
        """A trial with the values that Optuna draws; queued ones come first."""
        ended = sum(map(has_ended, self._study.get_trials(deepcopy=False)))
        if ended + len(self._open) >= self._options.trials:
            return None
        self._study.sampler = _fresh_sampler(self._options, len(self._study.trials))
        trial = self._study.ask()
        self._open[trial.number] = trial
        try:
            values = self._suggested(trial)
            recipe = recipe_with(self._recipe, values)
            trial.set_user_attr("recipe", dump_recipe(recipe))
            trial.set_user_attr("density", density_of(recipe, self._profile_of))
        except (InvalidRecipe, NonFiniteWeights) as error:
            self._end(trial, error)
            return OpenTrial(trial.number, {}, self._recipe, deque())
        return OpenTrial(trial.number, values, recipe, deque(self._model_scores), together=False)

    def _suggested(self, trial: Trial) -> dict[str, Value]:
        """The values drawn: the method first, then the parameters that apply to it."""
        values: dict[str, Value] = {}
        for parameter in sorted(self._parameters, key=lambda item: item.name != "method"):
            name, method = parameter.name, str(values.get("method", self._recipe.method))
            if not applies(name, self._recipe, method):
                continue
            if parameter.choices:
                choice = trial.suggest_categorical(name, parameter.choices)
                values[name] = cast(Value, choice)
            elif parameter.whole:
                values[name] = trial.suggest_int(name, int(parameter.low), int(parameter.high))
            else:
                step = parameter.step or None
                number = trial.suggest_float(name, parameter.low, parameter.high, step=step)
                values[name] = round(number, 10)
        return values

    def tell(self, trial: OpenTrial) -> None:
        """End a trial that failed, has no hope, or is scored on all domains."""
        drawn, scores = self._open[trial.number], dict[str, DomainScore]()
        for domain, score in trial.scores.items():
            if not isinstance(score, DomainScore):
                trial.waiting.clear()
                self._end(drawn, score)
                return
            scores[domain] = score
        shares = retentions(scores, self._model_scores)
        drawn.set_user_attr("retentions", shares)
        behaviours = [score.behaviour for score in scores.values() if score.behaviour]
        if not trial.waiting:
            density = drawn.user_attrs["density"]
            values = objective_values(self._options.objectives, shares, density, behaviours)
            self._end(drawn, values)
        elif self._is_hopeless(drawn, shares, behaviours):
            trial.waiting.clear()
            self._end(drawn, TrialState.PRUNED)

    def _is_hopeless(
        self, trial: Trial, shares: dict[str, float], behaviours: Sequence[Behaviour]
    ) -> bool:
        """Return True if the scores so far rule out that the trial becomes one of the best."""
        objectives = self._options.objectives
        if not is_pruned(self._options):
            return False
        if len(objectives) == 1:
            trial.report(geometric_mean(tuple(shares.values())), len(shares) - 1)
            return bool(trial.should_prune())
        whole = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(whole) < STARTUP_TRIALS:
            return False
        earlier = [ended.user_attrs["retentions"] for ended in whole]
        best = {
            domain: max(1.0, *(kept[domain] for kept in earlier)) for domain in self._model_scores
        }
        density = trial.user_attrs["density"]
        hope = objective_values(objectives, best | shares, density, behaviours)
        return any(dominates(ended.values, hope, objectives) for ended in whole)

    def _end(self, trial: Trial, outcome: list[float] | TrialState | Failure) -> None:
        if isinstance(outcome, list):
            self._study.tell(trial, outcome)
        elif isinstance(outcome, TrialState):
            self._study.tell(trial, state=outcome)
        else:
            fail(self._study, trial, outcome)
        del self._open[trial.number]
        self._watch(ended_trial(self._study.trials[trial.number]))

    def close(self) -> None:
        """Queue the settings of trials that were not scored: the next run begins with them."""
        for trial in self._open.values():
            give_up(self._study, trial.number, trial.params)

    def result(self) -> StudyState:
        """The study's trials, and those that no other one dominates."""
        ended = filter(has_ended, self._study.get_trials(deepcopy=False))
        trials, domains = tuple(map(ended_trial, ended)), tuple(self._model_scores)
        front = front_of(trials, self._options.objectives)
        return StudyState(self._recipe, self._options, domains, trials, front)


def _fresh_sampler(options: SearchOptions, number: int) -> optuna.samplers.BaseSampler:
    """A new sampler per trial, so that a resumed run draws the same values."""
    seed = options.seed * 100_003 + number
    if options.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if options.sampler == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed, population_size=20)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=10)
