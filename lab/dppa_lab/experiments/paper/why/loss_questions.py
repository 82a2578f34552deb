"""The questions for losses around a domain model."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter

from dppa_core.evaluation.analysis.curvature import Curvature, curvature
from dppa_core.models.devices import places_of_moved
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.tasks import items
from dppa_core.tasks.own_items import domain_key
from dppa_lab.analysis.band_curvature import BandCurvature, band_curvature
from dppa_lab.experiments.kept_answers import computed, keep
from dppa_lab.experiments.questions import ExperimentExaminer, digest, identity_of, named


@dataclass(frozen=True, slots=True)
class CurvatureQuestion:
    """Losses of a pruned model on right answers, foretold and with several factors."""

    recipe: MergeRecipe
    domain: str
    limit: int
    """Number of search items."""
    factors: tuple[float, ...]

    def key(self, place: tuple[str, ...] = ()) -> str:
        """Key of weights, recipe, libraries, domain, number of items and factors."""
        asked = domain_key(self.domain), self.limit, self.factors
        return digest("curvature", identity_of(self.recipe, place), *asked)

    def cached(self, examiner: ExperimentExaminer) -> Curvature | None:
        """From the experiments' own cache."""
        result = computed(self.recipe, self.key)
        return None if result is None else TypeAdapter(Curvature).validate_json(result)

    def answer(self, examiner: ExperimentExaminer) -> Curvature:
        """Read the right answers at every point."""
        asked = items(self.domain, "search", self.limit)
        with places_of_moved() as places:
            result = curvature(self.recipe, asked, self.factors, stop=examiner.stop)
        keep(places, self.key, json.dumps(asdict(result)))
        return result

    def label(self) -> str:
        """Method, rate, domain."""
        return f"losses around {named(self.recipe)}: {self.domain}"


@dataclass(frozen=True, slots=True)
class BandsQuestion:
    """Losses of a model pruned into bands on right answers, foretold and with several factors."""

    recipe: MergeRecipe
    domain: str
    split: str
    limit: int
    """Number of items."""
    settings: tuple[tuple[float, ...], ...]
    """Factors of the bands."""

    def key(self, place: tuple[str, ...] = ()) -> str:
        """Key of weights, recipe, libraries, domain, items and factors."""
        asked = domain_key(self.domain), self.split, self.limit, self.settings
        return digest("bands", identity_of(self.recipe, place), *asked)

    def cached(self, examiner: ExperimentExaminer) -> BandCurvature | None:
        """From the experiments' own cache."""
        result = computed(self.recipe, self.key)
        return None if result is None else TypeAdapter(BandCurvature).validate_json(result)

    def answer(self, examiner: ExperimentExaminer) -> BandCurvature:
        """Read the right answers at every point."""
        asked = items(self.domain, self.split, self.limit)
        with places_of_moved() as places:
            result = band_curvature(self.recipe, asked, self.settings, stop=examiner.stop)
        keep(places, self.key, json.dumps(asdict(result)))
        return result

    def label(self) -> str:
        """Method, rate, domain."""
        return f"losses around {named(self.recipe)}: {self.domain}, {self.split}"
