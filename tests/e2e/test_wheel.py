"""The wheel, installed without the repository: a page with its first plot, and a merge."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from dppa_core.system.locks import lock_folder
from tests.e2e.page_driver import Studio, new_context
from tests.e2e.server import ROOT, Server

RECIPE = """
dppa: 1
base: zoo:base
models:
  - {model: zoo:math, levels: [0.8]}
  - {model: zoo:law, levels: [0.8]}
method: dppa
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command `dppa` of a new environment that holds the wheel, and sees what it needs."""
    folder = tmp_path_factory.mktemp("wheel")
    environment = folder / "environment"
    python = environment / "bin" / "python"
    for command in (
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        [sys.executable, "-m", "venv", "--without-pip", str(environment)],
    ):
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", str(wheel)]
    subprocess.run([*pip, "--no-index", "--quiet"], check=True, capture_output=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    link = environment / "lib" / version / "site-packages" / "needs.pth"
    link.write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    return environment / "bin" / "dppa"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for the command's files; nothing of the repository is on any path."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DPPA_COMPILE", "1")  # not before the merge, but beside it, elsewhere:
    (tmp_path / "cache" / "compiled").mkdir(parents=True)
    handle = lock_folder(tmp_path / "cache" / "compiled")  # as if another process did so now
    yield tmp_path
    os.close(handle)


@pytest.mark.long
def test_dppa_app_opens_the_page_from_any_folder(
    installed: Path, own: Path, browser: Browser
) -> None:
    server = Server.start(own / "app.log", (str(installed), "app"), own)
    try:
        studio = Studio.visit(new_context(browser, 1440, 900), server.url)
        assert studio.page.locator("#plots canvas, #plots svg").count()
        assert not studio.complaints
        lesson = studio.page.request.get(f"{server.url}/learn/learn.css")
        assert lesson.ok
    finally:
        server.stop()


@pytest.mark.long
def test_the_installed_command_merges(installed: Path, own: Path) -> None:
    (own / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    command = [str(installed), "merge", "recipe.yaml", "--out", "merged"]
    done = subprocess.run(command, cwd=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (own / "merged" / "model.safetensors").is_file()


@pytest.mark.long
def test_a_port_that_is_none_is_refused_in_a_line(installed: Path, own: Path) -> None:
    command = [str(installed), "app", "--port", "many"]
    done = subprocess.run(command, cwd=own, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "invalid int value: 'many'" in done.stderr
