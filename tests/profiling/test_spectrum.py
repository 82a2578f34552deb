"""Spectra of deltas: by hand, against torch, cached, and on the command line."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from dppa_core.checkpoints.in_memory import MemoryCheckpoint
from dppa_core.errors import Cancelled, NonFiniteWeights
from dppa_core.profiling import spectrum as spectra
from dppa_core.profiling.delta_spectrum import (
    DeltaSpectrum,
    MatrixSpectrum,
    effective_rank,
    overlap,
    spectrum_cells,
)
from dppa_core.profiling.spectrum import cached_spectrum, decompose_delta, is_decomposed
from dppa_core.pruning.module_groups import Module
from dppa_core.system.folder_cache import cache_folder
from tests.helpers.command import Command

MODULE = "model.layers.0.mlp.down_proj.weight"


def of(delta: object, tensor: str = MODULE, config: object = None) -> list[MatrixSpectrum]:
    """The spectra of one tensor's delta."""
    values = np.array(delta, np.float32)
    base = MemoryCheckpoint({tensor: np.zeros_like(values)})
    base.config = config or {}  # type: ignore[assignment]
    return list(decompose_delta(base, MemoryCheckpoint({tensor: values})).matrices)


def spanning(directions: Sequence[Sequence[float]]) -> MatrixSpectrum:
    rows = np.array(directions, np.float16)
    module = Module("m", "m", 0, "q", rows.size, rows.shape)
    return MatrixSpectrum(module, None, np.ones(len(rows), np.float32), rows)


# by hand


@pytest.mark.parametrize(
    ("values", "rank"),
    [([3, 1], 1), ([3, 1, 0.1], 2), ([2, 2, 2, 2], 4), ([1] * 10, 9), ([0, 0], 0), ([], 0)],
)
def test_the_effective_rank_holds_nine_tenths_of_the_squares(
    values: list[float], rank: int
) -> None:
    assert effective_rank(np.array(values, np.float32)) == rank


def test_the_overlap_is_the_mean_squared_cosine() -> None:
    plane = spanning([[1, 0, 0, 0], [0, 1, 0, 0]])
    sharing_a_line = overlap(plane, spanning([[1, 0, 0, 0], [0, 0, 1, 0]]))
    assert sharing_a_line is not None
    assert sharing_a_line == (0.5, 2, 4) and sharing_a_line.chance == 0.5
    tilted = overlap(plane, spanning([[0.5, 0, 0.75**0.5, 0]]))  # 60° from the first direction
    assert tilted is not None
    assert tilted.share == pytest.approx(0.25, abs=1e-3) and tilted.chance == 0.25
    assert overlap(plane, spanning([[0, 0, 1, 0], [0, 0, 0, 1]])) == (0.0, 2, 4)
    assert overlap(plane, of(np.zeros((4, 4)))[0]) is None


def test_directions_lie_on_the_side_of_the_inputs() -> None:
    """2 outputs, 3 inputs: the strong change reads input 1. GPT-2 stores inputs x outputs."""
    delta = np.array([[0, 3, 0], [0, 0, 1]])
    for stored, config in ((delta, {}), (delta.T, {"model_type": "gpt2"})):
        (matrix,) = of(stored, config=config)
        assert matrix.values.tolist() == [3, 1] and matrix.rank == 1
        np.testing.assert_array_equal(np.abs(matrix.directions), [[0, 1, 0]])


def test_each_expert_of_a_tensor_is_a_matrix() -> None:
    experts = of([np.diag([2, 0, 0]), np.eye(3)], "model.layers.0.mlp.experts.gate_up_proj")
    assert [matrix.rank for matrix in experts] == [1, 3]
    assert experts[1].name == "layers.0.mlp.experts.gate_up_proj[1]"


def test_cells_average_experts_and_show_how_the_energy_adds_up() -> None:
    """Squares of the values: 4, 0, 0 and 1, 1, 1; together 5, 1, 1."""
    experts = of([np.diag([2, 0, 0]), np.eye(3)], "model.layers.0.mlp.experts.gate_up_proj")
    spectrum = DeltaSpectrum("base", "a", tuple(experts))
    (cell,) = spectrum_cells([spectrum, spectrum])
    assert (cell["layer"], cell["kind"], cell["matrices"]) == (0, "gate_up", 2)
    assert cell["ranks"] == [2, 2] and cell["directions"] == 3 and cell["at"] == [1, 2, 3]
    assert cell["curves"][0]["values"] == pytest.approx([2.5**0.5, 0.5**0.5, 0.5**0.5], rel=1e-3)
    assert cell["curves"][0]["energy"] == pytest.approx([5 / 7, 6 / 7, 1], rel=1e-3)
    assert (cell["overlap"], cell["compared"]) == (1, 2) and cell["chance"] == 0.6667


