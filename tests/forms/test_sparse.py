"""Sparse: hand numbers, the elements that magnitude pruning keeps, and bytes near the entropy."""

import math

import numpy as np
import pytest

from dppa_core.checkpoints.adapters.kept import KeptCheckpoint
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import InvalidValue
from dppa_core.forms.contract import Delta, Place, code_bytes, kept_energy
from dppa_core.forms.sparse import FORM, SparseParameters, encode
from dppa_core.forms.store import Store, StorePart, parse_store_text
from dppa_core.merging.merger import open_merger
from dppa_core.pruning.floats import to_float32
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe

Q = "self_attn.q_proj"
PLACE = Place("layers.0.mlp.up_proj.weight", "zoo:math")


def kept(delta: Delta, **settings: float) -> Delta:
    store = Store((StorePart(FORM, SparseParameters(**settings)),))  # type: ignore[arg-type]
    return store.decode(store.encode(delta, PLACE), delta.shape, PLACE)


def test_the_largest_elements_stay_times_the_factor() -> None:
    delta = np.array([[1, -3], [0.5, 2]], np.float32)
    assert np.array_equal(kept(delta, rate=0.5), np.array([[0, -3], [0, 2]], np.float32))
    assert np.array_equal(
        kept(delta, rate=0.75, factor=1.5), np.array([[0, -4.5], [0, 0]], np.float32)
    )


@pytest.mark.parametrize("rate", [0.9, 0.95])
@pytest.mark.parametrize(("method", "settings"), [("magnitude", ""), ("dppa", ",strength=0.08")])
def test_the_elements_are_those_of_the_method(method: str, settings: str, rate: float) -> None:
    names = [f"model.layers.{n}.{end}.weight" for n, end in ((0, "mlp.down_proj"), (2, Q), (3, Q))]
    base, tuned = map(open_checkpoint, ("zoo:base", "zoo:math"))
    models = (DomainModel("zoo:math", levels=(rate,)),)
    merger = open_merger(MergeRecipe("zoo:base", models, method=method, dtype="float32"))
    kept = KeptCheckpoint(base, tuned, parse_store_text(f"sparse(rate={rate}{settings})"), "")
    shares = set()
    for name in names:
        before, after = (to_float32(model.raw(name), model.dtype(name)) for model in (base, kept))
        merged = merger.tensor(name)[2].reshape(-1) != before
        assert np.array_equal(merged, after != before)
        shares.add(round(float(np.mean(merged)), 4))
    assert len(shares) == (1 if method == "magnitude" else 3)


def test_zeros_are_never_kept_and_of_equal_elements_as_many_as_there_is_room() -> None:
    delta = np.zeros((4, 5), np.float32)
    assert code_bytes(encode(delta, SparseParameters(rate=0), PLACE)) < 40
    delta[:2] = [[1, -1, 1, -1, 1]] * 2
    assert np.count_nonzero(kept(delta, rate=0.75)) == 5
    assert np.array_equal(kept(delta, rate=0.1), delta)


@pytest.mark.parametrize("rate", [0.8, 0.9, 0.99])
def test_bytes_are_two_a_value_and_nearly_the_entropy_of_the_places(rate: float) -> None:
    delta = np.random.default_rng(0).standard_normal((512, 512), np.float32)
    entropy = -(rate * math.log2(rate) + (1 - rate) * math.log2(1 - rate)) / 8
    nbytes = code_bytes(encode(delta, SparseParameters(rate=rate), PLACE))
    assert nbytes == pytest.approx(delta.size * ((1 - rate) * 2 + entropy), rel=0.03)


def test_fewer_bits_lose_little_of_what_is_kept() -> None:
    delta = np.random.default_rng(0).standard_normal((64, 100), np.float32)
    whole = kept(delta, rate=0.9)
    for bits, share in ((8, 0.9999), (4, 0.99)):
        assert kept_energy(whole, kept(delta, rate=0.9, bits=bits)) > share
        codes = encode(delta, SparseParameters(rate=0.9, bits=bits), PLACE)
        assert codes["codes"].nbytes == 640 * bits // 8 and codes["steps"].nbytes == 20
    with pytest.raises(InvalidValue, match="bits must be 4, 8 or 16, got 5"):
        SparseParameters(bits=5)
