"""Every method on two deltas of six elements, with numbers worked out by hand from the papers."""

import numpy as np
import pytest

from dppa_core.methods import (
    breadcrumbs,
    consensus,
    dare_ties,
    della,
    emr,
    linear,
    lines,
    pcb,
    sce,
    slerp,
    ties,
)
from dppa_core.methods.registry import get_method
from tests.reference.method_cases import COMBINATIONS
from tests.reference.stacks import merge_model, merge_one, stack_of, streamed

A = [0.9, -0.4, 0.1, 0.5, -0.2, 0.05]
B = [-0.35, -0.6, 0.2, 0.4, 0.3, -0.08]


def near(merged: np.ndarray, expected: list[float], atol: float = 5e-5) -> None:
    np.testing.assert_allclose(merged.ravel(), expected, atol=atol, rtol=0)


@pytest.mark.parametrize("ranked_in", ["model", "tensor"])
def test_ties_keeps_the_elected_sign(ranked_in: str) -> None:
    parameters = ties.TiesParameters(density=0.5, ranked_in=ranked_in)
    near(merge_one(COMBINATIONS["ties"], stack_of([A, B]), parameters), [0.9, -0.5, 0, 0.45, 0, 0])


def test_mergekit_weighs_before_the_election_and_the_sign_flips() -> None:
    stack = stack_of([A, B], [0.2, 1.0])
    flipped = ties.TiesParameters(density=0.5, ranked_in="tensor", semantics="mergekit")
    near(merge_one(COMBINATIONS["ties"], stack, flipped), [-0.35, -0.5667, 0, 0.4167, 0, 0])
    paper = ties.TiesParameters(density=0.5)
    near(merge_one(COMBINATIONS["ties"], stack, paper), [0.9, -0.5667, 0, 0.4167, 0, 0])


def test_ties_divided_by_number_lets_coefficients_scale() -> None:
    parameters = ties.TiesParameters(density=0.5, divide="number")
    stack = stack_of([A, B], [0.5, 0.5])
    near(merge_one(COMBINATIONS["ties"], stack, parameters), [0.45, -0.25, 0, 0.225, 0, 0])


def test_an_undecided_sign_is_the_majority_of_the_model() -> None:
    deltas = [[1.0, -1.0, -1.0], [-1.0, -1.0, -1.0]]
    parameters = ties.TiesParameters(density=1.0)
    near(merge_one(COMBINATIONS["ties"], stack_of(deltas), parameters), [-1, -1, -1])
    plus = ties.TiesParameters(density=1.0, ranked_in="tensor", semantics="mergekit")
    near(merge_one(COMBINATIONS["ties"], stack_of(deltas), plus), [1, -1, -1])


def test_magprune_drops_small_elements_more_often() -> None:
    parameters = della.DellaParameters(drop=0.5, window=0.3)
    stack = stack_of([A])
    drops = della.drop_probabilities(np.abs(stack.deltas[0]), stack, parameters)
    near(drops, [0.35, 0.47, 0.59, 0.41, 0.53, 0.65], atol=1e-12)
    near(1 / (1 - drops), [1.538, 1.887, 2.439, 1.695, 2.128, 2.857], atol=5e-4)


def test_magprune_rescales_every_survivor_by_its_own_chance() -> None:
    parameters = della.DellaParameters(drop=0.5, window=0.3, scale=1.0)
    scaled = np.array(A) * [1.538, 1.887, 2.439, 1.695, 2.128, 2.857]
    kept = np.zeros(6, bool)
    for seed in range(20):
        merged = merge_one(COMBINATIONS["della"], stack_of([A], seed=seed), parameters).ravel()
        np.testing.assert_allclose(merged[merged != 0], scaled[merged != 0], rtol=1e-3)
        kept |= merged != 0
    assert kept.all()


def test_dare_ties_scales_survivors_by_ten_at_90_percent() -> None:
    parameters = dare_ties.DareTiesParameters(drop=0.9, density=1.0)
    merged = merge_one(COMBINATIONS["dare_ties"], stack_of(np.ones((1, 20, 50))), parameters)
    assert sorted(set(merged.ravel().tolist())) == [0.0, pytest.approx(10.0)]
    assert (merged != 0).mean() == pytest.approx(0.1, abs=0.03)


def test_emr_unifies_masks_and_rescales() -> None:
    stack = stack_of([A, B])
    unified = [0.9, -0.6, 0.2, 0.5, 0.3, -0.08]
    near(emr.unify(stack, emr.EmrParameters()), unified)
    for domain, mask, factor in (("a", "111100", 0.9773), ("b", "011111", 1.1488)):
        parameters = emr.EmrParameters(domain)
        merged = merge_one(COMBINATIONS["emr"], stack, parameters)
        near(merged, [factor * u * int(m) for u, m in zip(unified, mask, strict=True)], atol=1e-4)


def test_sce_weighs_models_by_their_squares() -> None:
    stack = stack_of([A, B])
    parameters = sce.SceParameters(density=1.0)
    tensor = sce.survey_sce((streamed(stack),), parameters)
    assert tensor[stack.name].weights == pytest.approx((0.6203, 0.3797), abs=5e-5)
    merged = merge_one(COMBINATIONS["sce"], stack, parameters)
    near(merged, [0.9, -0.4759, 0.138, 0.462, 0.3, -0.08])


