"""A small study gives the figures that it gave when the laboratory was a part of the library."""

from pathlib import Path

import pytest

from dppa_core.checkpoints.sources.zoo import zoo_root
from dppa_lab.zoo.joint_search import Budget
from dppa_lab.zoo.results import choosing
from dppa_lab.zoo.study.measured_set import measure_set
from dppa_lab.zoo.study.merges import selected_merges

RECORDED = {
    "task_arithmetic-0-whole": (
        {"coefficient": 0.9576},
        {
            "math": "11111011011111011111",
            "finance": "01100111111110111110",
            "law": "11111011111111111111",
        },
    ),
    "dppa-90-all": (
        {"factor1": 1.0, "factor2": 1.0, "strength": 0.08},
        {
            "math": "10010111001010101111",
            "finance": "00100101110111000110",
            "law": "00011001001001010010",
        },
    ),
}
"""Merge -> its chosen settings, and its answers to twenty items a domain."""


@pytest.mark.usefixtures("one_torch_thread")
def test_a_small_study_gives_the_recorded_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))
    monkeypatch.setattr(choosing, "BUDGET", Budget(4, 2))
    study = measure_set(
        zoo_root(),
        selected_merges([0.9], ["task_arithmetic", "dppa"], ["all"]),
        limit=20,
        search_items=4,
    )
    assert {row["key"]: (row["values"], row["hits"]) for row in study["merges"]} == RECORDED
