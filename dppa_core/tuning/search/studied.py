"""The state of an Optuna study as plain values: settings, goals, trials, Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from dppa_core.errors import InvalidValue, did_you_mean, many
from dppa_core.recipes.yaml_text import MergeRecipe, parse_recipe
from dppa_core.system.frames import frame_of
from dppa_core.tuning.search.space import TRIALS, SearchParameter, Value, written
from dppa_core.tuning.search.trial import ITEMS, geometric_mean

RETENTION, WORST, DENSITY = "retention", "worst", "density"


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """The scores of one setting."""

    retentions: Mapping[str, float]
    """Domain -> accuracy ÷ the domain model's own."""
    density: float
    """Share of the deltas that is kept."""

    def value(self, goal: str) -> float:
        """The value of a goal, by its name."""
        if goal == DENSITY:
            return self.density
        if goal == WORST:
            return min(self.retentions.values())
        if goal == RETENTION:
            return geometric_mean(tuple(self.retentions.values()))
        return self.retentions[goal.partition(".")[2]]


def check_goals(goals: Sequence[str], domains: Sequence[str]) -> None:
    """Raise InvalidValue for no goal, an unknown one or one twice, and for density first."""
    known = (RETENTION, WORST, DENSITY, *(f"{RETENTION}.{domain}" for domain in domains))
    for goal in goals:
        if goal not in known:
            raise InvalidValue(f"No objective {goal!r}. {did_you_mean(goal, known)}")
    if not goals or len(set(goals)) < len(goals):
        raise InvalidValue("Name each objective once, and at least one: retention, density, …")
    if goals[0] == DENSITY:
        raise InvalidValue(
            "density cannot be the first objective: keeping nothing would be best. Name "
            "retention before it."
        )


def direction(goal: str) -> Literal["minimize", "maximize"]:
    """The direction in which a goal improves, in Optuna's words."""
    return "minimize" if goal == DENSITY else "maximize"


def dominates(one: Sequence[float], other: Sequence[float], goals: Sequence[str]) -> bool:
    """Whether one outcome is at least as good in every goal and better in one."""
    signs = [-1 if goal == DENSITY else 1 for goal in goals]
    gains = [sign * (a - b) for sign, a, b in zip(signs, one, other, strict=True)]
    return all(gain >= 0 for gain in gains) and any(gain > 0 for gain in gains)


SAMPLERS = ("tpe", "nsga2", "random")
WHY = "why"
"""The attribute that holds a failed trial's error; stopped trials have none."""


@dataclass(frozen=True, slots=True)
class StudySettings:
    """Settings of a study."""

    knobs: tuple[SearchParameter, ...]
    goals: tuple[str, ...] = ("retention",)
    trials: int = TRIALS
    """In total, including those of earlier runs."""
    limit: int = ITEMS
    seed: int = 0
    sampler: str = "tpe"
    prune: bool = True
    """Whether hopeless trials end before all domains are scored."""
    every: bool = False
    """Whether to try every pair of values of two parameters: a grid, without pruned trials."""


@dataclass(frozen=True, slots=True)
class StudyTrial:
    """One trial of a study."""

    number: int
    values: Mapping[str, Value]
    state: str
    """complete, pruned or failed."""
    goals: tuple[float, ...]
    """Values of the goals, in the order of the settings; empty unless complete."""
    retentions: Mapping[str, float]
    """Of the domains scored so far."""
    density: float
    recipe: str
    why: str = ""
    """The error of a failed trial."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy, without the recipe."""
        names = ("number", "values", "state", "goals", "retentions", "density", "why")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class StudyState:
    """The state of a study."""

    settings: StudySettings
    domains: tuple[str, ...]
    trials: tuple[StudyTrial, ...]
    front: tuple[int, ...]
    """Numbers of the trials that no other trial dominates."""

    def __repr__(self) -> str:
        best = "none was scored on all domains"
        if self.front:
            values = ", ".join(f"{name} {written(v)}" for name, v in self.best.values.items())
            goals = zip(self.settings.goals, self.best.goals, strict=True)
            best = f"best: {values}; " + ", ".join(f"{goal} {value:.4g}" for goal, value in goals)
        return f"StudyState({many(len(self.trials), 'setting')} tried; {best})"

    @property
    def best(self) -> StudyTrial:
        """The best by the first goal; of equals the first. InvalidValue without a whole trial."""
        whole = [one for one in self.trials if one.number in self.front]
        if not whole:
            raise InvalidValue(
                "No trial was scored on all domains, so there is no best one. "
                + next((one.why for one in self.trials if one.why), "Try more of them (--trials).")
            )
        return max(whole, key=lambda one: (one.goals[0], -one.number))

    @property
    def recipe(self) -> MergeRecipe:
        """The recipe of the best trial."""
        return parse_recipe(self.best.recipe)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        return {
            "way": "grid" if self.settings.every else "optuna",
            "items": self.settings.limit,
            "domains": list(self.domains),
            "vary": [knob.told() for knob in self.settings.knobs],
            "objectives": list(self.settings.goals),
            "trials": [one.to_json() for one in self.trials],
            "front": list(self.front),
            "best": self.best.to_json() if self.front else None,
        }

    def to_frame(self) -> Any:
        """A pandas DataFrame, a line a trial: its values, goals, and retentions as shares of 1.
        Raises InvalidValue without pandas."""
        return frame_of(
            {"trial": one.number, **one.values, "state": one.state}
            | dict(zip(self.settings.goals, one.goals, strict=False))
            | {f"retention_{domain}": share for domain, share in one.retentions.items()}
            | {"front": one.number in self.front}
            for one in self.trials
        )


def studied(study: optuna.Study, settings: StudySettings, domains: tuple[str, ...]) -> StudyState:
    """The state of an Optuna study in plain values."""
    trials = tuple(tried(trial) for trial in study.get_trials(deepcopy=False) if is_over(trial))
    whole = [one for one in trials if one.state == "complete"]
    front = [
        one.number
        for one in whole
        if not any(dominates(other.goals, one.goals, settings.goals) for other in whole)
    ]
    return StudyState(settings, domains, trials, tuple(front))


def is_over(trial: FrozenTrial) -> bool:
    """Whether a trial ended by itself, not by a stop."""
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or WHY in trial.user_attrs


def tried(trial: FrozenTrial) -> StudyTrial:
    """An Optuna trial in plain values."""
    states = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}
    about = trial.user_attrs
    return StudyTrial(
        trial.number,
        dict(trial.params),
        states.get(trial.state, "failed"),
        tuple(trial.values) if trial.state == TrialState.COMPLETE else (),
        dict(about.get("retentions", {})),
        float(about.get("density", 0.0)),
        str(about.get("recipe", "")),
        str(about.get(WHY, "")),
    )
