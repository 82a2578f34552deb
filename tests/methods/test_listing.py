"""`dppa methods`: the list is complete, and the documentation's page is current."""

import json
from pathlib import Path

from typer.testing import CliRunner

from dppa_core.cli.commands.methods import methods_page
from dppa_core.cli.main import app
from dppa_core.methods.registry import METHODS, get_method

PAGE = Path(__file__).resolve().parents[2] / "docs" / "methods.md"


def test_every_method_is_listed_with_paper_and_parameters() -> None:
    run = CliRunner().invoke(app, ["methods", "--json"])
    listed = {item["name"]: item for item in json.loads(run.stdout)["methods"]}
    assert tuple(listed) == tuple(method.name for method in METHODS)
    ties = listed["ties"]
    assert ties["paper"] == "arXiv:2306.01708" and ties["combines"]
    density = next(item for item in ties["parameters"] if item["name"] == "density")
    assert (density["default"], density["min"], density["max"]) == (0.2, 0.0, 1.0)


def test_people_read_every_name_and_meaning() -> None:
    text = CliRunner().invoke(app, ["methods"]).stdout
    for method in METHODS:
        assert f"{method.name}: {method.title}" in text
        assert method.summary in text


def test_the_page_of_the_documentation_is_current() -> None:
    """`dppa methods --markdown > docs/methods.md` writes it."""
    assert PAGE.read_text(encoding="utf-8") == methods_page()
    assert CliRunner().invoke(app, ["methods", "--markdown"]).stdout == methods_page()


def test_every_default_is_within_its_range() -> None:
    for method in METHODS:
        method.parameters()


def test_a_method_either_treats_deltas_or_combines_them() -> None:
    for method in METHODS:
        assert (method.treat is None) != (method.combination is None)
        assert get_method(method.name) is method
