"""`dppa reproduce pruning` on the embedded models gives the figures that were recorded."""

from pathlib import Path

import pytest

from dppa_lab.experiments.paper import pruning
from tests.helpers.command import Command

ROOT = Path(__file__).resolve().parents[2]
RECORDED = {
    ("math", 0.0): (100.0, 100.0, 100.0),
    ("math", 80.0): (100.0, 100.0, 56.25),
    ("math", 90.0): (87.5, 75.0, 18.75),
    ("law", 0.0): (87.5, 87.5, 87.5),
    ("law", 80.0): (87.5, 87.5, 93.75),
    ("law", 90.0): (62.5, 62.5, 75.0),
}
"""Domain and rate -> per cent of 8 items that magnitude, DP and two draws of DARE answer."""


@pytest.mark.long
def test_pruning_gives_the_recorded_figures(
    dppa: Command, tmp_path: Path, one_torch_thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "RATES", (0.8, 0.9))
    monkeypatch.setattr(pruning, "DRAWS", 2)
    monkeypatch.chdir(ROOT)  # what DARE draws depends on the names of the models
    models = "".join(f"  - model: ./assets/zoo/{name}\n" for name in ("math", "law"))
    (tmp_path / "set.yaml").write_text(f"base: ./assets/zoo/base\nmodels:\n{models}")
    options = ("--preset", tmp_path / "set.yaml", "--tasks", "math,law", "--limit", 8)
    options = (*options, "--workers", 1, "--out", tmp_path / "out", "--json")
    assert dppa("reproduce", "pruning", *options) == 0
    (table,) = dppa.json["experiments"][0]["tables"]
    rows = [[cell["value"] for cell in row["cells"]] for row in table["rows"]]
    assert {(row[0], row[1]): tuple(row[2:5]) for row in rows} == RECORDED
