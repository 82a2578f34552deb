"""The greedy soup: which models to average (Wortsman et al., arXiv:2203.05482, recipe 1).

Knows a score to raise, not what is scored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from dppa_core.errors import InvalidValue

Score = Fraction | float
"""Larger is better. Fractions compare exactly: a mean of shares that is rounded may seem to fall
where it is the same."""
Indices = tuple[int, ...]
"""Models by their place in the recipe, ascending."""


@dataclass(frozen=True, slots=True)
class SoupStep:
    """One model that was tried as an ingredient."""

    added: int
    mixed: Indices
    """The models whose mean was scored, this one among them."""
    score: Score
    kept: bool


@dataclass(frozen=True, slots=True)
class Soup:
    """What went into the soup, and everything tried on the way."""

    alone: tuple[Score, ...]
    """Of each model, in the order of the recipe."""
    steps: tuple[SoupStep, ...]
    """The best model first, by itself; then the others in falling order of their scores."""

    @property
    def best(self) -> SoupStep:
        """The last step that was kept: its mean is the soup."""
        return [step for step in self.steps if step.kept][-1]


def greedy_soup(score: Callable[[Indices], Score], count: int) -> Soup:
    """Average the models that do no harm together.

    Order the models by their own scores, begin with the best, and go down the list: a model stays
    if the mean of all that are in, with it, scores no less than without it. Of equal models the
    first of the recipe is tried first.

    Args:
        score: That of the mean of some models; use a held-out split, never the test. Called
            2 · count - 1 times: for each model alone, then for each further ingredient.
        count: Number of models, at least 1.

    Raises:
        InvalidValue: no model, or a score that is not finite.
    """
    if count < 1:
        raise InvalidValue(f"A soup needs at least 1 model, got {count}.")

    def rated(mixed: Indices) -> Score:
        found = score(mixed)
        if not math.isfinite(found):
            raise InvalidValue(
                f"The score of the models {list(mixed)} is {found}, which cannot be compared. "
                "Weights that are not finite are the usual cause."
            )
        return found

    alone = tuple(rated((index,)) for index in range(count))
    first, *others = sorted(range(count), key=lambda index: -alone[index])
    best = SoupStep(first, (first,), alone[first], kept=True)
    steps = [best]
    for added in others:
        mixed = tuple(sorted((*best.mixed, added)))
        found = rated(mixed)
        steps.append(SoupStep(added, mixed, found, kept=found >= best.score))
        best = steps[-1] if steps[-1].kept else best
    return Soup(alone, tuple(steps))
