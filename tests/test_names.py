"""Names say what they hold: vague words are rare in every package and in the page's scripts."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
VAGUE = frozenset(
    "one found given of told known asked done what which other said mine whose where own each "
    "wanted chosen shown seen made here there".split()
)
"""Words that say nothing of the thing. Whoever needs one as a name argues here."""
MAX_SHARE = 0.015
"""Of all names that a package assigns; mergekit, nanochat and httpx have 0.000 to 0.005."""
SCRIPT_NAME = re.compile(r"\b(?:const|let|var|function|class)\s+(\w+)")


def packages() -> list[Path]:
    """Every package below the three houses, and the folders of tools."""
    houses = (ROOT / "dppa_core", ROOT / "components", ROOT / "lab" / "dppa_lab")
    inside = [folder for house in houses for folder in sorted(house.iterdir())]
    folders = [*inside, ROOT / "benchmarks", ROOT / "scripts", ROOT / "lab" / "tests"]
    return [folder for folder in folders if folder.is_dir() and any(folder.rglob("*.py"))]


def assigned(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names of variables, arguments, functions, classes and attributes, each with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(ctx=ast.Store()):
                yield node.id, node.lineno
            case ast.arg():
                yield node.arg, node.lineno
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr, node.lineno
            case ast.ExceptHandler(name=str(name)):
                yield name, node.lineno


def is_vague(name: str) -> bool:
    return name.strip("_").lower() in VAGUE


def names_of(folder: Path) -> list[tuple[str, str]]:
    """Every name assigned below a folder, each with its place."""
    return [
        (name, f"{path.relative_to(ROOT)}:{line}: {name}")
        for path in sorted(folder.rglob("*.py"))
        for name, line in assigned(ast.parse(path.read_text("utf-8")))
    ]


@pytest.mark.parametrize("folder", packages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_few_names_of_a_package_are_vague(folder: Path) -> None:
    names = names_of(folder)
    vague = [place for name, place in names if is_vague(name)]
    assert len(vague) <= MAX_SHARE * len(names), "\n".join(vague)


def test_few_names_of_the_scripts_are_vague() -> None:
    texts = [path.read_text("utf-8") for path in sorted((ROOT / "assets" / "js").rglob("*.js"))]
    names = [name for text in texts for name in SCRIPT_NAME.findall(text)]
    vague = [name for name in names if is_vague(name)]
    assert len(vague) <= MAX_SHARE * len(names), vague


@pytest.mark.parametrize("folder", packages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_function_or_member_is_told_and_no_constant_is_one_vague_word(folder: Path) -> None:
    bad = []
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == "told":
                bad.append(f"{path}:{node.lineno}")
            if isinstance(node, ast.ClassDef):
                bad += [f"{path}:{line}" for name, line in assigned(node) if name == "told"]
        constants = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
        bad += [
            f"{path}:{line}: {name}"
            for node in constants
            for name, line in assigned(node)
            if name.isupper() and is_vague(name)
        ]
    assert not bad
