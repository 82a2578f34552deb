"""Parallel tasks: results and errors in the order of tasks, for any number of workers."""

import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from dppa_core.checkpoints import chunks
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import Cancelled, InvalidValue, NonFiniteWeights
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.profiling.profile import profile_delta
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.system.threads import (
    SharedValue,
    SparePool,
    available_cores,
    side_by_side,
    worker_count,
)
from tests.helpers.tiny_models import TinyLlama, random_llama, tuned_llama

WORKERS = (1, 2, 5)


@pytest.mark.parametrize("workers", WORKERS)
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    first_may_end = threading.Event()

    def task(number: int) -> Callable[[], int]:
        def run() -> int:
            if number == 1:
                first_may_end.set()
            if number == 0 and workers > 1:
                assert first_may_end.wait(10)  # ends after the second
            return number

        return run

    assert list(side_by_side(map(task, range(20)), workers)) == list(range(20))


@pytest.mark.parametrize("workers", WORKERS)
def test_the_first_error_in_the_order_of_tasks_is_raised_and_no_more_begin(workers: int) -> None:
    begun, before = [], set(threading.enumerate())

    def task(number: int) -> Callable[[], None]:
        def run() -> None:
            begun.append(number)
            if number >= 3:
                raise InvalidValue(f"task {number}")

        return run

    with pytest.raises(InvalidValue, match="task 3"):
        list(side_by_side(map(task, range(10_000)), workers))
    assert len(begun) <= 4 + 2 * workers
    assert not [t for t in set(threading.enumerate()) - before if t.name.startswith("dppa")]


class _Result:
    """Can be weakly referenced."""


@pytest.mark.parametrize("workers", WORKERS)
def test_results_that_were_handed_out_are_let_go_of(workers: int) -> None:
    results: list[weakref.ref[_Result]] = []
    for result in side_by_side([_Result] * 20, workers):
        results.append(weakref.ref(result))
        alive = [reference for reference in results[:-1] if reference() is not None]
        assert len(alive) <= 1 + workers  # one has a name here, threads will soon drop theirs
    del result
    assert not [reference for reference in results if reference() is not None]


def test_a_shared_value_is_made_once_and_let_go_of() -> None:
    values: list[weakref.ref[set[int]]] = []

    def make() -> set[int]:
        value = {1}
        values.append(weakref.ref(value))
        return value

    shared = SharedValue(make, users=8)

    def use() -> int:
        with shared.use() as value:
            return len(value)

    assert list(side_by_side([use] * 8, 4)) == [1] * 8
    assert len(values) == 1 and values[0]() is None


def test_what_is_to_spare_is_nobody_elses() -> None:
    spare = SparePool(list[int])

    def use() -> bool:
        with spare.use() as buffer:
            buffer.append(0)
            alone = len(buffer) == 1
            buffer.clear()
            return alone

    assert all(side_by_side([use] * 200, 4))
    assert 1 <= len(spare._idle) <= 4


def test_the_number_of_workers() -> None:
    assert worker_count(3) == 3 and worker_count(None) == available_cores() >= 1
    with pytest.raises(InvalidValue, match="1 or more, got 0"):
        worker_count(0)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A base and two domain models whose tensors are cut into many slices."""
    monkeypatch.setattr(chunks, "SLICE", 512)
    monkeypatch.setattr(chunks, "CHUNK", 512)
    base = random_llama(0)
    base.save(tmp_path / "base")
    for seed, name in enumerate(("math", "law")):
        tuned_llama(base, seed + 1).save(tmp_path / name)
    return tmp_path


def recipe(root: Path, method: str = "dppa") -> MergeRecipe:
    levels = {"dppa": (0.9, 0.8), "dare": (0.8,)}[method]
    factors = (1.3, 1.0)[: len(levels)]
    tuned = tuple(DomainModel(str(root / n), levels, factors, 0.7) for n in ("math", "law"))
    parameters = {"other_tensors": "prune"}
    return MergeRecipe(str(root / "base"), tuned, method, parameters=parameters)


@pytest.mark.cases(3)
@pytest.mark.parametrize("method", ["dppa", "dare"])
@pytest.mark.parametrize("workers", WORKERS)
def test_the_bytes_of_a_merge_do_not_depend_on_workers_or_slices(
    models: Path, monkeypatch: pytest.MonkeyPatch, method: str, workers: int
) -> None:
    sliced = merge_to_folder(recipe(models, method), models / "sliced", workers=workers)
    monkeypatch.undo()
    whole = merge_to_folder(recipe(models, method), models / "whole", workers=1)
    assert sliced.sha256 == whole.sha256 and sliced.densities == whole.densities


@pytest.mark.parametrize("workers", WORKERS)
def test_a_merge_reports_every_tensor_in_order(models: Path, workers: int) -> None:
    reports: list[tuple[int, int, str]] = []
    merge = recipe(models, "dare")
    merge_to_folder(
        merge, models / "out", workers=workers, progress=lambda *now: reports.append(now)
    )
    assert [number for number, _, _ in reports] == list(range(1, reports[-1][1] + 1))
    assert len({name for _, _, name in reports}) == len(reports)


@pytest.mark.parametrize("workers", WORKERS)
def test_the_same_weight_is_named_whatever_the_number_of_workers(
    models: Path, workers: int
) -> None:
    """Two tensors are not finite: the first in the order of the file is named."""
    llama = tuned_llama(random_llama(0), 1)
    arrays = {name: array.copy() for name, array in llama.arrays.items()}
    for layer in (0, 1):
        arrays[f"model.layers.{layer}.mlp.up_proj.weight"][-1, -1] = float("nan")
    TinyLlama(llama.shape, arrays).save(models / "math")
    for method in ("dppa", "dare"):
        with pytest.raises(NonFiniteWeights, match="layers.0.mlp.up_proj.*at element 1535"):
            merge_to_folder(recipe(models, method), models / "out", workers=workers)
    assert not (models / "out").exists()


@pytest.mark.parametrize("workers", WORKERS)
def test_a_stop_reaches_every_worker(models: Path, workers: int) -> None:
    stop = threading.Event()

    def progress(number: int, total: int, tensor: str) -> None:
        if number == 5:
            stop.set()

    with pytest.raises(Cancelled):
        merge_to_folder(
            recipe(models, "dare"), models / "out", workers=workers, progress=progress, stop=stop
        )
    assert sorted(path.name for path in models.iterdir()) == ["base", "law", "math"]


@pytest.mark.parametrize("workers", WORKERS)
def test_a_profile_does_not_depend_on_workers(models: Path, workers: int) -> None:
    pair = open_checkpoint(str(models / "base")), open_checkpoint(str(models / "math"))
    alone, together = (profile_delta(*pair, workers=n) for n in (1, workers))
    for module, same in zip(alone.modules, together.modules, strict=True):
        assert module.module == same.module and module.base_square == same.base_square
        for name in ("magnitudes", "counts", "excess"):
            assert getattr(module, name).tobytes() == getattr(same, name).tobytes()
