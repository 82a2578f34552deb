"""What a form keeps of a model and in how many bytes, against slow sums, and how it answers."""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.adapters.kept import KeptCheckpoint
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.evaluation import form_scores as form_scores_module
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.form_scores import form_scores
from dppa_core.evaluation.form_sizes import (
    FEWEST_QUESTIONS,
    form_sizes,
    frontier,
    kept_bytes,
    too_few_questions,
)
from dppa_core.forms.store import parse_store_text
from dppa_core.pruning.floats import to_float32

pytestmark = pytest.mark.usefixtures("one_torch_thread")
STORES = ("low_rank(rank=8)", "bits(bits=1)+others(drop)", "drawn(rate=0.99)")


def weights(name: str) -> dict[str, np.ndarray]:
    model = open_checkpoint(name)
    return {n: to_float32(model.raw(n), model.dtype(n)).astype(float) for n in model.names()}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))
    return tmp_path / "form-sizes"


def test_energy_is_that_of_all_weights_and_workers_change_nothing(cache: Path) -> None:
    stores = [parse_store_text(text) for text in STORES]
    rows = form_sizes("zoo:base", "zoo:math", stores, workers=1)
    shutil.rmtree(cache)
    assert rows == form_sizes("zoo:base", "zoo:math", stores, workers=3)
    base, tuned = weights("zoo:base"), weights("zoo:math")
    whole = sum(float(np.square(tuned[name] - base[name]).sum()) for name in base)
    for row in rows[:2]:
        kept = weights(f"kept:{row.store} of zoo:math on zoo:base")
        lost = sum(float(np.square(tuned[name] - kept[name]).sum()) for name in base)
        assert row.energy == pytest.approx(1 - lost / whole, abs=1e-5)
    assert rows[2].energy < -50  # what is drawn is a hundred times as large
    assert [row.title for row in rows] == ["rank 8", "1 bit, rest dropped", "99 % pruned at random"]
    assert 0.05e6 < rows[2].nbytes < 0.11e6 < rows[0].nbytes < rows[1].nbytes


def test_the_same_weights_are_measured_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = [parse_store_text(text) for text in STORES[1:]]
    rows = form_sizes("zoo:base", "zoo:law", stores)
    assert len(list(cache.iterdir())) == 2
    monkeypatch.setattr(KeptCheckpoint, "size", lambda *_: pytest.fail("measured again"))
    assert form_sizes("zoo:base", "zoo:law", stores) == rows


@pytest.mark.parametrize("text", [*STORES, "sparse(rate=0.9)"])
def test_bytes_that_were_not_measured_are_those_of_the_shapes(cache: Path, text: str) -> None:
    store = parse_store_text(text)
    models = map(open_checkpoint, ("zoo:base", "zoo:law"))
    kept = KeptCheckpoint(*models, store, "zoo:law")
    expected = kept_bytes(kept, measure=False)
    assert not cache.exists()
    (row,) = form_sizes("zoo:base", "zoo:law", [store])
    assert expected == pytest.approx(row.nbytes, rel=0.03 if "rate" in text else 0)
    assert kept_bytes(kept, measure=False) == kept_bytes(kept, measure=True) == row.nbytes


def test_the_frontier_has_what_no_smaller_file_beats() -> None:
    assert frontier([(3, 0.1), (1, 0.5), (2, 0.6), (2, 0.4), (9, 0.1)]) == (1, 3, 0)
    assert frontier([]) == ()


def test_an_answer_of_fifty_is_what_may_be_lost() -> None:
    assert FEWEST_QUESTIONS == 50 and too_few_questions(50) == ""
    assert "49 questions are too few to show a loss of 2 points" in too_few_questions(49)


def test_every_form_takes_the_factor_with_the_least_loss_on_search_items() -> None:
    sparse = "sparse(rate=0.98)"
    said = list[str]()
    control = {"limit": 12, "search_limit": 12, "progress": lambda *about: said.append(about[-1])}
    examiner = Examiner(keep=False)
    model = "zoo:base", "zoo:math"
    rows = form_scores(examiner, *model, ["", sparse], ["math"], factors=(1, 3), **control)
    assert [(row.store, row.factor) for row in rows] == [("", 1), (sparse, 3)]
    assert rows[0].loss < rows[1].loss < math.inf and rows[0].accuracy > 0.5
    assert {"98 % pruned × 3, math", "whole, bfloat16, math"} <= set(said)
    assert not [item for item in said if "sparse" in item], "forms have their names of the table"
    plain = form_scores(examiner, *model, [sparse], ["math"], **control)
    assert plain[0].factor == 1 and plain[0].loss > rows[1].loss


def test_a_form_goes_up_while_the_loss_falls_else_down() -> None:
    curves = {"up": (5, 4, 3, 2, 3), "down": (1, 2, 3, 9, 9), "stays": (1, 5, 3, 4, 0)}
    asked = list[tuple[str, int]]()

    def losses(tried: Mapping[str, int]) -> dict[str, float]:
        asked.extend(tried.items())
        return {store: float(curves[store][place]) for store, place in tried.items()}

    places = form_scores_module._climbed(dict.fromkeys(curves, 2), 5, losses)
    assert places == {"up": 3, "down": 0, "stays": 2}
    assert len(asked) == len(set(asked)) == 3 + 3 + 1 + 2 + 1
