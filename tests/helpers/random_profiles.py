"""Profiles and numbers drawn by hypothesis, for property tests."""

import numpy as np
from hypothesis import strategies as st
from jaxtyping import Float32

from dppa_core.checkpoints.chunks import Loader, TensorPair
from dppa_core.kernels import get_backend
from dppa_core.profiling.binning import profile_tensor
from dppa_core.pruning.delta_profile import DeltaProfile, ModuleProfile
from dppa_core.pruning.module_groups import Module

LEVELS = st.lists(
    st.floats(0, 0.99, allow_subnormal=False), min_size=1, max_size=5, unique=True
).map(lambda rates: tuple(sorted(rates, reverse=True)))


def module(index: int, numel: int) -> Module:
    name = f"layers.{index // 2}.{'q_proj' if index % 2 else 'up_proj'}"
    kind = "q" if index % 2 else "up"
    return Module(name, f"model.{name}.weight", index // 2, kind, numel, (1, numel))


def profile_of(delta: Float32[np.ndarray, " n"], index: int = 0) -> ModuleProfile:
    """The profile of a delta whose base is zero."""
    zero = np.zeros_like(delta)
    pair = TensorPair("a tensor", zero, "F32", delta, "F32")
    return profile_tensor(Loader(get_backend("numba")), module(index, delta.size), pair)


@st.composite
def deltas(draw: st.DrawFn, largest: int = 200) -> np.ndarray:
    """A float32 delta with few or many ties, zeros and outliers among its elements."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    numel = draw(st.integers(1, largest))
    steps = draw(st.sampled_from([1, 3, 20, 10**6]))
    heavy = rng.standard_t(draw(st.integers(1, 6)), numel)
    values = np.round(np.clip(heavy, -100, 100) * steps) / steps
    values[rng.random(numel) < draw(st.sampled_from([0, 0.3, 0.95, 1]))] = 0
    return values.astype(np.float32)


DELTA_LISTS = st.lists(deltas(), min_size=1, max_size=8)
"""Deltas of 1 to 8 modules, to be given to `pair`: profiles are made outside of strategies."""


def pair(drawn_deltas: list[np.ndarray]) -> DeltaProfile:
    """A profile of modules of different sizes."""
    modules = tuple(profile_of(delta, index) for index, delta in enumerate(drawn_deltas))
    return DeltaProfile("base", "tuned", modules, 0)
