"""Trials and results of a search: what all ways have in common, and the state of a study."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dppa_core.errors import InvalidValue, many
from dppa_core.evaluation.scores import Behaviour
from dppa_core.recipes.yaml_text import MergeRecipe, parse_recipe
from dppa_core.system.frames import frame_of
from dppa_core.tuning.search.options import (
    BEHAVIOURS,
    DENSITY,
    LOWER,
    RETENTION,
    WORST,
    SearchOptions,
)
from dppa_core.tuning.search.scoring import geometric_mean
from dppa_core.tuning.search.space import SearchParameter, Value, value_text


@dataclass(frozen=True, slots=True)
class SearchTrial:
    """One setting with its scores on the search items."""

    number: int
    """From 0; a climb counts each model's trials by themselves."""
    values: Mapping[str, Value]
    """By the names of what varies; empty for a recipe as given that these names cannot express."""
    recipe: str
    """As YAML; empty if the values contradict each other."""
    goals: tuple[float, ...] = ()
    """Values of the objectives, in the order of the options; empty unless complete. Of a climb the
    score; of a joint search the mean retention."""
    retentions: Mapping[str, float] = field(default_factory=dict)
    """Domain -> accuracy ÷ the domain model's own, of the domains scored so far."""
    state: str = "complete"
    """complete, pruned or failed."""
    loss: float | None = None
    """Of a joint search: `balanced_loss` of the domains, in nats per token; None for weights that
    overflow."""
    density: float = 0.0
    """Of a study: share of the deltas that is kept."""
    why: str = ""
    """The error of a failed trial."""
    model: str = ""
    """Of a climb: the reference of the model that was scored alone."""
    remembered: bool = field(default=False, compare=False)
    """True if an earlier run had scored it."""

    @property
    def retention(self) -> float:
        """Mean over the domains; 0 if none was scored."""
        shares = self.retentions.values()
        return sum(shares) / len(shares) if shares else 0.0

    @property
    def amplification(self) -> tuple[float, ...]:
        """Of a climb: the factors of the model."""
        return tuple(float(value) for value in self.values.values())


Watch = Callable[[SearchTrial], None]
"""Called with each trial that ends, by one thread at a time."""


@dataclass(frozen=True, slots=True)
class SearchResult(ABC):
    """All trials of a search, and the recipe that it found."""

    given: MergeRecipe
    options: SearchOptions
    domains: tuple[str, ...]
    """One per model of a climb; otherwise each one once."""
    trials: tuple[SearchTrial, ...]

    @property
    @abstractmethod
    def recipe(self) -> MergeRecipe:
        """The given recipe with the best settings."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy; the key `way` names the kind of search."""

    @abstractmethod
    def rows(self) -> Iterator[dict[str, Any]]:
        """A row of `to_frame` for each trial."""

    def to_frame(self) -> Any:
        """A pandas DataFrame, a line a trial; shares are of 1. Raises InvalidValue without
        pandas."""
        return frame_of(self.rows())


def objective_values(
    objectives: Sequence[str],
    retentions: Mapping[str, float],
    density: float,
    behaviours: Sequence[Behaviour] = (),
) -> list[float]:
    """The values of objectives.

    Args:
        retentions: Domain -> accuracy ÷ the domain model's own.
        density: Share of the deltas that is kept.
        behaviours: Of the domains; of those that are missing 0, the best, is assumed.

    Raises:
        InvalidValue: a divergence is an objective, and the merge has other tokens than its base.
    """
    shares = tuple(retentions.values())
    means = {DENSITY: density, WORST: min(shares), RETENTION: geometric_mean(shares)}
    for name in set(objectives) & set(BEHAVIOURS):
        intervals = [getattr(behaviour, name) for behaviour in behaviours]
        if None in intervals:
            raise InvalidValue(
                f"objective {name}: the merge has other tokens than its base. A vocabulary of the "
                "recipe is the usual cause; leave it or the objective out."
            )
        means[name] = sum(interval.value for interval in intervals) / len(shares)
    return [
        means[name] if name in means else retentions[name.partition(".")[2]] for name in objectives
    ]


def dominates(better: Sequence[float], worse: Sequence[float], objectives: Sequence[str]) -> bool:
    """Return True if one outcome is at least as good in every objective and better in one."""
    signs = [-1 if name in LOWER else 1 for name in objectives]
    gains = [sign * (a - b) for sign, a, b in zip(signs, better, worse, strict=True)]
    return all(gain >= 0 for gain in gains) and any(gain > 0 for gain in gains)


def front_of(trials: Sequence[SearchTrial], objectives: Sequence[str]) -> tuple[int, ...]:
    """Numbers of the complete trials that no other one dominates."""
    complete = [trial for trial in trials if trial.state == "complete"]
    return tuple(
        trial.number
        for trial in complete
        if not any(dominates(rival.goals, trial.goals, objectives) for rival in complete)
    )


@dataclass(frozen=True, slots=True)
class StudyState(SearchResult):
    """The state of a study."""

    front: tuple[int, ...]
    """Numbers of the trials that no other trial dominates."""

    def __repr__(self) -> str:
        best = "none was scored on all domains"
        if self.front:
            values = ", ".join(f"{name} {value_text(v)}" for name, v in self.best.values.items())
            goals = zip(self.options.objectives, self.best.goals, strict=True)
            best = f"best: {values}; " + ", ".join(f"{goal} {value:.4g}" for goal, value in goals)
        return f"StudyState({many(len(self.trials), 'setting')} tried; {best})"

    @property
    def parameters(self) -> tuple[SearchParameter, ...]:
        """The parameters that vary."""
        return self.options.parameters(self.given)

    @property
    def best(self) -> SearchTrial:
        """The best by the first objective; of equals the first. InvalidValue without a complete
        trial."""
        if not self.front:
            raise InvalidValue(
                "No trial was scored on all domains, so there is no best one. "
                + next((t.why for t in self.trials if t.why), "Try more of them (--trials).")
            )
        front = [trial for trial in self.trials if trial.number in self.front]
        return max(front, key=lambda trial: (trial.goals[0], -trial.number))

    @property
    def recipe(self) -> MergeRecipe:
        """The recipe of the best trial."""
        return parse_recipe(self.best.recipe)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        return {
            "way": self.options.way,
            "items": self.options.limit,
            "domains": list(self.domains),
            "vary": [parameter.text() for parameter in self.parameters],
            "objectives": list(self.options.objectives),
            "trials": list(map(study_trial_json, self.trials)),
            "front": list(self.front),
            "best": study_trial_json(self.best) if self.front else None,
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """Values, goals, and retentions as shares of 1."""
        for trial in self.trials:
            row = {"trial": trial.number, **trial.values, "state": trial.state}
            row |= dict(zip(self.options.objectives, trial.goals, strict=False))
            row |= {f"retention_{domain}": share for domain, share in trial.retentions.items()}
            yield row | {"front": trial.number in self.front}


def study_trial_json(trial: SearchTrial) -> dict[str, Any]:
    """A JSON-ready copy of a trial, without the recipe."""
    names = ("number", "values", "state", "goals", "retentions", "density", "why")
    return {name: getattr(trial, name) for name in names}
