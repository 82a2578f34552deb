"""Settings, logs and shutdown, for operators."""

import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from components.server.logs import SELDOM, SERVER, start_log
from components.server.settings import PREFIX, Settings, read_settings
from components.work.kinds import CHAT, CONFLICT, PERPLEXITY
from components.work.studio import Studio
from dppa_core.errors import Cancelled, InvalidValue
from dppa_core.progress import check

ROOT = Path(__file__).resolve().parents[3]
RUNNING = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")


def test_strangers_use_it_on_a_space_or_where_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert not read_settings().public
    monkeypatch.setenv("SPACE_ID", "acme/studio")
    assert read_settings().public
    monkeypatch.setenv("DPPA_PUBLIC", "0")
    assert not read_settings().public


@pytest.mark.parametrize(
    ("name", "value"),
    [("DPPA_LOG", "xml"), ("DPPA_WARM", "perhaps"), ("GRADIO_SERVER_PORT", "high")],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidValue, match=f"{name}={value}: must be .*, got '{value}'"):
        read_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DPPA_HOSTS", "https://studio.example.org"),
        ("DPPA_HOSTS", "a.example b.example"),
        ("DPPA_FRAMES", "example.org"),
        ("DPPA_FRAMES", "https://example.org; script-src *"),
        ("DPPA_FRAMES", "https://example.org/page"),
        ("DPPA_FRAMES", "*"),
    ],
)
def test_a_list_of_hosts_or_sites_holds_nothing_else(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidValue, match=f"^{name}=.* is not of the form "):
        read_settings()


def test_a_space_is_shown_in_frames_of_hugging_face(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.setenv("DPPA_FRAMES", "https://a.example, https://*.b.example:8443")
    listed = ("https://a.example", "https://*.b.example:8443")
    assert read_settings().frame_sites == listed
    monkeypatch.setenv("SPACE_ID", "acme/studio")
    assert read_settings().frame_sites == (
        "https://huggingface.co",
        "https://*.hf.space",
        *listed,
    )


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (
            "GRADIO_SERVER_PORT",
            "high",
            "GRADIO_SERVER_PORT=high: must be a whole number, got 'high'",
        ),
        ("DPPA_ZOO", "/nowhere", "zoo:base: no folder /nowhere/base"),
    ],
)
def test_a_start_that_cannot_be_ends_with_one_line(name: str, value: str, says: str) -> None:
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=os.environ | {name: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and done.stderr.startswith(says)
    assert done.stderr.count("\n") == 1 and not done.stdout


def test_every_variable_that_is_read_stands_in_the_documentation() -> None:
    sources = [ROOT / "app.py", *ROOT.glob("components/**/*.py"), *ROOT.glob("dppa_core/**/*.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    read = set(re.findall(r"""environ(?:\.get\(|\[)"(\w+)\"""", text))
    fields = Settings.model_fields.items()
    read |= {one.validation_alias or PREFIX + name.upper() for name, one in fields}
    assert "DPPA_CACHE" in read and "SPACE_ID" in read
    assert [name for name in sorted(read) if f"`{name}`" not in RUNNING] == []


@pytest.fixture
def log() -> io.StringIO:
    """What is logged, as JSON."""
    start_log("json", public=True)
    root, written = logging.getLogger("dppa"), io.StringIO()
    root.handlers[0].setStream(written)  # type: ignore[attr-defined]
    yield written
    root.handlers.clear()
    root.propagate = True
    logging.getLogger().handlers.clear()


def test_work_is_logged_by_name_end_and_time_alone(log: io.StringIO) -> None:
    studio = Studio(public=True)

    def refuses(_emit: object, _stop: object) -> None:
        raise InvalidValue("a secret question")

    for work in (refuses, lambda _emit, _stop: None):
        list(studio.start(CHAT, work).batches(0.01))
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [(line["part"], line["message"]) for line in lines] == [
        ("dppa.work", "chat refused"),
        ("dppa.work", "chat done"),
    ]
    assert all(line["seconds"] >= 0 for line in lines) and "secret" not in log.getvalue()


def test_a_warning_of_the_server_is_logged_once_a_minute(log: io.StringIO) -> None:
    """Any client can cause thousands; an error is never left out."""
    server = logging.getLogger(SERVER)
    (seldom,) = logging.getLogger().handlers[0].filters

    def logged(level: int, line: int, at: float) -> bool:
        record = server.makeRecord(SERVER, level, "", line, "", (), None)
        record.created = at
        return bool(seldom.filter(record))  # type: ignore[union-attr]

    assert logged(logging.WARNING, 1, 0) and not logged(logging.WARNING, 1, 1)
    assert logged(logging.WARNING, 2, 1), "another place"
    assert logged(logging.WARNING, 1, SELDOM)
    assert all(logged(logging.ERROR, 1, at) for at in (0, 1))


def test_work_that_wants_models_waits_until_one_thread_has_imported_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two that import torch at a time see halves of it: "cannot import name"."""
    studio, order = Studio(public=False), list[str]()
    monkeypatch.setattr(Studio, "pool", lambda _self: order.append("imported"))
    for kind in (PERPLEXITY, CONFLICT):
        list(studio.start(kind, lambda _emit, _stop: order.append("work")).batches(0.01))
    assert order == ["imported", "work", "work"]


def test_closing_stops_the_work_that_goes_on(log: io.StringIO) -> None:
    studio, begun = Studio(public=True), threading.Event()

    def work(_emit: object, stop: threading.Event) -> None:
        begun.set()
        while not stop.wait(0.01):
            pass
        check(stop)

    job = studio.start(CHAT, work)
    assert begun.wait(10)
    studio.close()
    list(job.batches(0.01))
    assert isinstance(job.error, Cancelled) and "chat stopped" in log.getvalue()
