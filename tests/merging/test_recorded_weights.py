"""Merged weights equal the recorded ones, however a recipe is written."""

from pathlib import Path

import pytest

from dppa_core.forms.registry import FORMS
from dppa_core.methods.registry import METHODS
from tests.reference import recorded_weights
from tests.reference.recorded_bytes import BY_MACHINE

RECORDS = recorded_weights.records()


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("stored")
    recorded_weights.save_inputs(root)
    return root


@pytest.mark.cases(12)
@pytest.mark.parametrize("number", range(len(RECORDS)))
def test_the_weights_of_a_recipe_are_those_recorded(
    number: int, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_ZOO", "")  # restored after the test
    record = RECORDS[number]
    assert recorded_weights.merged(record, stored) == record["weights"]


def test_every_method_and_form_is_recorded() -> None:
    text = "".join(record["recipe"] for record in RECORDS)
    methods = [method.name for method in METHODS if method.name not in BY_MACHINE]
    assert all(f"method: {name}\n" in text for name in methods)
    assert all(f"form: {form.name}" in text for form in FORMS if form.name != "low_rank")
    assert {record["inputs"] for record in RECORDS} == set(recorded_weights.STORED)
