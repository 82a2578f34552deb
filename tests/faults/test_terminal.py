"""Closed, full or lost terminals: a command exits with a proper code, nothing half-done."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from dppa_core.cli.main import main
from dppa_core.cli.output import emit, message_if_stopped, progress_line, teller, terminal
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe

ROOT = Path(__file__).resolve().parents[2]
SLOW = """
import sys, time
import dppa_core.merging.to_folder as merge
from dppa_core.cli.main import main
def write_config(*anything):
    print("half done", flush=True)
    time.sleep(60)
merge.write_config = write_config
main()
"""
ENDS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def recipe(zoo_env: Path, tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.8,)),))))
    return path


def dppa(*arguments: object, stdout: int, **more: str) -> tuple[int, str]:
    """Run the command with this standard output; exit code and standard error."""
    command = [sys.executable, "-m", "dppa_core", *map(str, arguments)]
    process = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **more}, text=True, check=False,
        stdout=stdout, stderr=subprocess.PIPE,
    )  # fmt: skip
    return process.returncode, process.stderr


def test_the_line_of_progress_says_how_long_the_rest_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with progress_line() as report:
        assert report is not None
        for second, step in ((0, 0), (2, 1), (60, 2)):
            now[0] = second
            report(step, 10, "law")
        for second, step in ((61, 1), (71, 2)):  # another part begins anew
            now[0] = second
            report(step, 12, "merge")
    drawn = [line.strip() for line in capsys.readouterr().err.split("\r\x1b[K")]
    law = ["0/10 law", "1/10 law", "2/10 law, 4 min left"]
    assert drawn == ["", *law, "1/12 merge", "2/12 merge, 50 s left", ""]


def test_a_reader_that_has_left_is_no_error_worth_a_word(recipe: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    assert dppa("card", recipe, stdout=writer) == (128 + signal.SIGPIPE, "")
    os.close(writer)


@pytest.mark.parametrize("form", [["--json"], []])
def test_a_full_disk_behind_standard_output_is_one_line(recipe: Path, form: Sequence[str]) -> None:
    with open("/dev/full", "w") as full:
        code, errors = dppa("plan", "--recipe", recipe, *form, stdout=full.fileno())
    assert (code, errors) == (
        1, "dppa: standard output cannot be written: No space left on device.\n"
    )  # fmt: skip


def test_a_closed_standard_output_is_one_line_and_the_merge_is_there(
    recipe: Path, tmp_path: Path
) -> None:
    """No file of the merge may get the closed stream's number."""
    code = f"{sys.executable} -m dppa_core merge {recipe} --out {tmp_path / 'out'} --no-sync >&-"
    process = subprocess.run(
        code, shell=True, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False
    )
    assert process.returncode == 1
    assert process.stderr == "dppa: standard output cannot be written: Bad file descriptor.\n"
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_a_closed_standard_error_keeps_the_exit_code() -> None:
    for arguments, code in ((["plan", "/nowhere"], 1), (["plan"], 2)):
        command = f"{sys.executable} -m dppa_core {' '.join(arguments)} 2>&-"
        assert subprocess.run(command, shell=True, cwd=ROOT, check=False).returncode == code


def test_a_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    code = f"import os; os.rmdir({str(folder)!r}); from dppa_core.cli.main import main; main()"
    process = subprocess.run(
        [sys.executable, "-c", code, "methods"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1 and process.stdout == ""
    assert process.stderr.startswith("dppa: The folder you are in is gone") and (
        process.stderr.count("\n") == 1
    )


def test_a_narrow_encoding_shows_question_marks(zoo_env: Path, tmp_path: Path) -> None:
    with (tmp_path / "said").open("w") as file:
        ended = dppa("profile", "zoo:math", stdout=file.fileno(), PYTHONIOENCODING="cp1252")
    assert ended == (0, "")
    assert b"?d?/?W?" in (tmp_path / "said").read_bytes()


@pytest.mark.cases(1)
@pytest.mark.parametrize("number", ENDS, ids=lambda number: number.name)
def test_a_signal_ends_a_merge_and_leaves_nothing(
    recipe: Path, tmp_path: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-c", SLOW, "merge", str(recipe), "--out", str(tmp_path / "a" / "b")]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as merge:
        assert merge.stdout and merge.stdout.readline() == "half done\n"
        merge.send_signal(number)
        _, errors = merge.communicate(timeout=60)
    assert merge.returncode == 128 + number and not errors
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    """As under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with terminal():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_signal_does_not_interrupt_the_cleaning() -> None:
    before = [signal.getsignal(number) for number in ENDS]
    cleaned = False
    with pytest.raises(SystemExit) as ended, terminal():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            for number in ENDS:
                os.kill(os.getpid(), number)
            cleaned = True
    assert cleaned and ended.value.code == 128 + signal.SIGTERM
    assert [signal.getsignal(number) for number in ENDS] == before


@pytest.mark.parametrize("as_json", [False, True])
def test_no_text_of_others_controls_a_terminal(
    as_json: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "a\x1b[2Jb\x9b2Jc\r\u202ed\te\nत्‍र"
    emit([text], text, as_json=as_json)
    teller(quiet=False)(text)
    with pytest.raises(KeyboardInterrupt), message_if_stopped(lambda: text):
        raise KeyboardInterrupt
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress_line() as drawn:
        assert drawn is not None
        drawn(1, 2, text)
    monkeypatch.setattr(sys, "argv", ["dppa", "plan", f"{text}.yaml"])
    with pytest.raises(SystemExit):
        main()
    written = capsys.readouterr()
    assert not set(written.out + written.err.replace("\r\x1b[K", "")) & set("\x1b\x9b\r\u202e")
    assert as_json or written.out == "a\\x1b[2Jb\\x9b2Jc\\r\\u202ed\te\nत्‍र\n"
