"""Weights that differ between two variants of a method, counted."""

from dataclasses import replace
from pathlib import Path

import pytest

from dppa_core.errors import InvalidValue
from dppa_core.evaluation.analysis.comparison import compare_merges, with_semantics
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.helpers.command import Command

MODELS = (DomainModel("zoo:math", coefficient=0.2), DomainModel("zoo:law"))


def recipe(method: str = "ties", **parameters: object) -> MergeRecipe:
    return MergeRecipe("zoo:base", MODELS, method, parameters, dtype="float32")


def test_a_recipe_differs_from_itself_nowhere(zoo_env: Path) -> None:
    assert not any(item.differing for item in compare_merges(recipe(), recipe()))


def test_weighing_before_the_election_turns_signs(zoo_env: Path) -> None:
    merge = recipe(ranked_in="tensor", density=1.0)
    tensors = compare_merges(merge, with_semantics(merge, "mergekit"))
    module = next(item for item in tensors if item.name.endswith("0.mlp.up_proj.weight"))
    assert 0.1 < module.differing / module.numel < 0.6
    assert module.largest > 0


def test_of_equal_coefficients_the_order_does_not_matter(zoo_env: Path) -> None:
    alike = tuple(replace(model, coefficient=1.0) for model in MODELS)
    merge = replace(recipe(ranked_in="tensor", density=1.0), models=alike)
    tensors = compare_merges(merge, with_semantics(merge, "mergekit"))
    assert sum(item.differing for item in tensors) < 1e-3 * sum(item.numel for item in tensors)


@pytest.mark.parametrize(
    ("method", "name", "message"),
    [
        ("linear", "mergekit", "linear has no semantics 'mergekit'. Methods that have: dppa, ties"),
        ("ties", "authors", "It has paper, mergekit."),
        ("ties", "paper", "means paper already.* Others of ties: mergekit"),
    ],
)
def test_a_meaning_that_is_not_there_is_refused(method: str, name: str, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        with_semantics(recipe(method), name)


def test_ties_of_mergekit_ranks_in_tensors_whatever_the_paper_would(zoo_env: Path) -> None:
    merge = with_semantics(recipe(), "mergekit")
    in_tensors = replace(merge, parameters={**merge.parameters, "ranked_in": "tensor"})
    assert merge.parameters["ranked_in"] == "model"
    assert not any(item.differing for item in compare_merges(merge, in_tensors))


def test_people_read_how_many_weights_differ(zoo_env: Path, dppa: Command, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(dump_recipe(recipe()))
    assert dppa("compare-semantics", file, "--with", "mergekit") == 0
    assert dppa.out.startswith("ties, paper against mergekit: ")
    assert dppa("compare-semantics", file, "--json") == 0
    assert dppa.json["numel"] > dppa.json["differing"] > 0
