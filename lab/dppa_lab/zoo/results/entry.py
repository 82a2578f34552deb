"""Merges whose numbers are chosen: methods with fixed settings, and those of the leaderboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dppa_core.checkpoints.sources.references import KeptDelta, kept_reference
from dppa_core.checkpoints.sources.zoo import zoo_domain
from dppa_core.forms.store import Store, parse_store_text
from dppa_core.methods.registry import get_method
from dppa_core.methods.shared.contract import Method
from dppa_core.pruning.partition import even_levels
from dppa_core.recipes.calibration import Calibration
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks import DOMAINS
from dppa_core.tuning.search.axes import Point, SearchAxis, at_point, axes_of

RATE = 0.8
"""Pruning rate of methods that prune: a fifth of every delta stays."""
EXTRA: Mapping[str, Mapping[str, Any]] = {"darex_q": {"q": 0.2}}
"""Parameters whose default does not fit this rate: the smallest q it allows. The paper finds q on
held-out data; q divides the delta, so the searched coefficient covers it."""
EMBEDDED = {name: f"zoo:{name}" for name in ("base", *DOMAINS)}
DRAWN = ("dare", "dare_ties", "darex_q", "della", "della_linear")
"""Methods that drop at random, with the recipe's seed."""
MEANS = frozenset({"linear", "fisher", "regmean", "multislerp", "karcher"})
"""Means of the models as in their papers: a common coefficient cancels, so nothing is chosen."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A method with fixed settings; only the numbers of its axes vary."""

    method: Method
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that differ from the defaults."""
    partitions: int = 1
    """Number of bands with a factor each, if the method prunes."""
    searched: bool = True
    """True if anything is chosen on the search split."""
    rate: float = RATE
    """Pruning rate, if the method prunes."""
    references: Mapping[str, str] = field(default_factory=lambda: EMBEDDED)
    """base and every domain -> the reference of its model."""
    domains: Sequence[str] = DOMAINS
    """The models merged, each scored on its own domain."""

    def axes(self) -> tuple[SearchAxis, ...]:
        """The numbers that a joint search chooses: see `axes_of`."""
        return axes_of(self._recipe(self.domains[0])) if self.searched else ()

    def recipes(self, point: Point = ()) -> dict[str, MergeRecipe]:
        """Domain -> the merge that answers it; the same for all except for methods like EMR.

        Args:
            point: Values of the axes; by default factors and coefficients of 1, and the method's
                own defaults.
        """
        axes = self.axes() if point else ()
        return {domain: at_point(self._recipe(domain), axes, point) for domain in self.domains}

    def _recipe(self, domain: str) -> MergeRecipe:
        parameters = {**EXTRA.get(self.method.name, {}), **self.changes}
        if task := next(iter(self.method.named_models), None):  # names the task to answer, as EMR
            parameters[task] = self.references[domain]
        levels = even_levels(self.rate, self.partitions) if self.method.prunes else (0.0,)
        models = tuple(self._model(name, levels) for name in self.domains)
        return MergeRecipe(
            self.references["base"], models, method=self.method.name, parameters=parameters
        )

    def _model(self, domain: str, levels: tuple[float, ...]) -> DomainModel:
        """A domain model; if its statistics are needed, measured on questions of its domain."""
        reference, combination = self.references[domain], self.method.combination
        needs = combination is not None and combination.statistics and not zoo_domain(reference)
        text = Calibration((domain,)) if needs else None  # embedded models have one of their own
        return DomainModel(reference, levels, calibration=text)


def entry(method: Method) -> Entry:
    """A method with its paper's settings; DPPA has two partitions."""
    partitions = 2 if method.name == "dppa" else 1
    return Entry(method, partitions=partitions, searched=method.name not in MEANS)


@dataclass(frozen=True, slots=True)
class MethodVariant:
    """A method with other settings, to explain its rank."""

    entry: Entry
    difference: str
    """How the settings differ, after the method's title."""


def _changed(name: str, **changes: Any) -> Entry:
    """A method with other settings, searched."""
    return replace(entry(get_method(name)), changes=changes, searched=True)


STORES = tuple(
    map(parse_store_text, ("sparse(rate=0.9)", "drawn(rate=0.9)", "low_rank(rank=16)", "bits()"))
)
"""Forms in which the board keeps each model before it adds them."""


def _kept_as(store: Store) -> MethodVariant:
    """Task arithmetic of models that are kept in a form."""
    base = EMBEDDED["base"]
    models = {name: kept_reference(KeptDelta(str(store), EMBEDDED[name], base)) for name in DOMAINS}
    whole = entry(get_method("task_arithmetic"))
    return MethodVariant(replace(whole, references=EMBEDDED | models), f"each as {store.title()}")


VARIANTS = (
    MethodVariant(_changed("dppa", scaling="mean"), "shifts by effect size"),
    MethodVariant(_changed("dppa", semantics="authors"), "as the authors' program"),
    MethodVariant(_changed("sce", semantics="reference"), "all positions merged"),
    MethodVariant(_changed("consensus", threshold=0.2), "threshold 0.2"),
    MethodVariant(_changed("fisher"), "enlarged"),
    MethodVariant(_changed("regmean"), "enlarged"),
    MethodVariant(_changed("dare", other_tensors="keep"), "embeddings and norms whole"),
    MethodVariant(_changed("breadcrumbs", drop_smallest=RATE), "a fifth kept"),
    MethodVariant(_changed("pcb", density=round(1 - RATE, 9)), "a fifth kept"),
    *map(_kept_as, STORES),
)
