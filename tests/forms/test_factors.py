"""Products as their factors: hand numbers, and numpy's decomposition as the slow reference."""

import numpy as np
import pytest

from dppa_core.forms.contract import kept_energy
from dppa_core.forms.factors import (
    Factors,
    energy_of,
    joined,
    lost_of_matrix,
    lost_of_product,
    reduced,
    truncated,
)


def random_factors(rows: int, columns: int, rank: int, seed: int = 0) -> Factors:
    draw = np.random.default_rng(seed)
    left, right = draw.normal(size=(rows, rank)), draw.normal(size=(rank, columns))
    return Factors(left.astype(np.float32), right.astype(np.float32))


def product(factors: Factors) -> np.ndarray:
    return factors.left.astype(np.float64) @ factors.right.astype(np.float64)


def by_numpy(delta: np.ndarray, rank: int) -> np.ndarray:
    left, values, right = np.linalg.svd(delta, full_matrices=False)
    return np.asarray((left[:, :rank] * values[:rank]) @ right[:rank])


def test_two_directions_by_hand() -> None:
    first = Factors(np.array([[1], [0]], np.float32), np.array([[3, 0]], np.float32))
    second = Factors(np.array([[0], [2]], np.float32), np.array([[0, 1]], np.float32))
    total = joined((first, second), (1.0, -2.0))
    assert np.array_equal(product(total), [[3, 0], [0, -4]])
    assert energy_of(total) == 25
    kept = reduced(total, 1)
    assert np.allclose(product(kept), [[0, 0], [0, -4]], atol=1e-6)
    assert lost_of_product(total, kept) == pytest.approx(9, abs=1e-5)


@pytest.mark.parametrize(("rows", "columns"), [(30, 20), (20, 30), (3, 30)])
def test_a_reduced_product_is_numpys_truncated_decomposition(rows: int, columns: int) -> None:
    whole = random_factors(rows, columns, 9)
    for kept in (reduced(whole, 2), truncated(product(whole).astype(np.float32), 2)):
        assert kept.rank == 2
        np.testing.assert_allclose(product(kept), by_numpy(product(whole), 2), atol=1e-4)


def test_what_is_lost_is_the_distance_of_the_matrices() -> None:
    whole = random_factors(600, 20, 5)
    kept, delta = reduced(whole, 3), product(whole).astype(np.float32)
    lost = np.square(delta - product(kept)).sum()
    assert lost_of_matrix(delta, kept) == pytest.approx(lost, rel=1e-5)
    assert lost_of_product(whole, kept) == pytest.approx(lost, rel=1e-5)
    share = kept_energy(delta, product(kept).astype(np.float32))
    assert 1 - lost_of_matrix(delta, kept) / lost_of_matrix(delta) == pytest.approx(share, rel=1e-5)


def test_equal_parts_fill_no_rank_twice_and_nothing_has_none() -> None:
    part = random_factors(8, 8, 2)
    assert reduced(joined((part, part), (1.0, 0.5)), 8).rank == 2
    assert truncated(np.zeros((4, 5), np.float32), 3).rank == 0
