"""The rows of controls, and that nothing else repeats them."""

from dataclasses import fields
from pathlib import Path

import pytest

from components.page.workbench import build_page
from components.session.fields import BY_KEY, CONTROLS, SLIDERS, Control
from components.session.session import Session, default_of
from components.session.state import schema, session_from_state
from components.widgets.scripts import sources
from components.work.studio import Studio
from dppa_core.errors import InvalidValue

ROOT = Path(__file__).resolve().parents[3]
BESIDE_FACTORS = {"linked", "own_factors"}
"""Fields of a session that the control of the factors holds too."""
HOMES = {"session/fields.py", "session/session.py", "views/controls/prune.py"}
"""Where a control has its row, its field and its place."""
SHOWS_PARAMETERS = ("learn/", "views/see/see.py")
"""Lessons and the plot of sizes show the library's parameters, which have the same names."""


def test_every_field_of_a_session_is_that_of_one_control() -> None:
    names = [control.name for control in CONTROLS]
    assert sorted(names) == sorted({item.name for item in fields(Session)} - BESIDE_FACTORS)


@pytest.mark.parametrize("key", ["k_layer", "k_module"])
def test_the_name_of_a_control_stands_only_with_its_row_its_field_and_its_place(key: str) -> None:
    paths = (ROOT / "components").rglob("*.py")
    named = [path for path in paths if key in path.read_text(encoding="utf-8")]
    places = {path.relative_to(ROOT / "components").as_posix() for path in named}
    assert {place for place in places if not place.startswith(SHOWS_PARAMETERS)} == HOMES
    element = BY_KEY[key].element
    scripts = {name for name, text in sources().items() if key in text or f"#{element}" in text}
    assert not {name for name in scripts if not name.startswith("learn/")}
    styles = (ROOT / "assets" / "css").glob("*.css")
    assert not [path for path in styles if f"#{element}" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("control", SLIDERS, ids=lambda control: control.key)
def test_page_and_link_hold_a_slider_to_the_same_range(control: Control) -> None:
    low, high, step = control.span
    for value in (low, high):
        held = control.from_page(value)
        assert control.from_json(held) == held and control.to_page(held) == value
    for value in (low - step, high + step):
        with pytest.raises(InvalidValue, match=control.title):
            control.from_page(value)
        with pytest.raises(InvalidValue, match=control.key):
            control.from_json(value / control.scale)


def test_the_default_of_every_control_is_in_its_range() -> None:
    defaults = {control.key: default_of(control) for control in SLIDERS}
    assert all(control.from_json(defaults[control.key]) is not None for control in SLIDERS)


def test_a_control_that_a_link_leaves_out_has_its_default() -> None:
    models = [{"ref": "zoo:math", "coefficient": 1}]
    session = session_from_state({"v": 1, "base": "zoo:base", "models": models})
    assert session == Session(models=session.models, factors=())


def test_the_page_builds_each_slider_from_its_row() -> None:
    parts = {part.elem_id: part for part in build_page(Studio(public=False)).blocks.values()}
    for control in SLIDERS:
        slider = parts[control.element]
        assert (slider.minimum, slider.maximum, slider.step) == control.span
        assert slider.label == control.label


def test_the_schema_splits_what_is_kept_evenly() -> None:
    assert schema()["even_shares"] == [[], [0.5], pytest.approx([1 / 3, 2 / 3]), [0.25, 0.5, 0.75]]
