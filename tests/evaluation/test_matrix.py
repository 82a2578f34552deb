"""One module in detail: rows and columns by hand, against sorting, and refusals."""

import math
from pathlib import Path

import numpy as np
import pytest

from dppa_core.errors import NotAllowed, UnknownName
from dppa_core.evaluation.analysis.matrix import look_closely
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.plan import plan_pruning
from dppa_core.pruning.pruning_parameters import PruningParameters
from tests.helpers.tiny_models import TinyLlama
from tests.reference import slow

NAME = "layers.1.mlp.down_proj"
TENSOR = f"model.{NAME}.weight"


def test_rows_and_columns_of_a_change_by_hand(
    tiny_models: dict[str, TinyLlama], tmp_path: Path
) -> None:
    """In a 32 x 48 matrix, three entries change: by 3 and 4 in row 5, by 12 in row 7."""
    base = tiny_models["base"]
    arrays = {name: array.copy() for name, array in base.arrays.items()}
    for row, column, step in ((5, 1, 3.0), (5, 2, -4.0), (7, 2, 12.0)):
        arrays[TENSOR][row, column] = base.arrays[TENSOR][row, column] + step
    TinyLlama(base.shape, arrays).save(tmp_path / "tuned", dtype="F32")
    base.save(tmp_path / "base", dtype="F32")
    closeup = look_closely(str(tmp_path / "base"), str(tmp_path / "tuned"), NAME)
    assert closeup.shape == (32, 48) and closeup.kept == 3
    assert closeup.square == pytest.approx(169, rel=1e-5)
    assert [(line.index, line.kept) for line in closeup.rows] == [(7, 1), (5, 2)]
    assert [(line.index, line.kept) for line in closeup.columns] == [(2, 2), (1, 1)]
    assert [line.share for line in closeup.columns] == pytest.approx([160 / 169, 9 / 169], rel=1e-5)


@pytest.mark.parametrize("rate", [0.0, 0.8, 0.97])
def test_what_a_plan_keeps_is_what_sorting_keeps(zoo_env: Path, rate: float) -> None:
    plan = plan_pruning(cached_profile("zoo:base", "zoo:math"), (rate,))
    module = next(item for item in plan.modules if item.name == NAME)
    closeup = look_closely("zoo:base", "zoo:math", NAME, module.levels[-1].selection, top=48)
    weights = slow.read(zoo_env / "base"), slow.read(zoo_env / "math")
    slowly = next(plan for plan in slow.plan(*weights, [rate]) if plan.module.name == NAME)
    kept = np.where(slowly.masks[0], slowly.module.d, 0).astype(np.float64).reshape(32, 48)
    assert closeup.kept == module.kept == np.count_nonzero(kept)
    assert closeup.square == pytest.approx((kept**2).sum(), rel=1e-9)
    by_column = (kept**2).sum(axis=0)
    assert [line.index for line in closeup.columns] == np.argsort(-by_column)[
        : len(closeup.columns)
    ].tolist()
    assert math.fsum(line.share for line in closeup.rows) == pytest.approx(1 if closeup.kept else 0)
    assert sum(line.kept for line in closeup.rows) == closeup.kept


def test_another_score_decides_what_is_kept(zoo_env: Path) -> None:
    from dppa_core.profiling.calibration.statistics import ranked_profile  # noqa: PLC0415

    profile = ranked_profile("zoo:base", "zoo:math", "random")
    plan = plan_pruning(profile, (0.8,), PruningParameters(significance="random"))
    module = next(item for item in plan.modules if item.name == NAME)
    selection = module.levels[-1].selection
    closeup = look_closely("zoo:base", "zoo:math", NAME, selection, significance="random")
    assert closeup.kept == module.kept
    assert closeup.square < look_closely("zoo:base", "zoo:math", NAME).square


def test_what_is_not_there_is_named(zoo_env: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'layers.1.mlp.down_proj'"):
        look_closely("zoo:base", "zoo:math", "layers.1.mlp.down_porj")
    with pytest.raises(NotAllowed):
        look_closely("zoo:base", str(zoo_env / "math"), NAME, public=True)
