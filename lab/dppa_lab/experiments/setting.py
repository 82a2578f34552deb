"""The setting of experiments: a base, its domain models, and their domains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dppa_core.errors import InvalidValue
from dppa_core.pruning.coefficients import Coefficient
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks import DOMAIN_TITLES, DOMAINS

TEST_ITEMS, SEARCH_ITEMS = 200, 64
HARNESS = "lm-eval:"
"""Prefix of a domain's name that is a task of lm-evaluation-harness."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One domain model and its domain."""

    model: str
    domain: str

    @property
    def name(self) -> str:
        """Its name in tables: the domain."""
        return self.domain.removeprefix(HARNESS)


@dataclass(frozen=True, slots=True)
class Setting:
    """A base, its domain models, and the numbers of items."""

    title: str
    base: str
    subjects: tuple[Subject, ...]
    test: int | None = TEST_ITEMS
    """Test items per domain; all if None."""
    search: int = SEARCH_ITEMS
    lm_eval_tasks: str | None = None
    """Folder of the user's task files."""
    hindrance: str = ""
    """Why it cannot run on this machine; empty if no reason is known."""
    sizes: tuple[Setting, ...] = ()
    """The same models at other sizes, smallest first."""

    def __post_init__(self) -> None:
        domains = [subject.domain for subject in self.subjects]
        if len(set(domains)) < len(domains):
            raise InvalidValue(
                f"The models have the domains {', '.join(domains)}: each needs its own domain, "
                "or its score would be counted twice."
            )

    @property
    def domains(self) -> tuple[str, ...]:
        """In the order of the models."""
        return tuple(subject.domain for subject in self.subjects)

    def items_of(self, split: str) -> int | None:
        """Number of items of a split per domain; all if None."""
        return self.search if split == "search" else self.test

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        return {
            "title": self.title,
            "base": self.base,
            "models": [
                {
                    "model": subject.model,
                    "domain": DOMAIN_TITLES.get(subject.domain, subject.domain),
                }
                for subject in self.subjects
            ],
            "test_items": self.test,
            "search_items": self.search,
        }


def embedded(test: int | None = TEST_ITEMS, search: int = SEARCH_ITEMS) -> Setting:
    """The three embedded models."""
    subjects = tuple(Subject(f"zoo:{domain}", domain) for domain in DOMAINS)
    return Setting("The embedded models", "zoo:base", subjects, test, search)


@dataclass(frozen=True, slots=True)
class Treatment:
    """The treatment of every delta: method, rate and parameters."""

    method: str
    """A method of the library that adds deltas; `dp` is dppa with one level, factor 1."""
    rate: float = 0.0
    """Share pruned, in [0, 1)."""
    parameters: tuple[tuple[str, Any], ...] = ()
    """Parameters that differ from the method's defaults."""
    seed: int = 0


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
        coefficients: One for all models, or one per model.
        levels: Levels of each model; only the treatment's rate if None.
        factors: Factors of each model, one per level; all 1 if None.
    """
    method, parameters = treatment.method, dict(treatment.parameters)
    if method == "dare":
        # For a fair comparison: by default DARE would also drop from embeddings and norms.
        parameters = {"other_tensors": "keep", **parameters}
    by_model = coefficients if isinstance(coefficients, (list, tuple)) else None
    models = tuple(
        DomainModel(
            subject.model,
            tuple(levels[place]) if levels else (treatment.rate,),
            tuple(factors[place]) if factors else (1.0,),
            by_model[place] if by_model is not None else coefficients,  # type: ignore[arg-type]
        )
        for place, subject in enumerate(subjects)
    )
    name = "dppa" if method == "dp" else method
    return MergeRecipe(setting.base, models, name, parameters, seed=treatment.seed)
