"""DPPA as its authors' program computes it: the larger product wins, rounded to bfloat16."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dppa_core.evaluation.analysis.comparison import compare_merges, with_semantics
from dppa_core.merging.merger import open_merger
from dppa_core.methods.dppa import lifted
from dppa_core.pruning.floats import to_float32
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe, recipe_hash
from tests.reference import slow

LEVELS = (0.9, 0.8)


def recipe_of(zoo: Path, factors: tuple[float, ...], **changed: object) -> MergeRecipe:
    parameters = {"semantics": "authors"} | changed
    models = (DomainModel(str(zoo / "math"), LEVELS, factors, 0.7),)
    return MergeRecipe(str(zoo / "base"), models, parameters=parameters, dtype="float32")


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        ((1.8, 0.0), [1.62, 0.0]),
        ((1.8, 1.0), [1.62, 0.5]),
        ((1.8, 2.0), [1.8, 1.0]),
        ((0.0, 1.0), [0.9, 0.5]),
        ((1.0, -2.0), [-1.8, -1.0]),
    ],
)
def test_the_larger_product_wins(factors: tuple[float, ...], expected: list[float]) -> None:
    core, ring = lifted(factors)
    assert [core * 0.9, ring * 0.5] == pytest.approx(expected)


def by_their_program(
    zoo: Path, factors: tuple[float, ...], others: str = "keep"
) -> dict[str, np.ndarray]:
    """Step by step in torch.bfloat16: prune for each level, multiply, take the larger."""
    base, tuned = slow.read(zoo / "base"), slow.read(zoo / "math")
    plan = {
        planned.module.tensor: planned for planned in slow.plan(base, tuned, LEVELS, ties="prune")
    }
    merged = {}
    for name, weight in base.arrays.items():
        delta = torch.tensor(tuned.arrays[name] - weight).bfloat16().flatten()
        result = torch.zeros_like(delta)
        masks = [np.full(delta.numel(), others == "keep")] * len(LEVELS)
        if name in plan:
            masks = plan[name].masks
        elif others == "prune":
            whole = slow.Delta(name, name, -1, "other", (tuned.arrays[name] - weight).ravel())
            masks = [slow.kept_above(whole, 1 - rate) for rate in LEVELS]
        for mask, factor in zip(masks, factors, strict=True):
            product = factor * torch.where(torch.tensor(mask), delta, 0)
            result = torch.where(product.abs() > result.abs(), product, result)
        merged[name] = weight.ravel() + np.float32(0.7) * result.float().numpy()
    return merged


@pytest.mark.parametrize("backend", ["numba", "torch"])
@pytest.mark.parametrize("factors", [(1.8, 1.0), (1.1, 1.7), (1.8, 0.0)])
def test_a_merge_is_the_one_of_their_program(
    tiny_zoo: Path, factors: tuple[float, ...], backend: str
) -> None:
    expected = by_their_program(tiny_zoo, factors)
    merger = open_merger(recipe_of(tiny_zoo, factors), backend=backend)
    for name in merger.names():
        dtype, _, raw = merger.tensor(name)
        np.testing.assert_array_equal(to_float32(raw, dtype), expected[name], name)


@pytest.mark.parametrize("others", ["drop", "prune"])
def test_embeddings_can_be_dropped_or_pruned(tiny_zoo: Path, others: str) -> None:
    merger = open_merger(recipe_of(tiny_zoo, (1.8, 1.0), other_tensors=others))
    expected = by_their_program(tiny_zoo, (1.8, 1.0), others)
    dtype, _, raw = merger.tensor("model.embed_tokens.weight")
    np.testing.assert_array_equal(to_float32(raw, dtype), expected["model.embed_tokens.weight"])


def test_both_meanings_are_compared_and_differ_most_where_nothing_is_pruned(
    tiny_zoo: Path,
) -> None:
    paper = recipe_of(tiny_zoo, (1.8, 1.0), semantics="paper")
    differences = {
        difference.name: difference
        for difference in compare_merges(paper, with_semantics(paper, "authors"))
    }
    whole = differences["model.embed_tokens.weight"]
    assert whole.differing > 0.9 * whole.numel
    assert all(difference.differing > 0 for difference in differences.values())


def test_a_recipe_of_the_paper_s_meaning_is_written_as_before(tiny_zoo: Path) -> None:
    plain = MergeRecipe(str(tiny_zoo / "base"), (DomainModel(str(tiny_zoo / "math"), LEVELS),))
    named = replace(plain, parameters={"semantics": "paper"})
    assert dump_recipe(named) == dump_recipe(plain) and recipe_hash(named) == recipe_hash(plain)


def test_entries_ranked_at_random_are_rounded_as_well(tiny_zoo: Path) -> None:
    rounded = open_merger(recipe_of(tiny_zoo, (1.8, 1.0), significance="random"))
    settings = dict(semantics="paper", significance="random", ties="prune")
    plain = open_merger(recipe_of(tiny_zoo, (1.8, 1.0), **settings))
    base = slow.read(tiny_zoo / "base")
    for module in rounded.plan.modules:
        weights = base.arrays[module.tensor].ravel()
        first, second = (merger.tensor(module.tensor)[2] - weights for merger in (rounded, plain))
        assert ((first != 0) == (second != 0)).all(), "the same entries are kept"
        np.testing.assert_allclose(first, second, rtol=0.01, atol=1e-6)
        assert (first != second).any()
