"""The effect of a merge on every module of the model in memory."""

import threading
from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import Cancelled
from dppa_core.evaluation.analysis.merge_effect import merge_outcome
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.merger import open_merger
from dppa_core.pruning.floats import to_float32
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")


def recipe(method: str, *coefficients: float) -> MergeRecipe:
    models = zip(("math", "law", "finance"), coefficients, strict=False)
    return MergeRecipe(
        "zoo:base",
        tuple(DomainModel(f"zoo:{name}", coefficient=c) for name, c in models),
        method=method,
        dtype="float32",
    )


@pytest.mark.parametrize("coefficient", [1.0, 0.5, -1.0])
def test_a_lone_delta_is_in_the_merge_as_often_as_its_coefficient_says(coefficient: float) -> None:
    merge = recipe("task_arithmetic", coefficient)
    outcome = merge_outcome(merge, ModelPool().get(merge).model)
    assert outcome.models == ("zoo:math",) and outcome.modules
    for module in outcome.modules:
        assert module.along[0] / module.squares[0] == pytest.approx(coefficient, rel=1e-4)


def test_the_sums_are_those_of_the_weights() -> None:
    merge = recipe("ties", 1.0, 1.0, 1.0)
    outcome, merger = merge_outcome(merge, ModelPool().get(merge).model), open_merger(merge)

    def values(name: str, tensor: str) -> np.ndarray:
        checkpoint = open_checkpoint(name)
        return to_float32(checkpoint.raw(tensor), checkpoint.dtype(tensor)).astype(np.float64)

    for module, module_outcome in zip(merger.plan.modules, outcome.modules, strict=True):
        names = ("layer", "kind", "numel")
        assert all(getattr(module_outcome, name) == getattr(module, name) for name in names)
        dtype, _, raw = merger.tensor(module.tensor)
        base = values("zoo:base", module.tensor)
        moved = to_float32(raw, dtype).astype(np.float64) - base
        law = values("zoo:law", module.tensor) - base
        assert module_outcome.changed == np.count_nonzero(moved)
        assert module_outcome.total == pytest.approx(np.abs(moved).sum(), rel=1e-5)
        assert module_outcome.along[1] == pytest.approx((moved * law).sum(), rel=1e-4, abs=1e-9)
        assert module_outcome.squares[1] == pytest.approx((law**2).sum(), rel=1e-5)


def test_nothing_is_in_a_merge_without_deltas(zoo_env: Path) -> None:
    merge = recipe("task_arithmetic", 0.0)
    outcome = merge_outcome(merge, ModelPool().get(merge).model)
    assert {(module.changed, module.total) for module in outcome.modules} == {(0, 0.0)}


def test_it_can_be_stopped() -> None:
    merge, stop = recipe("ties", 1.0, 1.0), threading.Event()
    model = ModelPool().get(merge).model
    stop.set()
    with pytest.raises(Cancelled):
        merge_outcome(merge, model, stop=stop)
