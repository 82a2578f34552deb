"""Whatever command, option or variable a message of the program names, exists."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import typer

from dppa_core.cli.main import app

ROOT = Path(__file__).parents[1]
SOURCES = [
    path
    for package in ("dppa_core", "components")
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.name != "theme.py"  # custom properties of CSS begin with -- too
]
OF_OTHERS = {"--head": "`ray start --head`", "--port": "app.py"}
OF_OTHERS |= {"--enable-lora": "vLLM", "--max-lora-rank": "vLLM", "--revision": "vllm serve"}
OF_OTHERS |= {"--local-dir": "hf download"}
"""Options of other programs -> what names the program in the text, or declares them."""


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """Every command with its options."""
    yield " ".join(path), {o for one in command.params for o in (*one.opts, *one.secondary_opts)}
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))


@cache
def texts() -> list[tuple[str, str]]:
    """(place, text) of every text in the sources but docstrings; {} is what is filled in."""
    return [found for path in SOURCES for found in texts_of(path)]


def texts_of(path: Path) -> Iterator[tuple[str, str]]:
    """Those of a file."""
    tree = ast.parse(path.read_text("utf-8"))
    left_out = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            left_out |= set(map(id, node.values))
            parts = [one.value if isinstance(one, ast.Constant) else "{}" for one in node.values]
            yield f"{path.name}, line {node.lineno}", "".join(map(str, parts))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in left_out:
                yield f"{path.name}, line {node.lineno}", node.value


def options(text: str) -> list[str]:
    return re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", text)


def test_every_option_that_a_message_names_exists() -> None:
    known, missing, seen = set[str]().union(*COMMANDS.values()), [], 0
    for place, text in texts():
        for option in options(text):
            seen += 1
            foreign = OF_OTHERS.get(option, "\0")
            if (
                option not in known
                and foreign not in text
                and place.partition(",")[0] != "command.py"
            ):
                missing.append((place, option))
    assert not missing and seen > 100


def test_every_command_that_a_message_names_exists_with_its_options() -> None:
    missing, seen = [], 0
    for place, text in texts():
        for name, rest in re.findall(r"`dppa ((?:zoo )?[a-z-]+)([^`]*)`", text):
            seen += 1
            unknown = set(options(rest)) - COMMANDS.get(name, set())
            if name not in COMMANDS or unknown:
                missing.append((place, name, unknown))
    assert not missing and seen > 20


def test_every_variable_that_a_message_names_is_in_the_settings() -> None:
    settings = (ROOT / "docs/reference/settings.md").read_text("utf-8")
    known = set(re.findall(r"DPPA_[A-Z_]+", settings))
    named = {v for _, text in texts() for v in re.findall(r"DPPA_[A-Z]+(?:_[A-Z]+)*", text)}
    assert named and named <= known
