"""The rate table of one cell, at every rate."""

import numpy as np
import pytest

from dppa_core.errors import UnknownName
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.plan import plan_pruning
from dppa_core.pruning.pruning_parameters import Override
from dppa_core.pruning.rate_table_of_matrix import cell_table, pack_cell
from tests.helpers.random_profiles import profile_of


def profile() -> DeltaProfile:
    rng = np.random.default_rng(0)
    tensors = [rng.standard_t(4, size=400).astype(np.float32) for _ in range(4)]
    return DeltaProfile("b", "t", tuple(profile_of(d, i) for i, d in enumerate(tensors)), 0)


def test_a_table_by_hand() -> None:
    """|d| of 1, 2, 3 and 4: half of them, 3 and 4, hold 25 of 30."""
    single = DeltaProfile("b", "t", (profile_of(np.array([-1, 2, 3, -4], np.float32)),), 0)
    table = cell_table(single, 0, "up")
    assert table.numel == table.nonzero == table.histogram.sum() == 4
    assert table.energy[50] == pytest.approx(25 / 30) and table.energy[0] == 1
    assert table.threshold[50] == 3 and table.threshold[25] == 2  # at index 2 and 1 of the sorted
    assert pack_cell(table)["modules"] == ["layers.0.up_proj"]


@pytest.mark.parametrize("rate", [0.0, 0.31, 0.8, 0.99])
def test_a_table_says_what_a_plan_with_that_override_says(rate: float) -> None:
    item = profile().modules[3]
    plan = plan_pruning(profile(), (0.5,), overrides={item.module.name: Override(rate)})
    module = plan.modules[3]
    table = cell_table(profile(), item.module.layer, item.module.kind)
    place = round(100 * rate)
    assert table.energy[place] == pytest.approx(module.energy, abs=1e-6)
    assert table.threshold[place] == pytest.approx(module.threshold, rel=1e-4)


def test_what_is_no_cell_is_named() -> None:
    with pytest.raises(UnknownName, match="No matrix 'q' in layer 7"):
        cell_table(profile(), 7, "q")
