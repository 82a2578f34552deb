"""Whole tensors merged in one pass: the bytes of the chunked pass, ties included."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppa_core.checkpoints.chunks import Loader, TensorPair
from dppa_core.kernels import get_backend
from dppa_core.merging.passes.chunk_pass import ChunkPass
from dppa_core.merging.passes.deltas import PlannedDelta, TensorStack, fix_treatment
from dppa_core.merging.passes.whole_pass import PassBuffers, SettledCuts, merge_whole
from dppa_core.methods.shared.treatment import (
    Banded,
    DroppedTreatment,
    RandomDrop,
    Treatment,
    WholeTreatment,
)
from dppa_core.profiling.binning import profile_tensor
from dppa_core.pruning.delta_profile import ModuleProfile
from dppa_core.pruning.floats import from_float32, to_float32
from dppa_core.pruning.module_groups import Module
from dppa_core.pruning.partition import select

NAME, SIZE = "model.layers.0.mlp.up_proj.weight", 5001
SCRATCH, LOADER = PassBuffers(), Loader(get_backend("numba"))
BOTH = ("base", "tuned")


def pair_of(seed: int, steps: int, base: np.ndarray) -> TensorPair:
    """A domain model; the fewer distinct deltas, the more ties."""
    rng = np.random.default_rng(seed)
    delta = np.round(rng.standard_t(4, SIZE) * steps) / steps * 0.002
    tuned = from_float32((to_float32(base, "BF16") + delta).astype(np.float32), "BF16")
    return TensorPair(NAME, base, "BF16", tuned, "BF16")


def profiled(pair: TensorPair, *, bins: bool) -> ModuleProfile:
    """The profile of a tensor, on request with open bins like a large one's."""
    module = Module(NAME, NAME, 0, "up", SIZE, (SIZE,))
    with pytest.MonkeyPatch.context() as patch:
        if bins:
            patch.setattr("dppa_core.profiling.binning.EXACT_NUMEL", 0)
        return profile_tensor(LOADER, module, pair, BOTH)


def in_chunks(pairs: Sequence[TensorPair], treatments: Sequence[Treatment]) -> np.ndarray:
    """The same by the pass that reads thresholds first."""
    deltas = tuple(fix_treatment(LOADER, delta, BOTH[0], 0) for delta in planned(pairs, treatments))
    stack = TensorStack(NAME, (SIZE,), pairs[0].base, "BF16", "BF16", deltas)
    return ChunkPass(LOADER).merge(stack, 0, SIZE)


def planned(pairs: Sequence[TensorPair], treatments: Sequence[Treatment]) -> list[PlannedDelta]:
    return [
        PlannedDelta(pair, BOTH[1], treatment, 0.7)
        for pair, treatment in zip(pairs, treatments, strict=True)
    ]


def base_of(seed: int) -> np.ndarray:
    """Weights of very different sizes, so that some deltas need all their bits."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=SIZE) * 10.0 ** rng.integers(-7, 0, SIZE)
    weights[1500:1503] = -0.0
    return from_float32(weights.astype(np.float32), "BF16")


DENSITIES = [round(k / 40, 3) for k in range(1, 40)]
LEVELS = st.lists(st.sampled_from(DENSITIES), min_size=1, max_size=2)


@given(
    st.integers(0, 99),
    st.sampled_from([1, 3, 100, 10**5]),
    st.lists(LEVELS, min_size=1, max_size=3),
    st.sampled_from(["exact", "prune"]),
    st.booleans(),
)
def test_the_bytes_are_those_of_the_pass_in_chunks(
    seed: int, steps: int, levels: list[list[float]], ties: str, bins: bool
) -> None:
    base = base_of(seed)
    pairs = [pair_of(seed + number, steps, base) for number in range(len(levels))]
    treatments, others = [], []
    for pair, rates in zip(pairs, levels, strict=True):
        profile, falling = profiled(pair, bins=bins), sorted(set(rates), reverse=True)
        selections = tuple(select(profile, 1 - rate, ties) for rate in falling)
        treatments.append(Banded(selections, (1.6, 0.9)[: len(falling)]))
        others.append(Banded(selections, (-0.3, 2.0)[: len(falling)]))
    out, settled = np.zeros(SIZE, np.uint16), dict[str, SettledCuts]()
    for choice in (
        treatments,
        others,
        treatments[:-1] + [DroppedTreatment()],
    ):  # once with new factors only
        if any(not isinstance(treatment, DroppedTreatment) for treatment in choice):
            assert merge_whole(planned(pairs, choice), out, SCRATCH, settled)
            assert np.array_equal(out, in_chunks(pairs, choice))


def test_new_factors_look_at_no_tie_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    base = base_of(1)
    pair, settled = pair_of(1, 3, base), dict[str, SettledCuts]()
    selections = (select(profiled(pair, bins=False), 0.3),)
    first, second = ([Banded(selections, (factor,))] for factor in (1.0, 2.0))
    out = np.zeros(SIZE, np.uint16)
    assert merge_whole(planned([pair], first), out, SCRATCH, settled)
    monkeypatch.delattr("dppa_core.kernels.whole.sweep")
    assert merge_whole(planned([pair], second), out, SCRATCH, settled)
    assert np.array_equal(out, in_chunks([pair], second))


def test_open_bins_are_met_at_all() -> None:
    pair = pair_of(3, 10**5, base_of(3))
    profile = profiled(pair, bins=True)
    assert any(select(profile, density).open for density in DENSITIES)


def test_whole_and_dropped_deltas_are_merged_too() -> None:
    base = base_of(1)
    pairs = [pair_of(number, 3, base) for number in range(3)]
    treatments = [WholeTreatment(), DroppedTreatment(), WholeTreatment(0.5)]
    pairs[0].finetuned.flags.writeable = False  # as a mapped file is
    out = np.zeros(SIZE, np.uint16)
    assert merge_whole(planned(pairs, treatments), out, SCRATCH, {})
    assert np.array_equal(out, in_chunks(pairs, treatments))


def test_what_it_cannot_do_it_leaves_to_the_other_pass() -> None:
    base, out = base_of(1), np.zeros(SIZE, np.uint16)
    pairs = [pair_of(number, 3, base) for number in range(2)]

    def succeeds(*treatments: Treatment) -> bool:
        deltas = planned([*pairs, *pairs][: len(treatments)], treatments)
        return merge_whole(deltas, out, SCRATCH, {})

    assert not succeeds(DroppedTreatment(), DroppedTreatment())
    assert not succeeds(WholeTreatment(), RandomDrop(0.5, 2.0))
    assert not succeeds(
        WholeTreatment(), WholeTreatment(), WholeTreatment(), WholeTreatment()
    )  # one model too many
    pairs[1].finetuned[7] = 0x7F61  # 3e38: the sum is too large
    assert not succeeds(WholeTreatment(), WholeTreatment(4.0))
    pairs[1].finetuned[7] = 0x7FC0  # NaN
    assert not succeeds(WholeTreatment(), WholeTreatment())


def test_a_tensor_that_was_not_the_profiled_one_is_refused() -> None:
    base, out = base_of(1), np.zeros(SIZE, np.uint16)
    pairs = [pair_of(number, 3, base) for number in range(2)]
    profile = profiled(pairs[0], bins=False)
    banded = Banded((select(profile, 0.2),), (1.0,))
    swapped = [pairs[1], pairs[1]]
    assert not merge_whole(planned(swapped, [banded, banded]), out, SCRATCH, {})