def test_consensus_drops_what_one_task_alone_wants() -> None:
    stack = stack_of([A, B])
    assert consensus.count_tasks(stack, 0.4).tolist() == [[1, 2, 2, 2, 2, 2]]
    parameters = consensus.ConsensusParameters(threshold=0.4, agreement=2, scale=1.0)
    near(merge_one(COMBINATIONS["consensus"], stack, parameters), [0, -1, 0.3, 0.9, 0.1, -0.03])


def test_slerp_does_not_equalise_norms() -> None:
    stack = stack_of([[1.0, 0.0], [0.0, 2.0]])
    merged = merge_one(COMBINATIONS["slerp"], stack, slerp.SlerpParameters(0.5))
    near(merged, [0.7071, 1.4142])


def test_slerp_of_nearly_parallel_models_is_a_straight_line() -> None:
    stack = stack_of([[0.001, 0.0], [0.0, 0.002]], base=[1.0, 1.0])
    merged = merge_one(COMBINATIONS["slerp"], stack, slerp.SlerpParameters(0.25))
    near(merged, [0.00075, 0.0005], atol=1e-7)


def test_slerp_with_one_model_starts_at_the_base() -> None:
    stack = stack_of([[-1.0, 2.0]], base=[1.0, 0.0])
    merged = merge_one(COMBINATIONS["slerp"], stack, slerp.SlerpParameters(0.5))
    near(merged, [0.7071 - 1, 1.4142])
    half = stack_of([[-1.0, 2.0]], [0.5], base=[1.0, 0.0])
    near(merge_one(COMBINATIONS["slerp"], half, slerp.SlerpParameters(1.0)), [0.7071 - 1, 1.4142])


def test_a_soup_is_the_mean_of_the_models() -> None:
    stack = stack_of([A, B], [0.1, 1.0], base=np.ones(6))
    mean = (0.1 * np.array(A) + np.array(B)) / 1.1
    near(merge_one(COMBINATIONS["linear"], stack, linear.LinearParameters()), mean.tolist())
    whole = 0.1 * (1 + np.array(A)) + (1 + np.array(B)) - 1
    parameters = linear.LinearParameters(divide="nothing")
    near(merge_one(COMBINATIONS["linear"], stack, parameters), whole.tolist())


def test_breadcrumbs_drops_both_ends() -> None:
    parameters = breadcrumbs.BreadcrumbsParameters(0.5, 1 / 6, scale=0.4)
    left = [[0, -0.4, 0, 0.5, 0, 0], [-0.35, 0, 0, 0.4, 0, 0]]
    expected = (0.4 * np.array(left)).sum(axis=0).tolist()
    near(merge_one(COMBINATIONS["breadcrumbs"], stack_of([A, B]), parameters), expected)


def test_breadcrumbs_by_row_gives_every_row_its_share() -> None:
    big, small = [8.0, 7.0, 6.0, 5.0], [4.0, 3.0, 2.0, 1.0]
    stack = stack_of([[big, small]])
    by_row = breadcrumbs.BreadcrumbsParameters(0.5, 0.25, "row", 1.0)
    near(merge_one(COMBINATIONS["breadcrumbs"], stack, by_row), [0, 7, 0, 0, 0, 3, 0, 0])
    by_tensor = breadcrumbs.BreadcrumbsParameters(0.5, 0.25, "tensor", 1.0)
    near(merge_one(COMBINATIONS["breadcrumbs"], stack, by_tensor), [0, 0, 6, 5, 0, 0, 0, 0])


def test_lines_grows_with_the_layer_and_starts_low_outside_layers() -> None:
    """From 0.5 to 1 over three layers; the sum of (1, 2) and 2 times (3, 0) is (7, 2)."""
    names = [*(f"model.layers.{layer}.mlp.up_proj.weight" for layer in range(3)), "model.norm"]
    stacks = [stack_of([[1.0, 2.0], [3.0, 0.0]], (1, 2), name=name) for name in names]
    merged = merge_model(COMBINATIONS["lines"], stacks, lines.LinesParameters())
    for name, factor in zip(names, (0.5, 0.75, 1.0, 0.5), strict=True):
        near(merged[name], [7 * factor, 2 * factor])
    near(merge_one(COMBINATIONS["lines"], stacks[0], lines.LinesParameters(0.25)), [1.75, 0.5])


@pytest.mark.parametrize("ranked_in", ["model", "tensor"])
def test_pcb_of_one_model_is_its_strongest_elements(ranked_in: str) -> None:
    parameters = pcb.PcbParameters(density=0.5, ranked_in=ranked_in)
    # Of the three kept ones, the least has weight 0.
    near(merge_one(COMBINATIONS["pcb"], stack_of([A]), parameters), [0.9, 0, 0, 0.5, 0, 0])


