"""The entries of the leaderboard and their recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from dppa_core.methods.registry import get_method
from dppa_core.methods.shared.contract import Method
from dppa_core.pruning.coefficients import LARGEST_COEFFICIENT
from dppa_core.pruning.partition import even_levels
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.studies.zoo.results.scores import BASE
from dppa_core.tasks import DOMAINS

RATE = 0.8
"""Pruning rate of methods that prune: a fifth of every delta stays."""
EXTRA: Mapping[str, Mapping[str, Any]] = {"darex_q": {"q": 0.2}}
"""Parameters whose default does not fit this rate: the smallest q it allows. The paper finds q on
held-out data; q divides the delta, so the searched strength covers it."""
MEANS = frozenset({"linear", "fisher", "regmean"})
"""Means of the models as in their papers: a common coefficient cancels, so there is no strength."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A method with fixed settings; only its strength varies."""

    method: Method
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that differ from the defaults."""
    factors: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Amplification by domain; empty: all 1."""
    searched: bool = True
    """Whether a strength is searched; otherwise it is 1."""

    @property
    def scale(self) -> float | None:
        """Default of the method's own scale of the merged delta; None without such a parameter."""
        found = [item.default for item in fields(self.method.parameters) if item.name == "scale"]
        return float(found[0]) if found else None  # type: ignore[arg-type]

    @property
    def most(self) -> float:
        """The largest strength a recipe allows."""
        return LARGEST_COEFFICIENT / (self.scale or 1.0)

    def by_domain(self) -> str | None:
        """The parameter that names the task to answer, for methods like EMR; else None."""
        named = [item.name for item in fields(self.method.parameters) if item.metadata.get("model")]
        return named[0] if named else None

    def recipes(self, strength: float) -> dict[str, MergeRecipe]:
        """Domain -> the merge of all three that answers it; one merge except for methods like EMR.

        Args:
            strength: Multiplies the method's own scale if it has one, since equal coefficients
                may cancel there; else it is the coefficient. Methods that prune keep a fifth.
        """
        parameters = {**EXTRA.get(self.method.name, {}), **self.changes}
        if self.scale is not None:
            parameters["scale"] = float(f"{self.scale * strength:.4g}")
        coefficient = strength if self.scale is None else 1.0
        models = tuple(
            DomainModel(f"zoo:{name}", *self._levels(name), coefficient) for name in DOMAINS
        )
        asked = self.by_domain()
        return {
            domain: MergeRecipe(
                BASE,
                models,
                method=self.method.name,
                parameters=parameters | ({asked: f"zoo:{domain}"} if asked else {}),
            )
            for domain in DOMAINS
        }

    def _levels(self, domain: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        if not self.method.prunes:
            return (0.0,), (1.0,)
        factors = self.factors.get(domain, (1.0,))
        return even_levels(RATE, len(factors)) if len(factors) > 1 else (RATE,), factors


def entry(method: Method) -> Entry:
    """A method with its paper's settings."""
    return Entry(method, searched=method.name not in MEANS)


@dataclass(frozen=True, slots=True)
class MethodVariant:
    """A method with other settings, to explain its rank."""

    entry: Entry
    what: str
    """How the settings differ, after the method's title."""
    why: str
    """The subject of the comparison: a sentence without numbers."""


VARIANTS = (
    MethodVariant(
        Entry(get_method("sce"), {"semantics": "reference"}),
        "all positions merged",
        "SCE selects a tenth of the positions of every tensor, those where the models differ most. "
        "The paper merges these alone, as here by default; the authors' program weighs the models "
        "on them and merges all positions.",
    ),
    MethodVariant(
        Entry(get_method("consensus"), {"threshold": 0.2}),
        "threshold 0.2",
        "Consensus keeps what two of three tasks want. The paper chooses the threshold of wanting "
        "on held-out data, from 0.2 to 0.6; the board takes the middle.",
    ),
    MethodVariant(
        Entry(get_method("fisher")),
        "enlarged",
        "Fisher is a mean of the models. Its delta is as small as a mean's; a scale, which the "
        "paper does not have, tells that from a wrong direction.",
    ),
    MethodVariant(
        Entry(get_method("regmean")),
        "enlarged",
        "RegMean is a mean too, weighed by what comes into every matrix.",
    ),
    MethodVariant(
        Entry(get_method("dare"), {"other_tensors": "keep"}),
        "embeddings and norms whole",
        "DARE, as its paper has it, also drops from embeddings and norms, where most other methods "
        "that prune keep the whole delta.",
    ),
    MethodVariant(
        Entry(get_method("breadcrumbs"), {"drop_smallest": RATE}),
        "a fifth kept",
        "Model Breadcrumbs drops 90 % as published, more than the methods that prune here.",
    ),
    MethodVariant(
        Entry(get_method("pcb"), {"density": round(1 - RATE, 9)}),
        "a fifth kept",
        "PCB-Merging keeps a tenth as published, of the whole model and not of each tensor.",
    ),
)
