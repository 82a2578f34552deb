"""The landscape of two coefficients: the surface that the optimiser descends."""

import threading

import numpy as np
import pytest

from dppa_core.errors import Cancelled, InvalidValue
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tuning.adamerging.landscape import Landscape, coarse_first, entropy_landscape
from dppa_core.tuning.adamerging.settings import AdaMergeSettings
from dppa_core.tuning.adamerging.texts import task_domains

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")

SETTINGS = AdaMergeSettings(steps=2, lr=0.05, batch=2, prompts=2, held_out=1, longest=3)
NAMES = ("math", "law")
RECIPE = MergeRecipe(
    "zoo:base", tuple(DomainModel(f"zoo:{name}") for name in NAMES), "task_arithmetic"
)


def test_the_grid_shows_what_the_optimiser_sees() -> None:
    reports: list[tuple[int, int, str]] = []
    landscapes: list[Landscape] = []
    result = entropy_landscape(
        RECIPE,
        task_domains(NAMES, SETTINGS),
        (0.0, 0.3),
        SETTINGS,
        watch=landscapes.append,
        progress=lambda *step: reports.append(step),
    )
    assert result.entropy.shape == (2, 2, 2) and result.path[0] == (0.3, 0.3)
    assert len(result.path) == 3 and result.path[1] != result.path[0]
    assert result.mean[1, 1] == pytest.approx(result.objectives[0], rel=1e-5)
    first, second = result.lowest
    assert result.mean[result.axis.index(first), result.axis.index(second)] == result.mean.min()
    assert np.ptp(result.mean) > 0 and reports[-1][:2] == (6, 6)
    # Each report is a part of the result, one point or step longer each time.
    assert [int(np.isfinite(landscape.mean).sum()) for landscape in landscapes] == [
        1,
        2,
        3,
        4,
        4,
        4,
    ]
    assert [len(landscape.path) for landscape in landscapes] == [1, 1, 1, 1, 2, 3]
    assert landscapes[0].lowest == (0.0, 0.0) and landscapes[-1].path == result.path
    assert all(np.nanmax(abs(landscape.entropy - result.entropy)) == 0 for landscape in landscapes)


def test_a_grid_is_filled_from_far_apart_to_close() -> None:
    order = coarse_first(6)
    assert order[:4] == ((0, 0), (0, 4), (4, 0), (4, 4)) and (5, 5) not in order[:9]
    assert sorted(order) == [(i, k) for i in range(6) for k in range(6)]
    assert coarse_first(1) == ((0, 0),)


def test_other_than_two_models_have_no_landscape() -> None:
    single = MergeRecipe("zoo:base", RECIPE.models[:1], "task_arithmetic")
    with pytest.raises(InvalidValue, match="two coefficients"):
        entropy_landscape(single, task_domains(("math",), SETTINGS), (0.0,), SETTINGS)


def test_it_can_be_stopped() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        entropy_landscape(RECIPE, task_domains(NAMES, SETTINGS), (0.0,), SETTINGS, stop=stop)
