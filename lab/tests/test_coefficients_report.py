"""AdaMerging compared with uniform coefficients: statistics by hand, parts of the report."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import dppa_core.evaluation.examiner as examiner
import dppa_lab.zoo.results.coefficients as module
from dppa_core.errors import InvalidValue
from dppa_core.tasks import DOMAINS
from dppa_core.tasks.intervals import Interval
from dppa_core.tuning.adamerging.settings import AdaMergeSettings
from dppa_lab.reports.result_tables import coefficient_tables
from dppa_lab.zoo.results.coefficients import (
    CoefficientReport,
    CoefficientSearch,
    CoefficientsFound,
    as_json,
    common,
    difference,
    measure,
    retention,
)
from tests.helpers.command import Command

OWN = {domain: (True,) * 10 for domain in DOMAINS}
UNIFORM = {domain: (True,) * 6 + (False,) * 4 for domain in DOMAINS}
BETTER = {domain: (True,) * 8 + (False,) * 2 for domain in DOMAINS}
QUICK = {"steps": 1, "every": 1, "batch": 1, "prompts": 2, "longest": 3}


def found(marks: module.DomainHits, step: int = 10, **changes: Any) -> CoefficientsFound:
    settings = replace(common(1.0, 10), **changes)
    course = ((0, 0.2, 1.5, 0.6), (10, 0.1, 1.25, 0.8))
    return CoefficientsFound(
        "per model", settings, step, ((1.1,), (0.9,), (1.0,)), course, True, marks
    )


def report(*rows: CoefficientsFound) -> CoefficientReport:
    return CoefficientReport(OWN, {0.5: 0.25, 1.0: 0.6}, (1.0, UNIFORM), rows, 10)


def test_retention_is_the_mean_of_shares_over_the_models_own() -> None:
    own = {"math": (True, True, False, False), "law": (True,) * 4}
    merged = {"math": (True, False, False, False), "law": (True, True, True, False)}
    assert retention(merged, own) == pytest.approx((0.25 / 0.5 + 0.75) / 2)
    with pytest.raises(InvalidValue, match="law model answers none of its 2 items"):
        retention({"law": (True, True)}, {"law": (False, False)})


def test_the_gain_is_paired_by_item() -> None:
    # In each domain 2 of 10 items change from wrong to right: mean 0.2, variance 1.6 / 9.
    gain = difference(BETTER, UNIFORM, OWN)
    half = 1.959964 * (3 * (1.6 / 9) / 10 / 9) ** 0.5
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.2, 0.2 - half, 0.2 + half))
    assert difference(UNIFORM, UNIFORM, OWN) == Interval(0.0, 0.0, 0.0)


def test_the_tables_have_the_gain_and_the_way_there() -> None:
    values = as_json(report(found(BETTER), found(UNIFORM, 0)))
    text = coefficient_tables(values)
    assert "| uniform 1 | 60.0 | 60.0 | 60.0 | 60.0 | – | – |" in text
    assert "| +20.0 (+4.9 to +35.1) | 10 |" in text
    assert "| per model | 10 | 0.100 | 1.250 | 80.0 % |" in text
    assert Interval(**values["found"][0]["gain"]) == difference(BETTER, UNIFORM, OWN)


@pytest.mark.long
@pytest.mark.usefixtures("one_torch_thread", "zoo_env")
def test_a_measurement_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examiner, "score", lambda item, reply: True)
    monkeypatch.setattr(module, "GRID", (0.5, 1.0))
    lines: list[str] = []
    ways = (CoefficientSearch("quick", QUICK),)
    options: dict[str, Any] = {"limit": 3, "search_limit": 3, "ways": ways, "say": lines.append}
    first = measure(tmp_path / "work", **options)
    assert list(first.grid) == [0.5, 1.0] and len(first.found[0].marks["law"]) == 3
    (log,) = (tmp_path / "work").iterdir()
    assert f"ran AdaMerging: {log.name}" in lines
    lines.clear()
    monkeypatch.setattr(examiner, "score", lambda item, reply: False)
    assert measure(tmp_path / "work", **options) == first, "answers come from the cache"
    assert not any(line.startswith("ran") for line in lines)
    with pytest.raises(InvalidValue, match="a part of its path is a file"):
        measure(log / "work", **options)


def test_the_command_prints_the_tables_and_keeps_the_figures(
    dppa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def stand_in(work: Path, **options: object) -> CoefficientReport:
        asked.append((work, options["limit"], options["search_limit"], options["ways"]))
        return report(found(BETTER))

    monkeypatch.setattr(module, "measure", stand_in)
    assert dppa("zoo", "coefficients", "--work", tmp_path, "--limit", 5, "--ways", 1) == 0
    assert dppa.out.startswith("| 0.5 | 1 |")
    assert asked == [(tmp_path, 5, 60, module.WAYS[:1])]
    out = tmp_path / "coefficients.json"
    assert dppa("zoo", "coefficients", "--work", tmp_path, "--out", out, "--json") == 0
    assert dppa.json == json.loads(out.read_text()) and dppa.json["uniform"]["coefficient"] == 1.0


def test_each_way_has_settings_that_hold() -> None:
    for way in module.WAYS:
        assert isinstance(replace(common(1.0, 60), **way.changes), AdaMergeSettings)
