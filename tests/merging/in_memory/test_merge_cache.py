"""Merges that share what earlier ones computed are those without a cache."""

from dataclasses import replace
from pathlib import Path

import pytest

from dppa_core.merging.in_memory import merge_cache
from dppa_core.merging.in_memory.merge_cache import MergeCache
from dppa_core.merging.merger import open_merger
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe

MODELS = (DomainModel("zoo:math", (0.9, 0.8), (1.6, 1.0), 0.6), DomainModel("zoo:law", (0.7,)))
RECIPE = MergeRecipe("zoo:base", MODELS)
WHOLE = tuple(DomainModel(model.model) for model in MODELS)


def test_a_cached_merge_is_the_one_without_a_cache(zoo_env: Path) -> None:
    cache = MergeCache()
    others = [
        replace(RECIPE, models=tuple(replace(model, coefficient=0.3) for model in MODELS)),
        replace(RECIPE, models=MODELS[::-1], dtype="float32"),
        replace(RECIPE, models=MODELS[:1], parameters={"significance": "random"}),
        MergeRecipe("zoo:base", WHOLE, "ties"),
        MergeRecipe("zoo:base", WHOLE, "task_arithmetic"),
    ]
    for recipe in (RECIPE, *others, RECIPE):
        cached, alone = cache.merger(recipe), open_merger(recipe)
        assert cached.plan == alone.plan
        for name in ("model.layers.0.mlp.up_proj.weight", "model.norm.weight"):
            assert cached.tensor(name)[2].tobytes() == alone.tensor(name)[2].tobytes()


def test_other_factors_find_plans_and_profiles_of_the_merge_before(
    zoo_env: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise LookupError

    cache = MergeCache()
    before = cache.merger(RECIPE)
    models = tuple(replace(model, amplification=(2.0,) * len(model.levels)) for model in MODELS)
    monkeypatch.setattr(merge_cache, "plan_pruning", never)
    monkeypatch.setattr(merge_cache, "measure_inputs", never)
    after = cache.merger(replace(RECIPE, models=models))
    assert after.plan.plans == before.plan.plans
    with pytest.raises(LookupError):  # other settings need another plan
        cache.merger(replace(RECIPE, parameters={"strength": 0.01}))
