"""The page's benchmark without a browser: figures, targets, and the text."""

import os
from pathlib import Path

import pytest

from benchmarks.measure import resident
from benchmarks.ui import many_layers
from benchmarks.ui_report import Figure, text, with_figures
from dppa_core.checkpoints.sources.open import open_checkpoint


def ui_run(**changed: object) -> dict[str, object]:
    figure = {
        "name": "slider to paint",
        "unit": "ms",
        "median": 22.04,
        "most": 30,
        "p95": 31.5,
        "p95_most": 50,
        "runs": 100,
        **changed,
    }
    return {"machine": "a machine", "versions": {"Chromium": "1"}, "figures": [figure]}


def test_a_figure_stands_beside_its_target() -> None:
    assert text(ui_run()).splitlines() == [
        "| figure | median | at most |",
        "| --- | --- | --- |",
        "| slider to paint | 22, 95 %: 31.5 ms | 30, 95 %: 50 |",
        "",
        "a machine.",
    ]


@pytest.mark.parametrize("missed", [{"median": 30.1}, {"p95": 50.1}])
def test_a_missed_target_is_marked(missed: dict[str, float]) -> None:
    assert "| slider to paint | ✗ " in text(ui_run(**missed))


def test_a_figure_that_is_measured_alone_leaves_the_others() -> None:
    old = ui_run()
    new = [{"name": "start", "unit": "s", "median": 2.0, "most": 3.0}]
    both = with_figures(with_figures(old, [new[0] | {"median": 9.0}], 1), new, 2.5)
    assert both["load_of_first"] == [1, 2.5]
    assert both["figures"] == [*new, *ui_run()["figures"]] and "| start | 2 s | 3 |" in text(both)


def test_a_value_without_a_target_is_never_missed_and_not_shown() -> None:
    assert Figure("growth", "MiB", 1e9).met
    assert "growth" not in text(ui_run(name="growth", most=None, p95_most=None))


def test_the_models_have_thirty_two_layers_and_seven_modules(tmp_path: Path) -> None:
    names = open_checkpoint(str(many_layers(tmp_path) / "law")).names()
    assert sum(name.endswith("_proj.weight") for name in names) == 32 * 7


def test_memory_of_a_process_is_seen_and_of_none_is_zero() -> None:
    assert resident(os.getpid()) > 2**20
    assert resident(2**22 + 1) == 0
