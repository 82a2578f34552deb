"""Drawn: DARE's own draws, and a file of values alone."""

import math

import numpy as np
import pytest

from dppa_core.forms.contract import Delta, Place, code_bytes
from dppa_core.forms.drawn import FORM, DrawnParameters, decode, encode
from dppa_core.forms.store import Store, StorePart
from dppa_core.pruning.floats import from_float32, to_float32
from dppa_core.pruning.tie_breaking import drop_cut, drop_seed

PLACE = Place("layers.0.mlp.up_proj.weight", "zoo:math")


def kept(delta: Delta, **settings: float) -> Delta:
    store = Store((StorePart(FORM, DrawnParameters(**settings)),))  # type: ignore[arg-type]
    return store.decode(store.encode(delta, PLACE), delta.shape, PLACE)


def survives(index: int, seed: int, rate: float) -> bool:
    """The rule in whole numbers: splitmix64's finaliser of index + seed, below the cut."""
    wrap, z = 2**64 - 1, (index + seed) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & wrap
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & wrap
    return z ^ (z >> 31) < drop_cut(rate)


@pytest.mark.parametrize("rate", [0.0, 0.5, 0.95])
def test_the_elements_are_those_that_dare_draws(rate: float) -> None:
    delta = np.random.default_rng(0).standard_normal((20, 30), np.float32)
    seed = drop_seed(PLACE.tensor, PLACE.model, 7)
    drawn = np.array([survives(index, seed, rate) for index in range(600)]).reshape(20, 30)
    rounded = to_float32(from_float32(delta, "BF16"), "BF16")
    expected = np.where(drawn, rounded * np.float32(1 / (1 - rate)), np.float32(0))
    assert np.array_equal(kept(delta, rate=rate, seed=7), expected)
    assert np.array_equal(kept(delta, rate=rate, seed=7, factor=2) != 0, drawn)


def test_a_file_holds_two_bytes_for_each_element_and_none_for_its_place() -> None:
    delta = np.random.default_rng(0).standard_normal((100, 300), np.float32)
    nbytes = code_bytes(encode(delta, DrawnParameters(rate=0.99), PLACE))
    assert nbytes == pytest.approx(2 * 300, abs=2 * 4 * math.sqrt(300))
    assert nbytes == 2 * np.count_nonzero(kept(delta, rate=0.99))


def test_models_and_tensors_draw_apart() -> None:
    delta = np.ones((40, 40), np.float32)
    parameters = DrawnParameters(rate=0.5)
    places = [PLACE, Place(PLACE.tensor, "zoo:law"), Place("another.weight", PLACE.model)]
    draws = [decode(encode(delta, parameters, p), delta.shape, parameters, p) for p in places]
    for n, other in ((0, 1), (0, 2), (1, 2)):
        assert np.mean(draws[n] == draws[other]) == pytest.approx(0.5, abs=0.06)
