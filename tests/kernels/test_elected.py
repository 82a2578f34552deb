"""The compiled loops over stacked deltas, compared with plain ones; merges by both."""

from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints import chunks
from dppa_core.kernels import elected
from dppa_core.merging.passes import combined_pass
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.methods.shared import numpy_loops as plain
from dppa_core.methods.shared import ranking
from dppa_core.methods.shared.sign_election import SignBallot, ballot_of
from dppa_core.pruning.tie_breaking import Cut, Window, hash_window
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.helpers.tiny_models import random_llama, tuned_llama
from tests.reference.stacks import stack_of, streamed

SEED, START = 2**63 + 12345, 777
HALF = 1 << 63


def deltas(models: int = 3, columns: int = 9001) -> np.ndarray:
    """Longer than a block of the loops, with many ties and zeros of both signs."""
    drawn = np.random.default_rng(models).standard_normal((models, 1, columns))
    coarse = np.where(np.arange(columns) % 3 == 0, np.round(drawn), drawn)
    return coarse.astype(np.float32)


CUTS = (Cut(1.0, HALF), Cut(0.5, 0), Cut(0.0, 0))
BALLOTS = [
    *(
        ballot_of((0.5, -0.3, 0.2), weigh_first=first, undecided=sign, divide=divide)
        for first in (False, True)
        for sign in (-1, 0, 1)
        for divide in ("coefficients", "number", "nothing")
    ),
    ballot_of((1.0, -1.0, 0.0), weigh_first=True, undecided=1),
    SignBallot((1.0,) * 3, (0.2, 0.3, 0.5), (0.2, 0.3, 0.5), 0, least=0.4),
]


@pytest.mark.parametrize("cuts", [CUTS, ()], ids=["trimmed", "whole"])
@pytest.mark.parametrize("ballot", BALLOTS)
def test_both_loops_elect_and_merge_alike(ballot: SignBallot, cuts: tuple[Cut, ...]) -> None:
    merged = elected.agree(deltas(), cuts, START, SEED, ballot)
    assert merged.tobytes() == plain.agree(deltas(), cuts, START, SEED, ballot).tobytes()
    assert np.count_nonzero(merged)
    votes = elected.vote(deltas(), cuts, START, SEED, ballot.votes)
    assert votes == plain.vote(deltas(), cuts, START, SEED, ballot.votes)


def test_both_loops_count_alike() -> None:
    values = deltas()[0]
    words = np.zeros((2, 1 << 17), np.int64)
    lows = np.zeros((2, 1 << 16), np.int64)
    high = int(np.float32(0.7).view(np.uint32)) >> 16
    for row, loops in enumerate((plain, elected)):
        loops.count_magnitudes(values, words[row])
        loops.count_within(values, high, lows[row])
    assert np.array_equal(*words) and words[0].sum() == values.size
    assert np.array_equal(*lows) and lows[0].any()


@pytest.mark.parametrize("room", [1, 10_000])
def test_both_loops_find_the_same_hashes(room: int) -> None:
    window = Window(HALF // 2, HALF, room)
    results = [
        loops.gather_tied(deltas()[0], 1.0, START, SEED, window) for loops in (plain, elected)
    ]
    assert results[0][0] == results[1][0] > 0
    assert np.array_equal(results[0][1], results[1][1]) and results[0][1].size > 1


@pytest.mark.parametrize("missed", [False, True])
def test_a_border_among_equal_magnitudes_keeps_as_many_as_asked(
    missed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def window(tied: int, share: int, deviations: float) -> Window:
        if missed and deviations < 10:
            return Window(0, 0, 1)
        return hash_window(tied, share, deviations)

    monkeypatch.setattr(ranking, "hash_window", window)
    stack = stack_of(deltas()[0])
    for count in (1500, 2500, 4000):
        (cut,) = ranking.find_cuts((streamed(stack),), [count], lambda part: part.deltas)
        kept = ranking.inside(np.abs(stack.deltas[0]), cut, stack)
        assert np.count_nonzero(kept) == count
        largest = np.sort(np.abs(stack.deltas[0]).ravel())[::-1][count - 1]
        assert np.abs(stack.deltas[0])[kept].min() == largest


@pytest.mark.cases(1)
@pytest.mark.parametrize(
    "parameters", [{}, {"semantics": "mergekit"}, {"ranked_in": "tensor", "divide": "number"}]
)
def test_ties_has_the_same_bytes_by_any_backend_and_number_of_workers(
    parameters: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = random_llama()
    base.save(tmp_path / "base")
    names = ("math", "law", "code")
    for seed, name in enumerate(names):
        tuned_llama(base, seed=seed + 1).save(tmp_path / name)
    shares = zip(names, (0.5, -0.3, 0.8), strict=True)
    models = tuple(DomainModel(str(tmp_path / name), coefficient=share) for name, share in shares)
    recipe = MergeRecipe(str(tmp_path / "base"), models, "ties", parameters)
    digests = set()
    for backend, workers in (("numba", 1), ("numba", 3), ("torch", 1), ("torch", 3)):
        out = tmp_path / f"{backend}{workers}"
        report = merge_to_folder(recipe, out, backend=backend, workers=workers, shard_size=9000)
        digests.add(report.digest)
    monkeypatch.setattr(chunks, "CHUNK", 1000)
    monkeypatch.setattr(combined_pass, "BLOCK", 500)
    digests.add(merge_to_folder(recipe, tmp_path / "other").digest)
    assert len(digests) == 1
