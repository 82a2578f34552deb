"""The command that serves the page: what it starts, and in which order."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from components.page import command, workbench
from components.server import logs
from components.server.settings import read_settings
from components.work import studio
from components.work.studio import Studio
from dppa_core.answering import process
from dppa_core.errors import Cancelled, InvalidValue
from dppa_core.system import heap

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def served(zoo_env: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Serves until the page would be built and fails there; gives the answering processes begun by
    then, and the services."""
    begun, first, studios = list[Any](), threading.Event(), list[Studio]()

    class Running(process._Running):
        def __init__(self, begin: Any) -> None:
            super().__init__(begin)
            begun.append(self)
            first.set()

    def build(services: Studio) -> Any:
        studios.append(services)
        first.wait(20 if read_settings().warm else 0)
        raise InvalidValue("enough")

    def serve() -> tuple[list[Any], Studio]:
        with pytest.raises(SystemExit, match="enough"):
            command.serve()
        return begun, studios[0]

    monkeypatch.setattr(process, "_Running", Running)
    monkeypatch.setattr(workbench, "build_page", build)
    monkeypatch.setattr(logs, "start_log", lambda _form, *, public: None)
    monkeypatch.setattr(heap, "few_arenas", lambda: None)
    monkeypatch.setattr(studio, "available_cores", lambda: 2)
    monkeypatch.setattr(command.gc, "disable", lambda: None)
    return serve


def test_the_answering_process_is_started_with_the_server_and_ends_with_it(served: Any) -> None:
    (running,), services = served()
    assert running.over.wait(20)
    with pytest.raises(Cancelled):
        services.answerer().start()


def test_without_warm_models_no_process_is_started_before_somebody_asks(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_WARM", "0")
    assert not served()[0]


def test_the_services_that_start_it_import_no_gradio() -> None:
    script = "import sys, components.work.studio; assert 'gradio' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
