"""Changes lost to rounding: by hand, against adding everything, and refusals."""

from pathlib import Path

import numpy as np
import pytest

from dppa_core.errors import InvalidValue
from dppa_core.evaluation.analysis.rounding import count_rounded
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.coefficients import Coefficient
from dppa_core.pruning.plan import plan_pruning
from tests.helpers.tiny_models import TinyLlama, to_bytes
from tests.reference import slow

TENSOR = "model.layers.0.self_attn.q_proj.weight"


def bfloat16(values: np.ndarray) -> np.ndarray:
    return np.frombuffer(to_bytes(values, "BF16"), np.uint16)


def test_a_change_below_half_a_step_is_lost(
    tiny_models: dict[str, TinyLlama], tmp_path: Path
) -> None:
    """Beside 1.0 a step of bfloat16 is 2**-7: of changes of 2**-9 and 2**-6 the first is lost."""
    arrays = {name: array.copy() for name, array in tiny_models["base"].arrays.items()}
    arrays[TENSOR][0, :2] = 1.0
    TinyLlama(tiny_models["base"].shape, arrays).save(tmp_path / "base", dtype="F32")
    arrays[TENSOR][0, 0] += 2.0**-9
    arrays[TENSOR][0, 1] += 2.0**-6
    TinyLlama(tiny_models["base"].shape, arrays).save(tmp_path / "tuned", dtype="F32")
    profile = cached_profile(str(tmp_path / "base"), str(tmp_path / "tuned"))
    plan = plan_pruning(profile, (0.0,))
    rounded = count_rounded(plan, [1.0])
    assert rounded.kept.sum() == 2 and rounded.lost.sum() == 1
    assert count_rounded(plan, [1.0], dtype="float32").lost.sum() == 0
    assert count_rounded(plan, [4.0]).lost.sum() == 0
    assert count_rounded(plan, [0.1]).lost.sum() == 2
    assert count_rounded(plan, [0.0]).lost.sum() == 0


@pytest.mark.parametrize("coefficient", [0.3, -0.2, {0: 0.05, 1: 1.0}])
def test_counts_are_those_of_adding_everything(zoo_env: Path, coefficient: Coefficient) -> None:
    levels, factors = (0.9, 0.5), (0.7, 0.2)
    plan = plan_pruning(cached_profile("zoo:base", "zoo:math"), levels)
    rounded = count_rounded(plan, factors, coefficient)
    base, tuned = slow.read(zoo_env / "base"), slow.read(zoo_env / "math")
    for index, planned in enumerate(slow.plan(base, tuned, levels)):
        whole = coefficient[planned.module.layer] if isinstance(coefficient, dict) else coefficient
        old = base.arrays[planned.module.tensor].ravel()
        strong, weak = planned.masks[0], planned.masks[1] & ~planned.masks[0]
        for k, (mask, factor) in enumerate(zip((strong, weak), factors, strict=True)):
            new = old + np.float32(whole * factor) * planned.module.d
            lost = mask & (bfloat16(new) == bfloat16(old))
            assert rounded.kept[index, k] == mask.sum()
            assert rounded.lost[index, k] == lost.sum()
    assert rounded.lost.sum() > 0


def test_what_does_not_suit_the_plan_is_refused(zoo_env: Path) -> None:
    plan = plan_pruning(cached_profile("zoo:base", "zoo:math"), (0.8,))
    with pytest.raises(InvalidValue, match="1 levels need as many factors"):
        count_rounded(plan, [1.0, 1.0])
    with pytest.raises(InvalidValue, match="dtype must be one of bfloat16"):
        count_rounded(plan, [1.0], dtype="int8")
