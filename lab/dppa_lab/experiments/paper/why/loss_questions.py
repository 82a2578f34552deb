"""The questions for losses around a domain model: on right answers, foretold and with several
factors."""

from __future__ import annotations

from dataclasses import dataclass

from dppa_core.evaluation.analysis.curvature import Curvature, curvature
from dppa_core.progress import Stop
from dppa_core.tasks import items
from dppa_core.tasks.own_items import domain_key
from dppa_lab.experiments.kept_questions import KeptQuestion
from dppa_lab.experiments.paper.why.band_curvature import BandCurvature, band_curvature
from dppa_lab.experiments.questions import named
from dppa_lab.experiments.steps import no_harness

NO_ANSWERS = no_harness("it reads right answers, and tasks of lm-evaluation-harness have none here")


@dataclass(frozen=True, slots=True)
class CurvatureQuestion(KeptQuestion[Curvature]):
    """Losses of a pruned model on search items."""

    kind = "curvature"
    result = Curvature
    domain: str
    limit: int
    """Number of search items."""
    factors: tuple[float, ...]

    def parts(self) -> tuple[object, ...]:
        return domain_key(self.domain), self.limit, self.factors

    def compute(self, stop: Stop | None) -> Curvature:
        asked_items = items(self.domain, "search", self.limit)
        return curvature(self.recipe, asked_items, self.factors, stop=stop)

    def label(self) -> str:
        return f"losses around {named(self.recipe)}: {self.domain}"


@dataclass(frozen=True, slots=True)
class BandsQuestion(KeptQuestion[BandCurvature]):
    """Losses of a model pruned into bands."""

    kind = "bands"
    result = BandCurvature
    domain: str
    split: str
    limit: int
    """Number of items."""
    settings: tuple[tuple[float, ...], ...]
    """Factors of the bands."""

    def parts(self) -> tuple[object, ...]:
        return domain_key(self.domain), self.split, self.limit, self.settings

    def compute(self, stop: Stop | None) -> BandCurvature:
        asked_items = items(self.domain, self.split, self.limit)
        return band_curvature(self.recipe, asked_items, self.settings, stop=stop)

    def label(self) -> str:
        return f"losses around {named(self.recipe)}: {self.domain}, {self.split}"
