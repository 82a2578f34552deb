"""The torch loops on a device: on the CPU, and on CUDA if available, with the same bytes."""

from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from dppa_core.errors import InvalidValue
from dppa_core.kernels import get_backend
from dppa_core.kernels.cuda_backend import on_device
from dppa_core.kernels.protocol import Kernels, Tally
from dppa_core.merging.merger import open_merger
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.conftest import NO_CUDA
from tests.helpers.tiny_models import random_llama, tuned_llama

pytestmark = pytest.mark.usefixtures("one_torch_thread")

N = 3000
CPU = torch.device("cpu")
with_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_CUDA)
DEVICES = [
    pytest.param(lambda: on_device(CPU), id="cpu"),
    pytest.param(lambda: get_backend("cuda"), id="cuda", marks=with_cuda),
]


def arguments(dtype: str) -> dict[str, list[Any]]:
    """Loop -> its arguments: ties, zeros, tiny and large numbers among them."""
    rng = np.random.default_rng(3)
    base = rng.normal(size=N).astype(np.float32)
    tuned = base + np.round(rng.standard_t(3, N), 1).astype(np.float32)
    tuned[::7], base[::13], tuned[::13] = base[::7], 1e-45, 3e-39
    acc, scores = base + np.float32(0.3), np.abs(tuned)
    raw = np.zeros(N, np.uint16)
    if dtype == "BF16":
        base, tuned = (values.view(np.uint32).astype(np.uint64) >> 16 for values in (base, tuned))
        base, tuned = base.astype(np.uint16), tuned.astype(np.uint16)
    cuts = np.array([2**63, 5], np.uint64)
    bands = np.array([0.9, 0.5], np.float32), cuts, np.array([1.6, 0.7], np.float32)
    return {
        "widen": [raw + np.uint16(0x3F81), acc.copy()],
        "narrow": [acc.copy(), raw],
        "add_whole": [acc.copy(), base, tuned, 0.3],
        "add_bands": [acc.copy(), base, tuned, 7, 2**63 + 5, bands],
        "add_random": [acc.copy(), base, tuned, 7, 2**63 + 5, 2**62, 0.3],
        "score": [base, tuned, scores, acc.copy()],
        "score_random": [base, tuned, 7, 11, acc.copy()],
        "add_ranked": [acc.copy(), base, tuned, scores, 7, 11, bands],
        "sum_by_bin": [base, tuned, scores, np.zeros((1 << 19, 2))],
        "sum_squares": [base, np.zeros(64)],
        "split_bin": [base, tuned, 0x3F800000 >> 14, np.zeros(1 << 14, np.int64)],
        "gather_tied": [
            *(base, tuned, 7, 11, (bands[0], cuts // np.uint64(2), cuts)),
            (np.zeros((2, 3), np.int64), np.zeros((2, N), np.uint64)),
        ],
    }


def arrays(arguments: Iterable[object]) -> list[np.ndarray]:
    """The arrays among a loop's arguments, those in tuples too."""
    nested = (argument if isinstance(argument, tuple) else (argument,) for argument in arguments)
    return [
        argument for argument in chain.from_iterable(nested) if isinstance(argument, np.ndarray)
    ]


@pytest.mark.cases(1)
@pytest.mark.parametrize("kernels", DEVICES)
@pytest.mark.parametrize("dtype", ["BF16", "F32"])
def test_every_loop_writes_the_bytes_of_numba(dtype: str, kernels: Callable[[], Kernels]) -> None:
    device, numba = kernels(), get_backend("numba")
    for name, inputs in arguments(dtype).items():
        again = arguments(dtype)[name]
        getattr(device, name)(*inputs)
        getattr(numba, name)(*again)
        for ours, theirs in zip(arrays(inputs), arrays(again), strict=True):
            assert ours.tobytes() == theirs.tobytes(), name
    base, tuned = arguments(dtype)["split_bin"][:2]
    drained = []
    for loops in (device, numba):
        tally = Tally()
        loops.histogram(base, tuned, tally)
        drained.append(loops.drain(tally))
    for part in ("words", "counts", "places"):
        assert getattr(drained[0], part).tobytes() == getattr(drained[1], part).tobytes()
    values = np.array([-3, 2], np.float32)
    assert device.largest(values) == numba.largest(values) == 3


@pytest.fixture
def recipe(tmp_path: Path) -> MergeRecipe:
    base = random_llama(0)
    base.save(tmp_path / "base")
    models = []
    for seed, name in enumerate(("math", "law"), start=1):
        folder = tuned_llama(base, seed).save(tmp_path / name)
        models.append(DomainModel(str(folder), (0.9, 0.7), (1.5, 1.0), 0.7))
    return MergeRecipe(str(tmp_path / "base"), tuple(models))


@with_cuda
@pytest.mark.parametrize("method", ["dppa", "ties"])
def test_a_merge_on_cuda_has_the_bytes_of_numba(recipe: MergeRecipe, method: str) -> None:
    numba, cuda = open_merger(recipe), open_merger(recipe, backend="cuda")
    for name in numba.names():
        assert numba.tensor(name)[2].tobytes() == cuda.tensor(name)[2].tobytes(), name


# Loops that never read a value back: PyTorch can simulate them on a device.
BLIND = ("widen", "narrow", "add_whole", "add_bands", "add_random")
BLIND += ("score", "score_random", "add_ranked", "sum_by_bin", "sum_squares")


@pytest.mark.parametrize("name", BLIND)
def test_no_loop_mixes_tensors_of_two_devices(name: str) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        getattr(on_device(torch.device("cuda")), name)(*arguments("F32")[name])


def test_mixing_them_would_be_noticed() -> None:
    with (
        FakeTensorMode(allow_non_fake_inputs=True),
        pytest.raises(RuntimeError, match="device"),
    ):
        torch.ones(3, device="cuda") + torch.ones(3)


def test_without_a_device_one_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidValue, match="sees no CUDA device here"):
        get_backend("cuda")
