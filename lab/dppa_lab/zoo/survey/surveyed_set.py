"""Measures each delta of a set alone, at several rates; what was measured before is cached.

How much of pruning's loss is that a delta becomes shorter: what magnitude pruning keeps of d holds
a share E of the sum of d². Along d it is E · d; the rest stands at a right angle. So the same delta
is measured shrunk and whole. Amplification makes up for shrinking (lab/docs/survey.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.evaluation.scores import Target
from dppa_core.methods.registry import get_method
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.coefficients import Coefficient, PartCoefficient
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.plan import kept_energy
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks import DOMAINS
from dppa_core.tuning.advice.gather_facts import profile_facts
from dppa_core.tuning.search.joint import JOINT_ITEMS
from dppa_lab.zoo.results.choosing import choose
from dppa_lab.zoo.results.entry import EMBEDDED, Entry
from dppa_lab.zoo.results.merge_examiner import MergeExaminer
from dppa_lab.zoo.results.retained import bits
from dppa_lab.zoo.survey.deltas import PRUNED, RATES
from dppa_lab.zoo.trained_set import trained_set

SEARCHED_AT = (0.9, 0.95)
"""Rates at which every method's numbers are searched by default."""
SHRUNK = (0.0, 0.2, 0.35, 0.5, 0.65, 0.8)
"""Factors by which the modules' deltas are shrunk, with nothing dropped."""
FACTORS = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
"""Factors on what magnitude pruning keeps, with which the loss of right answers is measured."""
MOST_LOSS_ITEMS = 60
"""Search items whose loss is measured; every one is read 11 times at a rate."""
BANDS = {"magnitude": 1, "dppa": 2, "dare": 1}
"""Method -> number of factors."""
SHIPPED = "zoo"
"""Stands for the embedded models where a folder is expected."""


def survey_set(
    folder: Path,
    *,
    limit: int | None = None,
    search_items: int = JOINT_ITEMS,
    searched_at: Sequence[float] = SEARCHED_AT,
    scale: float = 1.0,
    say: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """A JSON-ready record for each domain model of a set, each pruned alone.

    Rates count the entries of the modules; embeddings and norms stay whole.

    Args:
        folder: A set that `dppa zoo train` made, or `zoo` for the embedded models.
        limit: Test items per domain; all if None.
        search_items: Search items per domain, on which the numbers of a method are chosen.
        searched_at: Rates at which they are chosen, which takes most of a survey's time.
        scale: The models surveyed are base + scale · delta, above 0; other than 1 is not searched.

    Raises:
        MissingCheckpoint: a model of the set is not there.
    """
    references: Mapping[str, str] = EMBEDDED
    about: dict[str, Any] = {"size": "embedded", "regime": "settled", "seed": 0}
    if str(folder) != SHIPPED:
        models = trained_set(folder)
        references, about = models.references, dict(models.record)
    about["base"] = open_checkpoint(references["base"]).content_hash()
    if scale != 1:
        about["scale"], searched_at = scale, ()
    examiner, records = MergeExaminer(limit, search_items), []
    for domain in (name for name in DOMAINS if name in references):
        delta = _Delta(references, domain, examiner, scale)
        records.append({"set": about, "search_items": search_items, **delta.record(searched_at)})
        say(f"{folder.name}: {domain}")
    return records


def entry_alone(method: str, rate: float, references: Mapping[str, str], domain: str) -> Entry:
    """One model pruned by a method; what is no module stays whole."""
    return Entry(
        get_method(method),
        {"other_tensors": "keep"},
        BANDS[method],
        rate=rate,
        references=references,
        domains=(domain,),
    )


def shrunk_coefficient(factor: float, profile: DeltaProfile, scale: float = 1.0) -> Coefficient:
    """A coefficient for scale · delta, the modules' part also multiplied by a factor."""
    words = [delta.module.tensor.split(".") for delta in profile.modules]
    # What stands after the layer's number, as self_attn.q_proj: a bias of it is shrunk, too.
    parts = {".".join(name[[*map(str.isdigit, name)].index(True) + 1 : -1]) for name in words}
    inside = (PartCoefficient(part, scale * factor) for part in sorted(parts))
    return (*inside, PartCoefficient(None, scale))


@dataclass(frozen=True, slots=True)
class _Delta:
    """The scaled delta of one domain model."""

    references: Mapping[str, str]
    domain: str
    examiner: MergeExaminer
    scale: float

    def record(self, searched_at: Sequence[float]) -> dict[str, Any]:
        """All that is measured of it."""
        profile = cached_profile(self.references["base"], self.references[self.domain])
        places = [
            {"rate": rate, "energy": kept_energy(profile, rate), **self._at(rate)} for rate in RATES
        ]
        for place in places:
            if place["rate"] in searched_at:
                place["searched"] = self._searched(place["rate"])
        facts = profile_facts(profile)
        return {
            "domain": self.domain,
            "change": self.scale * facts.relative_change,
            "significance": list(facts.significance),
            "own": self._whole(1.0, profile),
            "shrunk": {f"{factor:g}": self._whole(factor, profile) for factor in SHRUNK},
            "places": places,
        }

    def _hits(self, target: Target) -> str:
        return bits(self.examiner.hits(target, self.domain, "test"))

    def _entry(self, method: str, rate: float) -> Entry:
        return entry_alone(method, rate, self.references, self.domain)

    def _whole(self, factor: float, profile: DeltaProfile) -> str:
        """Hits with nothing dropped, the modules' part times a factor."""
        reference, scale = self.references[self.domain], self.scale
        if scale == factor == 1:
            return self._hits(reference)
        coefficient = scale if factor == 1 else shrunk_coefficient(factor, profile, scale)
        model = DomainModel(reference, coefficient=coefficient)
        return self._hits(MergeRecipe(self.references["base"], (model,), method="task_arithmetic"))

    def _at(self, rate: float) -> dict[str, Any]:
        """Hits with nothing chosen; and losses, unless the delta is scaled."""
        recipes = {name: self._entry(name, rate).recipes()[self.domain] for name in PRUNED}
        measured: dict[str, Any] = {"pruned": {}}
        for method, recipe in recipes.items():
            models = tuple(replace(model, coefficient=self.scale) for model in recipe.models)
            measured["pruned"][method] = self._hits(replace(recipe, models=models))
        if self.scale == 1:
            measured["loss"] = self._loss(recipes["magnitude"])
        return measured

    def _searched(self, rate: float) -> dict[str, Any]:
        """Method -> the values that a search chooses, and the hits with them."""
        searched = {}
        for method in BANDS:
            entry = self._entry(method, rate)
            choice = choose(entry, self.examiner)
            hits = self._hits(entry.recipes(choice.point)[self.domain])
            searched[method] = {"values": dict(choice.values), "hits": hits}
        return searched

    def _loss(self, pruned: MergeRecipe) -> dict[str, Any]:
        """Mean loss of right answers in nats per token: of the model itself, of the pruned one as
        foretold near it, and as measured with each of `FACTORS`; and the foretold best factor."""
        items = min(self.examiner.search_items, MOST_LOSS_ITEMS)
        measured = replace(self.examiner, search_items=items).curvature(
            pruned, self.domain, FACTORS
        )
        return {
            "own": measured.quadratic.loss,
            "foretold": measured.quadratic.at(1.0),
            "best_factor": measured.quadratic.best_factor,
            "measured": dict(zip(map("{:g}".format, FACTORS), measured.losses, strict=True)),
        }