def test_pcb_by_hand() -> None:
    deltas = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    within = np.exp(2 * deltas**2 / 4) / np.exp(2 * deltas**2 / 4).sum(axis=1, keepdims=True)
    self_part = np.exp(deltas**2 / 4) / np.exp(deltas**2 / 4).sum(axis=1, keepdims=True)
    cross = np.exp([0.0, 1.0, 0.0]) / np.exp([0.0, 1.0, 0.0]).sum()
    score = within * (self_part + cross)
    assert np.argsort(score[0]).tolist() == [2, 1, 0]
    weight = np.array([[1, (score[0, 1] - score[0, 2]) / (score[0, 0] - score[0, 2]), 0]])
    weight = np.vstack([weight, weight[:, ::-1]])
    expected = (weight * deltas).sum(axis=0) / weight.sum(axis=0)
    near(
        merge_one(COMBINATIONS["pcb"], stack_of(deltas), pcb.PcbParameters(1.0)), expected.tolist()
    )


ROOT, TWO_ROWS = 0.5**0.5, [[[3.0, 0.0], [1.0, 1.0]], [[0.0, 3.0], [1.0, 1.0]]]
COLUMNS = [[[1.0, 1.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 1.0]]]


@pytest.mark.parametrize(
    ("name", "parameters", "deltas", "coefficients", "expected"),
    [
        # cos = 1/sqrt(2), t = sqrt(2) / (1 + 1/sqrt(2)), times the mean (1, 1/2)
        ("model_stock", {}, [[1.0, 0.0], [1.0, 1.0]], (1, 1), [0.82843, 0.41421]),
        ("model_stock", {}, [[1.0, 0.0], [-1.0, 0.0]], (1, 1), [0, 0]),
        ("model_stock", {"angles_of": "row"}, TWO_ROWS, (1, 1), [0, 0, 1, 1]),
        # 2/3 of 90 degrees: sin 30 of the first, sin 60 of the second
        ("nuslerp", {}, [[1.0, 0.0], [0.0, 2.0]], (1, 2), [0.5, 3**0.5]),
        ("nuslerp", {}, [[1.0, 0.0], [0.0, 2.0]], (1, -1), [ROOT, 2 * ROOT]),
        ("nuslerp", {"vectors": "column"}, COLUMNS, (1, 1), [ROOT, 1, ROOT, 1]),
        ("nuslerp", {"vectors": "row"}, TWO_ROWS, (1, 1), [3 * ROOT, 3 * ROOT, 1, 1]),
        # the direction of both directions' mean, 3.5 long
        ("multislerp", {}, [[3.0, 0.0], [0.0, 4.0]], (1, 1), [3.5 * ROOT, 3.5 * ROOT]),
        ("multislerp", {}, [[3.0, 0.0], [-3.0, 0.0]], (3, 1), [3.0, 0]),
        ("karcher", {}, [[3.0, 0.0], [0.0, 4.0]], (1, 1), [3.5 * ROOT, 3.5 * ROOT]),
        # angles of 0, 90 and 90 degrees have the mean 60
        ("karcher", {}, [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], (1, 1, 1), [0.5, 0.75**0.5]),
        ("nearswap", {"t": 0.2}, [[0.5, -2.0, 0.1]], (1,), [0.2, -0.2, 0.1]),
        ("nearswap", {"t": 0.2}, [[1.0, 1.0], [1.5, 0.9]], (1, 2), [1.4, 0.9]),
        # quartiles 2, 3 and 4 tenths: above 3 + 1.5 * (4 - 2)
        ("arcee_fusion", {}, [[0.2, -0.4, 0.3, 0.1, -0.7]], (1,), [0, 0, 0, 0, -0.7]),
        ("della_linear", {"drop": 0.0, "window": 0.0}, [A, B], (2, 0), [2 * a for a in A]),
        # the first takes 3 and 4, the second what it has besides
        ("cabs", {"n": 1, "m": 2}, [[1.0, 3, 4, 2], [2.0, 9, 8, -1]], (1, 2), [4, 3, 4, -2]),
        # two elements each: both keep the third
        (
            "localize_and_stitch",
            {"density": 0.5},
            [[4.0, 0.1, 3.0, 0.2], [0.3, -0.1, 5.0, -2.0]],
            (1, 1),
            [4, 0, 4, -2],
        ),
        ("magmax", {"scale": 2.0}, [[1.0, -2.0, 0.5], [-0.6, 1.0, -1.0]], (1, 1.5), [2, -4, -3]),
        ("ram", {}, [[1.0, 2.0, 0.0], [3.0, 0.0, 1e-6]], (1, 1), [2, 2, 0]),
        # the first has 2 changes shared for 1 own, which counts as 1.5: 2 times 1.15
        (
            "ramplus_tl",
            {"alpha": 1.5},
            [[1.0, 2.0, 0.0, 4.0], [3.0, 0.0, 0.0, 1.0]],
            (1, 1),
            [2, 2.3, 0, 2.5],
        ),
    ],
)
def test_a_method_of_mergekit_by_hand(
    name: str, parameters: dict[str, object], deltas: object, coefficients: tuple, expected: list
) -> None:
    settings = get_method(name).parameters(**parameters)
    near(merge_one(COMBINATIONS[name], stack_of(deltas, coefficients), settings), expected)
