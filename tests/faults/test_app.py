"""The app as a subprocess, while its files vanish, its clock jumps, or it is killed.

Tested through its API.
"""

import os
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.e2e.server import Server

ROOT = Path(__file__).resolve().parents[2]
RECIPE = dump_recipe(MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.8,)),)))
JUMPING = """
import itertools, os, time
_now, _jumps = time.time, itertools.cycle((0, 86400, -86400, 3e8))
time.time = lambda: _now() + (next(_jumps) if os.path.exists({flag!r}) else 0)
time.time_ns = lambda: int(time.time() * 1e9)
"""
"""The wall clock of Python jumps by days and years at every look, while a file is there:
run before anything else in the app."""


@dataclass
class App:
    """An app on its own folders, and its address."""

    folder: Path
    server: Server | None = None

    def start(self) -> None:
        """Start it, a second time at the same place."""
        (self.folder / "tmp").mkdir(exist_ok=True)
        paths = os.pathsep.join([str(self.folder / "site"), os.environ.get("PYTHONPATH", "")])
        self.server = Server.start(
            self.folder / "app.log",
            DPPA_PUBLIC="1",
            DPPA_WARM="0",
            DPPA_ZOO=str(self.folder / "zoo"),
            DPPA_CACHE=str(self.folder / "cache"),
            TMPDIR=str(self.folder / "tmp"),
            PYTHONPATH=paths,
        )

    def ask(self, name: str, *values: Any) -> Any:
        """An endpoint's answer."""
        client = Client(self.server.url, verbose=False, download_files=False)
        try:
            return client.predict(*values, api_name=f"/{name}")
        finally:
            client.close()

    def fetch(self, offer: dict[str, Any]) -> int:
        """The bytes of a file on offer, or the error status."""
        try:
            with urllib.request.urlopen(f"{self.server.url}/{offer['address']}") as answer:
                return len(answer.read())
        except urllib.error.HTTPError as error:
            return error.code


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """It runs on copies of the embedded models, under a clock that can jump."""
    folder = tmp_path_factory.mktemp("app")
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(JUMPING.format(flag=str(folder / "jump")))
    shutil.copytree(ROOT / "assets" / "zoo", folder / "zoo")
    running = App(folder)
    running.start()
    yield running
    running.server.stop()


@pytest.mark.long
def test_a_clock_that_jumps_by_years_neither_removes_nor_keeps_anything(app: App) -> None:
    before = app.ask("chat", RECIPE, "1 + 1 = ?"), app.ask("score", RECIPE, "math", "merged", 4)
    (app.folder / "jump").touch()
    offer = app.ask("export", RECIPE, "packs")
    assert offer["seconds"] > 1700 and app.fetch(offer) == offer["bytes"]
    again = app.ask("chat", RECIPE, "1 + 1 = ?"), app.ask("score", RECIPE, "math", "merged", 4)
    assert again == before and app.fetch(offer) == offer["bytes"]
    (app.folder / "jump").unlink()


@pytest.mark.long
def test_models_that_vanish_under_the_page_are_missed_by_name_and_work_when_they_are_back(
    app: App,
) -> None:
    before = app.ask("plan", RECIPE)
    away = app.folder / "away"
    (app.folder / "zoo" / "math").rename(away)
    with pytest.raises(AppError, match="zoo:math"):
        app.ask("score", RECIPE, "math", "merged", 4)
    with pytest.raises(AppError, match="zoo:math"):
        app.ask("export", RECIPE, "checkpoint")
    away.rename(app.folder / "zoo" / "math")
    assert app.ask("plan", RECIPE) == before
    assert app.ask("export", RECIPE, "checkpoint")["bytes"] > 1e6


@pytest.mark.long
def test_a_cleared_temporary_folder_costs_the_files_that_lay_there(app: App) -> None:
    offer = app.ask("export", RECIPE, "packs")
    (folder,) = (app.folder / "tmp").glob("dppa-export-*")
    shutil.rmtree(folder)
    assert app.fetch(offer) == 404
    assert app.fetch(app.ask("export", RECIPE, "packs")) == offer["bytes"]


@pytest.mark.long
def test_an_app_killed_in_a_merge_and_an_answer_leaves_nothing_and_begins_where_it_was(
    app: App,
) -> None:
    plan, offer = app.ask("plan", RECIPE), app.ask("export", RECIPE, "packs")
    client = Client(app.server.url, verbose=False, download_files=False)
    client.submit(RECIPE, "Tom has 12 apples. " * 20, max_tokens=256, api_name="/chat")
    client.submit(RECIPE, "checkpoint", api_name="/export")
    (left,) = (app.folder / "tmp").glob("dppa-export-*")
    while not list(left.glob("*/.*.dppa-partial-*")):  # a merge that is being written
        time.sleep(0.002)
    os.kill(app.server.process.pid, signal.SIGKILL)
    app.server.process.wait()
    for path in (app.folder / "cache").rglob("*"):  # and what it had cached is rubbish
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-1])
    app.start()
    deadline = time.monotonic() + 20
    while left.exists() and time.monotonic() < deadline:  # removed beside the start
        time.sleep(0.02)
    assert not left.exists()
    assert app.ask("plan", RECIPE) == plan and app.ask("chat", RECIPE, "1 + 1 = ?")
    again = app.ask("export", RECIPE, "packs")
    assert again["sha256"] == offer["sha256"]
