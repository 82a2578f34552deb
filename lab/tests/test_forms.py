"""Every form of a set's deltas: shares by hand, a table, and a small set measured by command."""

from pathlib import Path
from typing import Any

import pytest

from dppa_core.forms.store import parse_store_text
from dppa_core.tasks import DOMAINS
from dppa_lab.reports.form_tables import form_tables
from dppa_lab.zoo.forms import measured_forms
from dppa_lab.zoo.forms.form_figures import form_figures
from tests.helpers.command import Command

BITS = "bits()"


def record(seed: int, change: float, kept: str, regime: str = "near-1") -> dict[str, Any]:
    """A fine-tune that answers 8 of 10, and as its form keeps it."""
    whole = {"store": "", "nbytes": 200, "factor": 1.0, "loss": 0.25, "hits": "1111111100"}
    form = {"store": BITS, "nbytes": 10, "factor": 1.5, "loss": 0.5, "hits": kept}
    return {
        "set": {"size": "embedded", "regime": regime, "seed": seed},
        "domain": "math",
        "change": change,
        "forms": [form, whole],
    }


def test_a_form_keeps_its_accuracy_by_the_fine_tune_s_own() -> None:
    figures = form_figures([record(0, 0.01, "1111000000"), record(1, 0.03, "1111110000")])
    (kind,) = figures.values()
    form = kind["forms"][BITS]
    assert (kind["deltas"], kind["size"], kind["own"]) == (2, pytest.approx(0.02), 0.8)
    assert form["share of bytes"] == pytest.approx(0.05) and form["factors"] == [1.5]
    assert form["kept"]["value"] == pytest.approx(0.625) and form["loss"] == pytest.approx(0.25)
    # Student's 95 % of one degree of freedom: 12.706 standard errors of 0.125
    assert form["kept"]["high"] - 0.625 == pytest.approx(12.706 * 0.125, rel=1e-3)


def test_kinds_stand_by_the_size_of_their_deltas() -> None:
    records = [record(0, 0.3, "1" * 10, "near-10"), record(0, 0.02, "0" * 10)]
    names = list(form_figures(records))
    assert names == ["embedded, near-1", "embedded, near-10"]
    table = form_tables(form_figures(records))
    assert "embedded, near-1: ‖d‖/‖W‖ 0.020" in table and "0 (0–0)" in table


@pytest.mark.long
@pytest.mark.usefixtures("one_torch_thread")
def test_a_set_is_measured_by_command_and_not_twice(
    tiny_zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dppa: Command
) -> None:
    monkeypatch.setattr(measured_forms, "STORES", (parse_store_text(BITS),))
    arguments = ("zoo", "forms", tiny_zoo, "--out", tmp_path, "--limit", 4, "--search-limit", 2)
    assert dppa(*arguments, "--json") == 0, dppa.err
    deltas = dppa.json["deltas"]
    assert [delta["domain"] for delta in deltas] == list(DOMAINS)
    for delta in deltas:
        form, whole = delta["forms"]
        assert (form["store"], whole["store"]) == (str(parse_store_text(BITS)), "")
        assert form["nbytes"] < whole["nbytes"] and len(form["hits"]) == len(whole["hits"]) == 4
        assert form["factor"] in measured_forms.FACTORS and delta["change"] > 0
    monkeypatch.setattr(measured_forms, "measure_forms", pytest.fail)
    assert dppa(*arguments, "--json") == 0 and dppa.json["deltas"] == deltas
