"""The public names of `dppa_core`: those of `__all__`, each where it is defined."""

import subprocess
import sys
from pathlib import Path

import pytest

import dppa_core

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", dppa_core.__all__)
def test_a_public_name_can_be_imported_and_says_what_it_is(name: str) -> None:
    assert getattr(dppa_core, name).__doc__


def test_any_other_name_is_missed_as_usual() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'mergers'"):
        _ = dppa_core.mergers


def test_importing_the_package_loads_nothing() -> None:
    code = "import sys, dppa_core; sys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"numpy", "torch", "dppa_core.errors"} & set(done.stdout.split())


def test_a_recipe_is_merged_and_scored_by_public_names(zoo_env: Path, tmp_path: Path) -> None:
    models = tuple(dppa_core.DomainModel(f"zoo:{name}", levels=(0.8,)) for name in ("math", "law"))
    recipe = dppa_core.MergeRecipe("zoo:base", models)
    (tmp_path / "recipe.yaml").write_text(dppa_core.dump_recipe(recipe), encoding="utf-8")
    assert dppa_core.load_recipe(tmp_path / "recipe.yaml") == recipe
    plan = dppa_core.plan(dppa_core.profile("zoo:base", "zoo:math"), levels=(0.8,))
    assert 0.19 < plan.density < 0.21
    dppa_core.merge(recipe, tmp_path / "merged")
    found = dppa_core.evaluate(str(tmp_path / "merged"), ["math"], limit=4)
    assert found.domains["math"].n == 4
