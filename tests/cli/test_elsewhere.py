"""Commands of other distributions: found by their entry point, named where it is missing."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from dppa_core.cli.commands import elsewhere
from dppa_core.cli.commands.elsewhere import LAB_COMMANDS
from tests.helpers.command import Command


def installed(function: Callable[[list[str]], None] | None) -> Callable[..., list[SimpleNamespace]]:
    """Entry points of a laboratory that is installed, or not."""
    point = SimpleNamespace(load=lambda: function)
    return lambda group, name: [point] if function and name == "lab" else []


@pytest.mark.parametrize("name", LAB_COMMANDS)
def test_without_the_laboratory_one_line_says_how_to_get_it(
    name: str, dppa: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elsewhere, "entry_points", installed(None))
    assert dppa(*name.split(), "--any", "option") == 1
    assert dppa.err.count("\n") == 1 and f"`dppa {name}`" in dppa.err
    assert "make lab" in dppa.err and "pip install 'dppa-studio[lab]'" in dppa.err


@pytest.mark.parametrize("name", LAB_COMMANDS)
def test_the_laboratory_gets_the_command_and_all_that_follows(
    name: str, dppa: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(elsewhere, "entry_points", installed(calls.append))
    assert dppa(*name.split(), "--seed", "1", "--help") == 0
    assert calls == [[*name.split(), "--seed", "1", "--help"]]
