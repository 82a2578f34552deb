"""The README does what it says: its recipe, its library example and its commands run as printed."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands() -> list[list[str]]:
    """Every `dppa …` line, without its comment."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("dppa ")]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python in `folder` with this tree in sight."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    if command[0] == "dppa":
        code += "from dppa_core.cli.main import main\nsys.argv[0] = 'dppa'\nmain()"
        arguments = command[1:]
    else:
        code, arguments = code + command[0], ()
    whole = [sys.executable, "-c", code, *arguments]
    return subprocess.run(whole, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds the README's recipe."""
    (tmp_path / "recipe.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    return tmp_path


def test_the_two_commands_stand_at_the_top() -> None:
    first = blocks("sh")[0]
    assert "make app" in first and "make test" in first
    assert README.index(first) < 1500


def test_the_library_example_runs(folder: Path) -> None:
    done = run(folder, blocks("python")[0])
    assert done.returncode == 0, done.stderr
    assert (folder / "out" / "model.safetensors").exists()


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_the_commands_run(folder: Path, command: list[str]) -> None:
    fewer = [re.sub(r"^20$", "3", part) for part in command]  # items of --limit: each takes time
    done = run(folder, *fewer)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
