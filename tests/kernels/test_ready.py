"""Nothing waits for the compiler: torch computes until all loops are compiled, once."""

import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from dppa_core.kernels import binned, ready
from dppa_core.profiling import bin_loops
from dppa_core.system.folder_cache import store
from dppa_core.system.locks import lock_folder

ROOT = Path(__file__).resolve().parents[2]


def run_alone(function: str, cwd: Path, zoo: Path, **env: str) -> None:
    """In a new interpreter, in a new folder."""
    script = f"from tests.helpers.every_loop import {function}; {function}()"
    settings = {"PYTHONPATH": str(ROOT), "DPPA_ZOO": str(zoo), "DPPA_CACHE": str(cwd / "cache")}
    command = [sys.executable, "-c", script]
    process = subprocess.run(
        command, cwd=cwd, env={**os.environ, **settings, **env}, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr


@pytest.mark.long
def test_merges_and_packs_have_their_recorded_bytes_without_numba(
    tiny_zoo: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache" / "compiled").mkdir(parents=True)
    lock = lock_folder(tmp_path / "cache" / "compiled")  # as if another process compiled
    run_alone("merge_without_numba", tmp_path, tiny_zoo, DPPA_COMPILE="1")
    os.close(lock)


@pytest.mark.long
def test_after_compiling_no_merge_profile_or_analysis_compiles_anything(
    tiny_zoo: Path, tmp_path: Path
) -> None:
    run_alone("use_every_loop", tmp_path, tiny_zoo, DPPA_COMPILE="0")


class Started:
    """Stands in for the compiling process, and counts its starts."""

    def __init__(self) -> None:
        self.commands = 0

    def __call__(self, command: list[str], **_: object) -> "Started":
        self.commands += 1
        return self

    def wait(self) -> int:
        return 0


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Started:
    process = Started()
    monkeypatch.setattr(subprocess, "Popen", process)
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))
    monkeypatch.setenv("DPPA_COMPILE", "1")
    return process


def test_torch_computes_while_one_process_compiles(started: Started) -> None:
    assert [ready.usual_backend(10) for _ in range(3)] == ["torch"] * 3
    assert started.commands == 1


def test_no_second_process_of_the_machine_compiles(started: Started, tmp_path: Path) -> None:
    (tmp_path / "compiled").mkdir()
    lock = lock_folder(tmp_path / "compiled")
    assert ready.usual_backend(10) == "torch"
    os.close(lock)
    assert started.commands == 0


def test_numba_computes_large_work_and_all_work_once_it_is_compiled(
    started: Started, tmp_path: Path
) -> None:
    assert ready.usual_backend(ready.MIN_COMPILED_WORK) == "numba"
    index = tmp_path / "widen.nbi"
    index.touch()
    store(ready.marker_file(), os.fsencode(index))
    assert ready.usual_backend(10) == "numba" and started.commands == 0
    index.unlink()  # numba's cache was deleted
    assert ready.usual_backend(10) == "torch" and started.commands == 1


def test_numba_computes_at_once_where_compiling_ahead_is_switched_off(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_COMPILE", "0")
    assert ready.usual_backend(10) == "numba" and started.commands == 0


def test_numba_computes_at_once_where_nothing_can_be_kept(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "file"))
    assert ready.usual_backend(10) == "numba" and started.commands == 0


def test_another_cache_folder_or_machine_is_compiled_for_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    markers = [ready.marker_file()]
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    markers.append(ready.marker_file())
    monkeypatch.setattr(ready, "_machine", lambda: ("another",))
    markers.append(ready.marker_file())
    assert all(first != second for first, second in combinations(markers, 2))


@pytest.mark.parametrize("scored", [False, True])
def test_the_loops_over_bins_give_the_same_bytes_in_numpy(scored: bool) -> None:
    random = np.random.default_rng(0)
    parts = []
    for size in (3000, 5000):
        words = np.sort(random.choice(1 << 17, size, replace=False))
        counts, sums = random.integers(1, 1 << 20, size), random.random((size, 2))
        places = counts * random.integers(1, 1 << 14, size)
        parts.append((words, counts, places, sums if scored else np.empty((0, 2))))
    results = []
    for loops in (binned, bin_loops):
        words, counts, places = np.empty((3, 8000), np.int64)
        sums = np.empty((8000, 2)) if scored else np.empty((0, 2))
        size = loops.join(*parts, words, counts, places, sums)
        joined = [row[:size].copy() for row in (words, counts, places, sums)]
        bits, excess = np.empty(size, np.uint32), np.empty(size, np.float32)
        loops.unpack(*joined[:3], bits, excess)
        below, energy, products = np.empty(size + 1, np.int64), np.empty(size + 1), np.empty(size)
        loops.sum_up(bits, joined[1], excess, below, energy, products)
        results.append([row.tobytes() for row in (*joined, bits, excess, below, energy, products)])
    assert results[0] == results[1]