# against torch


@pytest.mark.parametrize("shape", [(40, 90), (90, 40), (70, 70)])
def test_spectra_are_those_of_torch(shape: tuple[int, int]) -> None:
    delta = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    (matrix,) = of(delta)
    _, values, right = torch.linalg.svd(torch.from_numpy(delta).double(), full_matrices=False)
    np.testing.assert_allclose(matrix.values, values.numpy(), rtol=1e-5)
    assert len(matrix.directions) == min(matrix.rank, 32)
    turned = np.abs(matrix.directions @ right.numpy()[: len(matrix.directions)].T)
    np.testing.assert_allclose(turned, np.eye(len(turned)), atol=5e-3)


def test_random_changes_overlap_by_chance_and_equal_ones_wholly() -> None:
    rng = np.random.default_rng(1)
    first, second = (of(rng.normal(size=(80, 100)))[0] for _ in range(2))
    random, equal = overlap(first, second), overlap(first, first)
    assert random is not None and equal is not None
    assert random.share == pytest.approx(random.chance, abs=0.05) and random.chance == 0.32
    assert equal.share == pytest.approx(1, abs=1e-3)


# whole models


def test_any_number_of_workers_gives_the_same_spectrum(zoo_env: Path, tmp_path: Path) -> None:
    alone, beside = (
        decompose_delta(*spectra.open_aligned("zoo:base", "zoo:math")[0], workers=workers)
        for workers in (1, 3)
    )
    assert len(alone.matrices) == 14
    for matrix, same in zip(alone.matrices, beside.matrices, strict=True):
        assert matrix.name == same.name
        assert matrix.values.tobytes() == same.values.tobytes()
        assert matrix.directions.tobytes() == same.directions.tobytes()


def test_a_spectrum_is_cached_and_a_damaged_entry_made_again(
    zoo_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))
    assert not is_decomposed("zoo:base", "zoo:math")
    first = cached_spectrum("zoo:base", "zoo:math")
    (entry,) = cache_folder("spectra").iterdir()
    whole = entry.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(spectra, "decompose_delta", None)  # must not be needed again
        again = cached_spectrum("zoo:base", "zoo:math")
        assert is_decomposed("zoo:base", "zoo:math")
    for matrix, same in zip(first.matrices, again.matrices, strict=True):
        assert (matrix.module, matrix.expert) == (same.module, same.expert)
        np.testing.assert_array_equal(matrix.values, same.values)
        np.testing.assert_array_equal(matrix.directions, same.directions)
    for damage in (b"", whole[:-1], b"x" * 1000, whole[16:]):
        entry.write_bytes(damage)
        assert len(cached_spectrum("zoo:base", "zoo:math").matrices) == 14
        assert entry.read_bytes() == whole


def test_decomposing_reports_and_stops(zoo_env: Path) -> None:
    pair, _ = spectra.open_aligned("zoo:base", "zoo:math")
    reports, stop = list[tuple[int, int, str]](), threading.Event()

    def progress(*step: object) -> None:
        reports.append(step)  # type: ignore[arg-type]
        if step[0] == 2:
            stop.set()

    with pytest.raises(Cancelled):
        decompose_delta(*pair, workers=1, progress=progress, stop=stop)
    assert [count for count, _, _ in reports] == [0, 1, 2]
    assert reports[0][2] == "decompose 14 matrices, about 1 s of one core"


def test_weights_that_are_no_number_are_named() -> None:
    with pytest.raises(NonFiniteWeights, match=r"domain model: .*down_proj.* holds nan"):
        of([[0, np.nan], [0, 0]])


def test_the_command_shows_ranks_and_overlaps(dppa: Command, tmp_path: Path) -> None:
    table = tmp_path / "ranks.csv"
    assert dppa("profile", "zoo:math", "--spectrum", "--frame", table) == 0
    assert "effective rank" in dppa.out and "overlap" not in dppa.out
    assert len(table.read_text().splitlines()) == 15
    assert dppa("profile", "zoo:math", "--spectrum", "--beside", "zoo:math", "--json") == 0
    row = dppa.json["modules"][0]
    assert row["overlap"] == pytest.approx(1, abs=1e-3) and row["chance"] == row["compared"] / 32
    assert dppa.json["beside"] == "zoo:math" and 0 < row["effective_rank"] <= row["directions"]
    assert dppa("profile", "zoo:math", "--spectrum", "--beside", "zoo:law") == 0
    assert "overlap with zoo:law" in dppa.out
    assert dppa("profile", "zoo:math", "--beside", "zoo:law") == 2
