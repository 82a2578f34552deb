"""Methods that merge linear modules as matrices: by hand, against torch, and what always holds."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from dppa_core.merging.merger import open_merger
from dppa_core.methods.registry import METHODS, get_method
from dppa_core.methods.shared.singular import Factors, singular, singular_values
from dppa_core.methods.spectral.iso_cts import direction_counts
from dppa_core.methods.spectral.wudi import WudiParameters
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.system.threads import one_blas_thread
from tests.helpers.tiny_models import random_llama, tuned_llama
from tests.reference import slow_spectral
from tests.reference.stacks import merge_one, stack_of

MATRICES = [m.name for m in METHODS if m.combination is not None and m.combination.matrices]
SPECTRAL = [name for name in MATRICES if name != "doge_ta"]
"""Those that commute with rotations, and so merge products."""
A, B = [[3.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]]


def merged(
    name: str, deltas: object, coefficients: Sequence[float] | None = None, **parameters: object
) -> np.ndarray:
    """The merged delta of one linear module."""
    method = get_method(name)
    assert method.combination is not None
    stack = replace(stack_of(deltas, coefficients), is_matrix=True)
    return merge_one(method.combination, stack, method.parameters(**parameters))


def near(values: np.ndarray, expected: object) -> None:
    np.testing.assert_allclose(values, expected, atol=1e-6)


# by hand


def test_iso_c_gives_all_directions_the_mean_size() -> None:
    """The sum is diag(3, 2)."""
    near(merged("iso_c", [A, B]), [[2.5, 0], [0, 2.5]])


def test_subspace_boosting_lifts_weak_directions_to_the_border() -> None:
    """The sum is diag(6, 3, 1); its first value is 0.6 of the whole."""
    deltas = [np.diag([5.0, 3, 0]), np.diag([1.0, 0, 1])]
    near(merged("subspace_boosting", deltas, beta=0.6), np.diag([6, 6, 6]))
    near(merged("subspace_boosting", deltas, beta=0.61), np.diag([6, 3, 3]))
    near(merged("subspace_boosting", deltas, beta=1.0), np.diag([6, 3, 1]))


def test_tsv_m_keeps_a_share_of_each_models_directions() -> None:
    """One direction each: 3 along the first axis, 1 along the second."""
    near(merged("tsv_m", [A, B]), A)
    near(merged("tsv_m", [[[3.0, 0], [0, 2]]] * 2), [[3, 0], [0, 0]])


def test_tsv_m_turns_directions_of_different_models_apart() -> None:
    """Unit vectors at 0 and 60 degrees become those at -15 and 75, on both sides."""
    turn = np.array([0.5, 0.75**0.5])
    first, second = (np.array([np.cos(a), np.sin(a)]) for a in np.deg2rad([-15, 75]))
    expected = np.outer(first, first) + np.outer(second, second)
    near(merged("tsv_m", [np.outer([1, 0], [1, 0]), np.outer(turn, turn)]), expected)


def test_iso_cts_keeps_directions_that_the_sum_hides() -> None:
    """Two axes come from the sum diag(4, 4, 1, 1), one from what it leaves of each model."""
    deltas = [np.diag([2.0, 2, 1, 0]), np.diag([2.0, 2, 0, 1])]
    assert direction_counts(4, 2, 0.5) == (2, 1)
    near(merged("iso_cts", deltas, common=0.5), 2.5 * np.eye(4))


def test_direction_counts_never_exceed_a_matrix() -> None:
    assert direction_counts(10, 3, 0.8) == (7, 1)
    assert direction_counts(3, 5, 0.8) == (3, 0)
    assert direction_counts(3, 2, 0.0) == (1, 1)


def test_wudi_keeps_each_model_on_its_own_inputs() -> None:
    """Rows of different inputs do not interfere: the sum. Of one input: a mean by squared norms."""
    near(merged("wudi", [[[3.0, 0]], [[0, 2.0]]]), [[3, 2]])
    near(merged("wudi", [[[3.0, 0]], [[1.0, 0]]]), [[2, 0]])
    near(merged("wudi", [[[1.0], [0]], [[0.0], [1]]]), [[0.5], [0.5]])


def test_knots_elects_signs_along_common_outputs() -> None:
    """One output direction, of length 5, with the parts 0.6, 0, 0 and 0, -0.8, 0 along it."""
    deltas = [[[3.0, 0, 0]], [[0, -4.0, 0]]]
    near(merged("knots", deltas, density=1.0), [[3, -4, 0]])
    near(merged("knots", [[[3.0, 1]], [[-4.0, 1]]], density=1.0), [[-4, 1]])
    near(merged("knots", [[[3.0, 1]], [[-4.0, 1]]], density=0.5), [[-4, 0]])


def test_core_space_elects_signs_between_common_directions() -> None:
    """Cores along the same axes: of 3 and -2 the larger sign wins, 2 and 1 are averaged."""
    deltas = [np.diag([3.0, 2]), np.diag([-2.0, 1])]
    near(merged("core_space", deltas, density=1.0), np.diag([3, 1.5]))
    near(merged("core_space", deltas, density=0.25), np.diag([3, 0]))


def test_doge_ta_moves_towards_what_each_model_asks() -> None:
    """Half of (1, 0) and (0, 1): both ask for 0.5 more; Adam takes 400 steps of nearly 0.0001."""
    settings = {"sizes": "one", "scale": 0.5}
    both = merged("doge_ta", [[[1.0, 0]], [[0, 1.0]]], density=1.0, **settings)
    assert both[0, 0] == both[0, 1] and 0.538 < both[0, 0] <= 0.54
    largest = merged("doge_ta", [[[1.0, 0]], [[0, 1.0]]], density=0.5, **settings)
    near(largest, 0.5 * (1 + both - 0.5))


def test_doge_ta_gives_all_deltas_one_size() -> None:
    """Norms 4 and 2: 3 each. No step changes what is along axes of one model alone."""
    values = merged("doge_ta", [[[4.0, 0]], [[0, 2.0]]], density=1.0)
    assert np.abs(values - [[3, 3]]).max() < 0.3
    near(merged("doge_ta", [[[4.0, 0]], [[0, 2.0]]], density=1.0, scale=0.0), [[0, 0]])


def test_inputs_on_the_first_axis_are_turned() -> None:
    deltas = np.random.default_rng(0).normal(size=(3, 5, 4))
    method = get_method("wudi")
    assert method.combination is not None
    stack = replace(stack_of(deltas.transpose(0, 2, 1)), is_matrix=True, inputs=0)
    turned = method.combination.combine(stack, method.parameters(), None)
    near(turned.T, merged("wudi", deltas))


def test_other_tensors_are_averaged_or_added() -> None:
    for name in MATRICES:
        method = get_method(name)
        assert method.combination is not None
        stack = stack_of([A, B], (1.0, 3.0))
        for others, factor in (("mean", 0.5), ("sum", 1.0)):
            parameters = method.parameters(others=others, scale=2.0)
            values = method.combination.combine(stack, parameters, None)
            near(values, 2 * factor * (np.array(A) + 3 * np.array(B)))


# against torch


@st.composite
def matrices(draw: st.DrawFn) -> tuple[np.ndarray, tuple[float, ...]]:
    """Deltas without equal singular values, and their coefficients."""
    rows, columns, models = (draw(st.integers(1, n)) for n in (9, 9, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weights = draw(st.lists(st.sampled_from([1.0, 0.5, -0.7]), min_size=models, max_size=models))
    return rng.normal(size=(models, rows, columns)).astype(np.float32), tuple(weights)


@pytest.mark.parametrize("name", SPECTRAL)
@given(drawn=matrices())
@settings(max_examples=40)
def test_a_method_is_what_its_authors_program_gives(
    name: str, drawn: tuple[np.ndarray, tuple[float, ...]]
) -> None:
    deltas, coefficients = drawn
    assume(name != "knots" or deltas.shape[2] > 2)  # two directions have equal elements
    weighted = deltas * np.float32(coefficients)[:, None, None]
    expected = slow_spectral.METHODS[name](list(torch.from_numpy(weighted).double())).numpy()
    values = merged(name, deltas, coefficients)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-3 * np.abs(weighted).max())


def test_wudi_by_adam_is_what_its_authors_program_gives() -> None:
    deltas = np.random.default_rng(1).normal(size=(3, 6, 8)).astype(np.float32) / 100
    expected = slow_spectral.wudi_adam(list(torch.from_numpy(deltas).double())).numpy()
    near(merged("wudi", deltas, solver="adam"), expected)
    assert WudiParameters().solver == "exact"
    assert np.abs(expected - deltas.sum(0)).max() > 1e-3, "it has moved"


@given(drawn=matrices())
@settings(max_examples=15)
def test_doge_ta_is_what_its_authors_program_gives(
    drawn: tuple[np.ndarray, tuple[float, ...]],
) -> None:
    deltas, coefficients = drawn
    expected = slow_spectral.doge_ta(list(torch.from_numpy(deltas).double()), coefficients, 0.07)
    values = merged("doge_ta", deltas, coefficients, density=0.3, sizes="one", scale=0.07)
    np.testing.assert_allclose(values, expected.numpy(), rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("ranks", [(2, 3), (2, 8)])
def test_doge_ta_of_few_directions_is_what_its_authors_program_gives(
    ranks: tuple[int, int],
) -> None:
    """Deltas of 16 directions at most, two or one of which has fewer than half."""
    rng = np.random.default_rng(2)
    products = [rng.normal(size=(20, rank)) @ rng.normal(size=(rank, 16)) for rank in ranks]
    deltas = np.stack(products).astype(np.float32)
    expected = slow_spectral.doge_ta(list(torch.from_numpy(deltas).double()), (1.0, 0.5), 0.07)
    values = merged("doge_ta", deltas, (1.0, 0.5), density=0.3, sizes="one", scale=0.07)
    np.testing.assert_allclose(values, expected.numpy(), rtol=1e-3, atol=2e-5)


def test_doge_ta_of_an_adapter_does_not_follow_the_rounding_of_the_weights() -> None:
    """Stored float32 weights differ from the base in more directions than the adapter has."""
    rng = np.random.default_rng(4)
    base = rng.normal(size=(30, 24)).astype(np.float32)
    exact = np.stack([rng.normal(size=(30, 2)) @ rng.normal(size=(2, 24)) / 50 for _ in range(2)])
    stored = (base + exact).astype(np.float32) - base
    assert len(singular(stored[0]).values) > 12, "more than half of all"
    method = get_method("doge_ta")
    assert method.combination is not None
    of_stored, of_exact = (
        merge_one(
            method.combination,
            replace(stack_of(deltas, base=base), is_matrix=True),
            method.parameters(density=1.0),
        )
        for deltas in (stored, exact)
    )
    near(of_stored, of_exact)


@given(drawn=matrices())
def test_directions_are_those_of_torch(drawn: tuple[np.ndarray, tuple[float, ...]]) -> None:
    matrix = drawn[0][0]
    parts, values = singular(matrix), torch.linalg.svdvals(torch.from_numpy(matrix).double())
    np.testing.assert_allclose(parts.values, values.numpy(), rtol=1e-5)
    np.testing.assert_allclose(singular_values(matrix), values.numpy(), rtol=1e-5)
    np.testing.assert_allclose(parts.left * parts.values @ parts.right, matrix, atol=1e-5)
    np.testing.assert_allclose(parts.left.T @ parts.left, np.eye(len(values)), atol=1e-5)


def test_one_thread_holds_until_the_last_block_is_left() -> None:
    """One block is inside another, as in two threads; the outer one is left first."""

    def threads() -> int:
        return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")

    with threadpool_limits(2, user_api="blas"):
        first, second = one_blas_thread(), one_blas_thread()
        first.__enter__()
        second.__enter__()
        assert threads() == 1
        first.__exit__(None, None, None)
        assert threads() == 1
        second.__exit__(None, None, None)
        assert threads() == 2


def test_directions_beyond_the_rank_stay_out() -> None:
    rng = np.random.default_rng(2)
    low = (rng.normal(size=(30, 3)) @ rng.normal(size=(3, 20))).astype(np.float32)
    assert len(singular(low).values) == 3
    assert np.linalg.matrix_rank(merged("iso_c", [low]), tol=1e-3) == 3


# what always holds


@pytest.mark.parametrize("name", MATRICES)
@given(drawn=matrices())
@settings(max_examples=20)
def test_the_order_of_models_does_not_matter(
    name: str, drawn: tuple[np.ndarray, tuple[float, ...]]
) -> None:
    deltas, coefficients = drawn
    turned = merged(name, deltas[::-1], coefficients[::-1])
    np.testing.assert_allclose(merged(name, deltas, coefficients), turned, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("name", MATRICES)
def test_zero_deltas_leave_the_base(name: str) -> None:
    assert not merged(name, np.zeros((3, 4, 5))).any()
    one = np.random.default_rng(3).normal(size=(1, 4, 5))
    assert np.isfinite(merged(name, np.concatenate([one, 0 * one]))).all()


@pytest.mark.parametrize("name", ["wudi", "tsv_m"])
def test_one_model_or_equal_models_stay_what_they_are(name: str) -> None:
    """TSV-Merge keeps one part of n of the directions."""
    delta = np.random.default_rng(4).normal(size=(6, 8)).astype(np.float32)
    np.testing.assert_allclose(merged(name, [delta]), delta, atol=1e-5)
    strong = singular(delta, 3 if name == "tsv_m" else None)
    expected = strong.left * strong.values @ strong.right
    np.testing.assert_allclose(merged(name, [delta, delta]), expected, atol=1e-5)


@pytest.mark.parametrize("name", MATRICES)
def test_values_that_are_not_finite_reach_the_check_that_names_them(name: str) -> None:
    values = np.full((2, 3, 3), 1.0)
    values[0, 1, 1] = np.nan
    assert np.isnan(merged(name, values)).any()


# products


@st.composite
def products(draw: st.DrawFn) -> list[Factors]:
    """Adapters of other ranks, stored in an unbalanced way."""
    rows, columns, models = (draw(st.integers(2, n)) for n in (9, 9, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ranks = [draw(st.integers(1, 3)) for _ in range(models)]
    return [
        Factors(30 * rng.normal(size=(rows, rank)), rng.normal(size=(rank, columns)))
        for rank in ranks
    ]


@pytest.mark.parametrize("name", SPECTRAL)
@given(parts=products())
@settings(max_examples=30)
def test_products_are_merged_as_their_matrices(name: str, parts: list[Factors]) -> None:
    method = get_method(name)
    assert method.combination is not None and method.combination.factored is not None
    parameters, wholes = method.parameters(scale=0.5), [part.left @ part.right for part in parts]
    left, right = method.combination.factored(parts, parameters, min(wholes[0].shape))
    expected = merged(name, wholes, scale=0.5)
    assert left.shape[1] <= sum(part.rank for part in parts)
    np.testing.assert_allclose(left @ right, expected, rtol=1e-3, atol=1e-3 * np.abs(wholes).max())


# whole models


@pytest.mark.parametrize("name", MATRICES)
def test_a_merge_takes_modules_whole_and_other_tensors_in_rows(name: str, tmp_path: Path) -> None:
    """A module of a merged model is what the method makes of its deltas."""
    base = random_llama(0)
    base.save(tmp_path / "base", dtype="F32")
    tuned = [tuned_llama(base, seed) for seed in (1, 2)]
    for model, letter in zip(tuned, "ab", strict=True):
        model.save(tmp_path / letter, dtype="F32")
    models = tuple(DomainModel(str(tmp_path / letter)) for letter in "ab")
    every = {"density": 1.0} if name == "doge_ta" else {}
    recipe = MergeRecipe(str(tmp_path / "base"), models, name, every, dtype="float32")
    merger = open_merger(recipe)
    for tensor in ("model.layers.0.mlp.down_proj.weight", "model.embed_tokens.weight"):
        origin = base.arrays[tensor].astype(np.float32)
        deltas = np.array([model.arrays[tensor].astype(np.float32) - origin for model in tuned])
        _, shape, values = merger.tensor(tensor)
        expected = merged(name, deltas, **every) if "mlp" in tensor else deltas.mean(axis=0)
        np.testing.assert_allclose(values.reshape(shape) - origin, expected, atol=1e-5)
