"""Costs of bands, foretold: against hand numbers and real merges."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dppa_core.evaluation.analysis.curvature import curvature
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_lab.experiments.paper.why.band_curvature import band_curvature, best_factors
from tests.evaluation.test_curvature import FACTORS, ITEMS, loss_of

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def recipe(tiny_zoo: Path) -> MergeRecipe:
    models = (DomainModel(str(tiny_zoo / "math"), (0.7,)),)
    return MergeRecipe(str(tiny_zoo / "base"), models, "magnitude", dtype="float32")


def test_bands_have_the_factors_of_the_normal_equations() -> None:
    apart = np.array([[4.0, 0.0, 2.0], [0.0, 1.0, 2.0], [2.0, 2.0, 9.0]])
    assert best_factors(apart, (0.0, 0.0)) == pytest.approx([1.5, 3.0]), "2 / 4 and 2 / 1 more"
    assert best_factors(apart, (2.0, 0.0)) == pytest.approx([1.0, 3.0]), "a slope takes it back"
    nothing = np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 2.0], [0.0, 2.0, 9.0]])
    assert best_factors(nothing, (0.0, 0.0)) == pytest.approx([1.0, 3.0]), "an empty band"


def test_losses_of_bands_are_those_of_merges_by_question(recipe: MergeRecipe) -> None:
    settings = ((1.0, 1.0), (1.0, 2.0))
    model = replace(recipe.models[0], levels=(0.85, 0.7), amplification=(1.0, 1.0))
    found = band_curvature(replace(recipe, models=(model,)), ITEMS, settings)
    merges = [
        replace(recipe, models=(replace(model, amplification=factors),)) for factors in settings
    ]
    assert [found.loss(0), found.loss(1)] == pytest.approx(list(map(loss_of, merges)), rel=1e-5)
    assert len(found.tokens) == len(found.own) == len(found.losses[0]) == len(ITEMS)
    assert sum(found.energies) < 1.0 + 1e-6 and all(-1 <= share <= 1 for share in found.likeness)
    assert found.lead.value == pytest.approx(found.likeness[1] - found.likeness[0])
    assert found.lead.low <= found.lead.value <= found.lead.high


def test_one_band_has_the_factor_of_the_whole(recipe: MergeRecipe) -> None:
    whole, band = curvature(recipe, ITEMS, FACTORS), band_curvature(recipe, ITEMS, ())
    assert band.best == pytest.approx((whole.quadratic.best_factor,), rel=1e-4)
    assert band.likeness[0] ** 2 == pytest.approx(whole.quadratic.alike, rel=1e-4)
    assert band.energies[0] == pytest.approx(whole.energy)
