"""Temporary folders: removed with their process, or at the next start if it was killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from dppa_core.system.temporary import Kind, TemporaryFolder, remove_dead

KILLED = """
import os, signal, sys
from dppa_core.system.temporary import TemporaryFolder
kept = [TemporaryFolder(kind) for kind in sys.argv[1:]]
for one in kept:
    (one.path / "big.zip").write_bytes(b"x")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder for temporary files, for this test only."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def kill_one_that_has(*kinds: str, temporary: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", KILLED, *kinds],
        env=os.environ | {"TMPDIR": str(temporary)},
        check=False,
    )
    assert process.returncode == -signal.SIGKILL


def names(temporary: Path) -> set[str]:
    return {path.name for path in temporary.iterdir()}


def test_every_kind_that_a_killed_process_left_is_removed(temporary: Path) -> None:
    kill_one_that_has(*get_args(Kind), temporary=temporary)
    assert len(names(temporary)) == len(get_args(Kind))
    remove_dead()
    assert names(temporary) == set()


def test_folders_of_living_processes_stay(temporary: Path) -> None:
    kill_one_that_has("export", temporary=temporary)
    alive = TemporaryFolder("export")  # its start removes the dead one
    remove_dead()
    assert names(temporary) == {alive.path.name}
    alive.close()
    assert names(temporary) == set()


def test_what_is_no_such_folder_stays(temporary: Path) -> None:
    kept = {"dppa-export-mine", "dppa-merged", "dppa-export-ABCDEFGH", "my-dppa-export-abcdefgh"}
    for name in kept:
        (temporary / name).mkdir()
    (temporary / "dppa-export-abcdefgh").write_text("a file")
    (temporary / "dppa-export-abcdefgi").symlink_to(temporary / "dppa-merged")
    remove_dead()
    assert names(temporary) == kept | {"dppa-export-abcdefgh", "dppa-export-abcdefgi"}


def test_no_folder_for_temporary_files_is_no_error(temporary: Path) -> None:
    remove_dead(temporary / "nothing")


def test_a_file_system_without_locks_is_left_alone(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_: Path) -> int:
        raise OSError(95, "Operation not supported")

    for module in ("locks", "temporary"):
        monkeypatch.setattr(f"dppa_core.system.{module}.lock_folder", none)
    folder = TemporaryFolder("model")
    remove_dead()
    assert names(temporary) == {folder.path.name}
    folder.close()
    assert names(temporary) == set()
