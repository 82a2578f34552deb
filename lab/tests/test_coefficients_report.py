"""AdaMerging compared with uniform coefficients: statistics by hand, tables, a run resumed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dppa_core.errors import InvalidValue
from dppa_core.evaluation import scores
from dppa_core.tasks import DOMAINS
from dppa_core.tuning.adamerging.settings import AdaMergeSettings
from dppa_lab.reports.result_tables import coefficient_tables
from dppa_lab.zoo.results import coefficients
from dppa_lab.zoo.results.coefficients import (
    WAYS,
    CoefficientSearch,
    common_settings,
    measure_coefficients,
    retention,
    search_json,
    shares,
)
from tests.helpers.command import Command

OWN_HITS = {domain: (True,) * 10 for domain in DOMAINS}
UNIFORM = {domain: (True,) * 6 + (False,) * 4 for domain in DOMAINS}
BETTER = {domain: (True,) * 8 + (False,) * 2 for domain in DOMAINS}
QUICK = {"steps": 1, "every": 1, "batch": 1, "prompts": 2, "longest": 3}
NAMES = ("entropy", "perplexity", "accuracy")
LOG: dict[str, Any] = {
    "best": {"step": 10, "coefficients": [[1.1], [0.9], [1.0]]},
    "snapshots": [{"step": 10, "mean": dict(zip(NAMES, (0.1, 1.25, 0.8), strict=True))}],
    "collapsed": True,
}
REPORT = {
    "own": shares(OWN_HITS),
    "grid": {"0.5": 0.25, "1": 0.6},
    "uniform": {"coefficient": 1.0, "test": shares(UNIFORM)},
    "found": [search_json("per model", LOG, hits, UNIFORM, OWN_HITS) for hits in (BETTER, UNIFORM)],
}


def test_retention_is_the_mean_of_shares_over_the_models_own() -> None:
    own = {"math": (True, True, False, False), "law": (True,) * 4}
    merged = {"math": (True, False, False, False), "law": (True, True, True, False)}
    assert retention(merged, own) == pytest.approx((0.25 / 0.5 + 0.75) / 2)
    with pytest.raises(InvalidValue, match="law model answers none of its 2 items"):
        retention({"law": (True, True)}, {"law": (False, False)})


def test_the_gain_is_paired_by_item() -> None:
    # In each domain 2 of 10 items change from wrong to right: mean 0.2, variance 1.6 / 9.
    better, same = (way["gain"] for way in REPORT["found"])  # type: ignore[index]
    half = 1.959964 * (3 * (1.6 / 9) / 10 / 9) ** 0.5
    assert better == pytest.approx({"value": 0.2, "low": 0.2 - half, "high": 0.2 + half})
    assert same == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_the_tables_have_the_gain_and_the_way_there() -> None:
    text = coefficient_tables(REPORT)
    assert text.startswith("| 0.5 | 1 |")
    assert "| uniform 1 | 60.0 | 60.0 | 60.0 | 60.0 | – | – |" in text
    assert "| +20.0 (+4.9 to +35.1) | 10 |" in text
    assert "| per model | 10 | 0.100 | 1.250 | 80.0 % |" in text


@pytest.mark.long
@pytest.mark.usefixtures("one_torch_thread", "zoo_env")
def test_a_measurement_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "score", lambda item, reply: True)
    monkeypatch.setattr(coefficients, "GRID", (0.5, 1.0))
    lines: list[str] = []
    ways = (CoefficientSearch("quick", QUICK),)
    options: dict[str, Any] = {"limit": 3, "search_limit": 3, "ways": ways, "say": lines.append}
    first = measure_coefficients(tmp_path / "work", **options)
    assert list(first["grid"]) == ["0.5", "1"] and first["test_items"]["law"] == 3
    (log,) = (tmp_path / "work").iterdir()
    assert f"ran AdaMerging: {log.name}" in lines
    lines.clear()
    monkeypatch.setattr(scores, "score", lambda item, reply: False)
    assert measure_coefficients(tmp_path / "work", **options) == first, "from the cache"
    assert not any(line.startswith("ran") for line in lines)
    with pytest.raises(InvalidValue, match="a part of its path is a file"):
        measure_coefficients(log / "work", **options)


def test_the_command_prints_the_tables_and_keeps_the_figures(
    dppa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []

    def stand_in(work: Path, **options: object) -> dict[str, Any]:
        calls.append((work, options["limit"], options["search_limit"], options["ways"]))
        return REPORT

    monkeypatch.setattr(coefficients, "measure_coefficients", stand_in)
    out = tmp_path / "coefficients.json"
    assert dppa("zoo", "coefficients", "--work", tmp_path, "--limit", 5, "--ways", 1) == 0
    assert dppa.out.startswith("| 0.5 | 1 |")
    assert calls == [(tmp_path, 5, 60, WAYS[:1])]
    assert dppa("zoo", "coefficients", "--work", tmp_path, "--out", out, "--json") == 0
    assert dppa.json == json.loads(out.read_text()) == REPORT


def test_each_way_has_settings_that_hold() -> None:
    for way in WAYS:
        settings = replace(common_settings(1.0, 60), **way.changes)
        assert isinstance(settings, AdaMergeSettings)
