"""Results as data frames and as files: the numbers of the other forms, a line each."""

import sys
from pathlib import Path

import numpy as np
import pandas
import pytest

from dppa_core import parse_recipe, plan, profile
from dppa_core.errors import InvalidValue
from dppa_core.evaluation.scores import DomainScore
from dppa_core.system.frames import check_frame_file, frame_of, write_frame
from dppa_core.tuning.search.climb import ClimbResult
from dppa_core.tuning.search.options import SearchOptions
from dppa_core.tuning.search.results import SearchTrial
from tests.helpers.command import Command

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")
RECIPE = "dppa: 1\nbase: zoo:base\nmodels: [{model: zoo:math, levels: [0.9, 0.8]}]\n"


def test_a_profiles_frame_counts_what_the_weights_hold() -> None:
    from dppa_core.checkpoints.sources.open import open_checkpoint  # noqa: PLC0415

    frame = profile("zoo:base", "zoo:math").to_frame()
    line = frame.iloc[0]
    name = next(n for n in open_checkpoint("zoo:base").names() if line.module in n)
    tuned, base = (
        (np.asarray(open_checkpoint(m).raw(name)).view(np.uint16).astype(np.uint32) << 16).view(
            np.float32
        )
        for m in ("zoo:math", "zoo:base")
    )
    delta = tuned - base
    assert line.elements == delta.size and line.changed == np.count_nonzero(delta)
    assert line.mean_abs_delta == pytest.approx(np.abs(delta).mean())
    assert line.delta_norm == pytest.approx(np.linalg.norm(delta.astype(np.float64)))
    assert not frame.isna().any().any()


def test_a_plans_frame_has_its_counts_and_partitions() -> None:
    pruned = plan(profile("zoo:base", "zoo:math"), [0.9, 0.8])
    frame = pruned.to_frame()
    assert frame.kept.sum() == pruned.kept and frame.elements.sum() == pruned.numel
    assert (frame.partition_1 + frame.partition_2 == frame.kept).all()


def test_commands_write_their_tables(dppa: Command, tmp_path: Path) -> None:
    recipe, out = tmp_path / "r.yaml", tmp_path / "table.csv"
    recipe.write_text(RECIPE)
    assert dppa("plan", recipe, "--frame", out, "--json") == 0
    assert pandas.read_csv(out).kept.sum() == dppa.json["plans"][0]["kept"]
    assert set(pandas.read_csv(out).model) == {"zoo:math"}
    command = ["evaluate", recipe, "--tasks", "math,law", "--limit", 4, "--frame", out, "--json"]
    assert dppa(*command) == 0
    frame, rows = pandas.read_csv(out), dppa.json["rows"]
    assert len(frame) == 2 * len(rows)
    row = frame[(frame.model == "recipe") & (frame.domain == "math")].iloc[0]
    cell = next(row for row in rows if row["key"] == "recipe")["domains"]["math"]
    assert (row.accuracy_share, row.accuracy_low) == (cell["accuracy"], cell["ci95"][0])
    assert row.loss_nats_per_token == pytest.approx(cell["loss"])


def test_a_searchs_frame_has_a_line_for_every_trial() -> None:
    scores = {0.0: 0.5, 1.0: 0.6, 1.1: 0.55}
    trials = tuple(
        SearchTrial(number, {"factor1": 1.0, "factor2": factor}, "", (score,))
        for number, (factor, score) in enumerate(scores.items())
    )
    recipe, own = parse_recipe(RECIPE), DomainScore(1.0, (0.5, 1.0), 2, {})
    frame = ClimbResult(recipe, SearchOptions(limit=2), ("math",), trials, (own,)).to_frame()
    assert list(frame.factor_2) == list(scores) and list(frame.best) == [False, True, False]
    assert list(frame.retention_share) == list(scores.values())


def test_a_frame_that_cannot_be_written_is_refused_before_the_work(
    dppa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dppa("profile", "zoo:math", "--frame", tmp_path / "t.xlsx") == 1
    assert "ends in .csv or .parquet" in dppa.err
    with pytest.raises(InvalidValue, match="there is no folder"):
        check_frame_file(tmp_path / "nowhere" / "t.csv")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "fastparquet", None)
    with pytest.raises(InvalidValue, match="Parquet needs pyarrow"):
        write_frame(frame_of([{"a": 1}]), tmp_path / "t.parquet")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InvalidValue, match="needs pandas, which is not installed"):
        frame_of([])
