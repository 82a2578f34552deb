"""Named pipes and devices instead of files: refused at once, without waiting."""

import os
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from dppa_core.checkpoints.folders.small_files import known_sha256, read_config, read_file
from dppa_core.checkpoints.safetensors_reader import open_file
from dppa_core.checkpoints.torch_reader import open_torch_file
from dppa_core.errors import Cancelled, DppaError
from dppa_core.evaluation.perplexity import read_text
from dppa_core.preflight_checks.provenance import front_matter
from dppa_core.profiling.calibration.texts import read_source
from dppa_core.recipes.calibration import Calibration
from dppa_core.recipes.yaml_text import load_recipe
from dppa_core.system.regular_files import open_regular, read_regular
from dppa_core.system.state_file import StateFile
from dppa_core.tuning.adamerging.settings import AdaMergeSettings
from dppa_core.tuning.adamerging.texts import file_domains
from dppa_core.tuning.search.state import ScoreMemory

SOON = 20.0
"""Seconds after which something waits: far more than any of these needs."""


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def outcome(work: Callable[[], object], pipe: Path) -> object:
    """The result or error of work; fails if it waits for a writer of the pipe."""
    outcomes: list[object] = []

    def run() -> None:
        try:
            outcomes.append(work())
        except (DppaError, OSError) as error:
            outcomes.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SOON)
    waited = thread.is_alive()
    with suppress(OSError):  # nobody reads
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))  # releases a reader
    thread.join()
    assert not waited
    return outcomes[0]


@pytest.mark.parametrize(
    "read",
    [
        lambda path: read_source(Calibration(text=str(path))),
        read_text,
        load_recipe,
        lambda path: file_domains([path], AdaMergeSettings()),
        lambda path: StateFile(path, "adamerging", "run", {}).load(dict),
        lambda path: ScoreMemory(path, {}),
        read_file,
        open_file,
        open_torch_file,
        open_regular,
    ],
)
def test_a_pipe_is_refused_and_named(pipe: Path, read: Callable[[Path], object]) -> None:
    message = str(outcome(lambda: read(pipe), pipe))
    assert "not a regular file, but a named pipe" in message and str(pipe) in message


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused_without_being_opened(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.open", lambda *_, **__: pytest.fail("opened"))
    for read in (lambda path: read_source(Calibration(text=str(path))), read_text):
        with pytest.raises(DppaError, match="not a regular file, but a device"):
            read(Path(device))


def test_a_pipe_beside_a_model_says_nothing_and_is_not_waited_for(pipe: Path) -> None:
    assert outcome(lambda: known_sha256(pipe), pipe) == ""
    assert outcome(lambda: front_matter(pipe), pipe) == {}
    pipe.rename(pipe.with_name("config.json"))
    refusal = outcome(lambda: read_config(pipe.parent), pipe.with_name("config.json"))
    assert "config.json: cannot be read (not a regular file" in str(refusal)


def test_a_pipe_put_there_after_the_look_is_not_waited_for(
    pipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    regular, look = os.stat(__file__), os.stat

    def swapped(path: object, **how: bool) -> os.stat_result:
        return regular if path == pipe else look(path, **how)  # type: ignore[arg-type]

    monkeypatch.setattr("os.stat", swapped)
    assert stat.S_ISREG(os.stat(pipe).st_mode)
    assert "but a named pipe" in str(outcome(lambda: open_regular(pipe), pipe))


def test_a_text_is_read_to_its_bound_and_no_further(tmp_path: Path) -> None:
    path = tmp_path / "endless"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert len(read_regular(path, (1 << 20) + 7)) == (1 << 20) + 7
    assert read_regular(path, 0) == b""


def test_a_stop_ends_the_reading_of_a_text(tmp_path: Path) -> None:
    path, stop = tmp_path / "text", threading.Event()
    path.write_text("1 + 1 = 2\n" * 1000)
    assert read_source(Calibration(text=str(path)), stop).turns
    stop.set()
    with pytest.raises(Cancelled):
        read_source(Calibration(text=str(path)), stop)


def test_a_stream_of_the_command_line_may_be_a_pipe_and_no_stream_of_a_recipe() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"1 + 1 = 2")
    os.close(writing)
    with pytest.raises(DppaError, match="not a regular file, but a named pipe"):
        read_source(Calibration(text=f"/dev/fd/{reading}"))
    assert read_text(Path(f"/dev/fd/{reading}")) == "1 + 1 = 2"
    os.close(reading)
