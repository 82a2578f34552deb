"""What the experiments are run on: a base, its domain models, and what each is asked.

Knows references and domains; opens no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dppa_core.errors import InvalidValue
from dppa_core.pruning.coefficients import Coefficient
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks import DOMAINS

TEST_ITEMS, SEARCH_ITEMS = 200, 64
HARNESS = "lm-eval:"
"""What the name of a domain begins with that is a task of lm-evaluation-harness."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One domain model, and the domain whose items it is asked."""

    model: str
    domain: str

    @property
    def name(self) -> str:
        """As tables call it: its domain."""
        return self.domain.removeprefix(HARNESS)


@dataclass(frozen=True, slots=True)
class Setting:
    """A base, its domain models, and how much is asked."""

    title: str
    base: str
    subjects: tuple[Subject, ...]
    test: int | None = TEST_ITEMS
    """Test items a domain; all of them where None."""
    search: int = SEARCH_ITEMS
    """Search items a domain."""
    lm_eval_tasks: str | None = None
    """Folder of task files of one's own."""
    hindrance: str = ""
    """Why nothing can be run on it here; empty where that is not known."""
    sizes: tuple[Setting, ...] = ()
    """The same models at other sizes, smallest first."""

    def __post_init__(self) -> None:
        domains = [one.domain for one in self.subjects]
        if len(set(domains)) < len(domains):
            raise InvalidValue(
                f"The models are asked about {', '.join(domains)}: each needs a domain of its own, "
                "or its score would be counted twice."
            )

    @property
    def domains(self) -> tuple[str, ...]:
        """In the order of the models."""
        return tuple(one.domain for one in self.subjects)

    def items_of(self, split: str) -> int | None:
        """How many of a split, a domain; all of them where None."""
        return self.search if split == "search" else self.test

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        return {
            "title": self.title,
            "base": self.base,
            "models": [{"model": one.model, "domain": one.domain} for one in self.subjects],
            "test_items": self.test,
            "search_items": self.search,
        }


def embedded(test: int | None = TEST_ITEMS, search: int = SEARCH_ITEMS) -> Setting:
    """The three embedded models."""
    subjects = tuple(Subject(f"zoo:{domain}", domain) for domain in DOMAINS)
    return Setting("The embedded models", "zoo:base", subjects, test, search)


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is done to every delta."""

    method: str
    """A method of the library that adds deltas; `dp` is dppa with one level, factor 1."""
    rate: float = 0.0
    """Share pruned, in [0, 1)."""
    parameters: tuple[tuple[str, Any], ...] = ()
    """Beside the method's defaults."""
    seed: int = 0
    """Of what is drawn at random."""


def merged(
    setting: Setting,
    subjects: Sequence[Subject],
    treatment: Treatment,
    *,
    coefficients: Sequence[Coefficient] | Coefficient = 1.0,
    levels: Sequence[Sequence[float]] | None = None,
    factors: Sequence[Sequence[float]] | None = None,
) -> MergeRecipe:
    """The recipe of a merge of some of the models; of one model, its treated delta on the base.

    Args:
        coefficients: One for all, or one for each.
        levels: Of each model; the treatment's rate alone where None.
        factors: Of each model, one for each level; ones where None.
    """
    method, parameters = treatment.method, dict(treatment.parameters)
    if method == "dare":
        # Like for like: DARE's own default would also drop from embeddings and norms.
        parameters = {"other_tensors": "keep", **parameters}
    each = coefficients if isinstance(coefficients, (list, tuple)) else None
    models = tuple(
        DomainModel(
            one.model,
            tuple(levels[place]) if levels else (treatment.rate,),
            tuple(factors[place]) if factors else (1.0,),
            each[place] if each is not None else coefficients,  # type: ignore[arg-type]
        )
        for place, one in enumerate(subjects)
    )
    name = "dppa" if method == "dp" else method
    return MergeRecipe(setting.base, models, name, parameters, seed=treatment.seed)
