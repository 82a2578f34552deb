"""A folder appears whole or not at all; leftovers of dead processes are removed."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from dppa_core.errors import InvalidValue
from dppa_core.system import atomic_folders as atomic
from dppa_core.system import locks
from dppa_core.system.atomic_folders import atomic_folder, sweep
from dppa_core.system.locks import exchange, lock_folder


def write(target: Path, text: str, *, replace: bool = False, sync: bool = True) -> None:
    may_replace = (lambda: None) if replace else None
    with atomic_folder(target, may_replace=may_replace, sync=sync) as folder:
        (folder / "text").write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=["one step", "two steps"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the kernel's exchange, and without."""
    if request.param == "two steps":
        monkeypatch.setattr(atomic, "exchange", lambda first, second: False)


def test_the_target_is_not_there_before_all_is_written(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with atomic_folder(target) as folder:
        assert folder.parent == tmp_path and folder.name.startswith(".out.dppa-partial-")
        assert not target.exists()
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.usefixtures("kernel")
def test_an_old_target_is_replaced_and_gone(tmp_path: Path, sync: bool) -> None:
    write(tmp_path / "out", "old")
    write(tmp_path / "out", "new", replace=True, sync=sync)
    assert (tmp_path / "out" / "text").read_text() == "new" and names(tmp_path) == ["out"]


@pytest.mark.usefixtures("kernel")
def test_a_target_that_must_stay_stays(tmp_path: Path) -> None:
    write(tmp_path / "out", "old")
    with pytest.raises(InvalidValue, match="appeared while"):
        write(tmp_path / "out", "new")

    def refuse() -> None:
        raise InvalidValue("no")

    with (
        pytest.raises(InvalidValue, match="no"),
        atomic_folder(tmp_path / "out", may_replace=refuse),
    ):
        pass
    assert (tmp_path / "out" / "text").read_text() == "old" and names(tmp_path) == ["out"]


def test_the_kernel_swaps_two_folders(tmp_path: Path) -> None:
    """If it cannot, False; either way nothing is lost."""
    write(tmp_path / "a", "a")
    write(tmp_path / "b", "b")
    swapped = exchange(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "text").read_text() == ("b" if swapped else "a")
    if swapped:
        with pytest.raises(FileNotFoundError):
            exchange(tmp_path / "a", tmp_path / "c")


def test_an_error_between_the_two_steps_brings_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "out", "old")
    monkeypatch.setattr(atomic, "exchange", lambda first, second: False)
    whole = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if ".dppa-partial-" in path.name and not target.exists():
            raise OSError(errno.EIO, "Input/output error")
        return whole(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(InvalidValue, match="Input/output error"):
        write(tmp_path / "out", "new", replace=True)
    assert (tmp_path / "out" / "text").read_text() == "old" and names(tmp_path) == ["out"]


def leave(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    (folder / name / "text").write_text("left")
    return folder / name


def test_what_dead_processes_left_is_swept(tmp_path: Path) -> None:
    leave(tmp_path, ".out.dppa-partial-0123abcd")
    write(tmp_path / "out", "new")
    assert names(tmp_path) == ["out"]


def test_what_a_living_process_fills_is_not_swept(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "out") as folder:
        write(tmp_path / "out", "other")
        assert folder.is_dir()
        with pytest.raises(BlockingIOError):
            lock_folder(folder)
        shutil.rmtree(tmp_path / "out")
    assert names(tmp_path) == ["out"] and names(tmp_path / "out") == []


def test_only_folders_of_this_target_are_swept(tmp_path: Path) -> None:
    kept = [
        ".other.dppa-partial-0123abcd",
        ".out.dppa-partial-letters",
        ".out.dppa-partial-a.dppa-partial-0123abcd",
        "out.dppa-partial-0123abcd",
    ]
    for name in kept:
        leave(tmp_path, name)
    (tmp_path / ".out.dppa-partial-00000000").write_text("a file")
    (tmp_path / ".out.dppa-partial-11111111").symlink_to(kept[0])
    sweep(tmp_path / "out")
    kept += [".out.dppa-partial-00000000", ".out.dppa-partial-11111111"]
    assert names(tmp_path) == sorted(kept) and names(tmp_path / kept[0]) == ["text"]


def test_an_old_target_put_aside_by_a_killed_process_comes_back(tmp_path: Path) -> None:
    leave(tmp_path, ".out.dppa-old-0123abcd")
    sweep(tmp_path / "out")
    assert names(tmp_path) == ["out"]
    leave(tmp_path, ".out.dppa-old-0123abcd")
    sweep(tmp_path / "out")
    assert names(tmp_path) == ["out"]


def test_file_systems_without_locks_are_written_and_never_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(folder: Path) -> int:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(atomic, "lock_folder", no_locks)
    monkeypatch.setattr(locks, "lock_folder", no_locks)
    leave(tmp_path, ".out.dppa-partial-0123abcd")
    write(tmp_path / "out", "new")
    assert names(tmp_path) == [".out.dppa-partial-0123abcd", "out"]


def test_a_folder_swept_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = []

    def lock(folder: Path) -> int:
        folders.append(folder)
        if len(folders) == 1:
            folder.rmdir()
        return lock_folder(folder)

    monkeypatch.setattr(locks, "lock_folder", lock)
    write(tmp_path / "out", "new")
    assert names(tmp_path) == ["out"] and len(set(folders)) == 2


@pytest.mark.parametrize("length", [200, 250, 255])
def test_the_longest_names_are_written_too(tmp_path: Path, length: int) -> None:
    target = tmp_path / ("n" * length)
    write(target, "old")
    write(target, "new", replace=True)
    assert names(tmp_path) == [target.name]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "no permission"),
        (errno.EFBIG, "smaller shards"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_what_the_system_refuses_is_one_line_and_leaves_nothing(
    tmp_path: Path, number: int, message: str
) -> None:
    with pytest.raises(InvalidValue, match=f"out: cannot be written: .*{message}") as caught:
        with atomic_folder(tmp_path / "made" / "on the way" / "out") as folder:
            (folder / "text").write_text("half")
            raise OSError(number, os.strerror(number))
    assert "\n" not in str(caught.value) and names(tmp_path) == []


def test_any_end_of_the_process_leaves_nothing(tmp_path: Path) -> None:
    for error in (SystemExit(143), KeyboardInterrupt()):
        with pytest.raises(type(error)), atomic_folder(tmp_path / "a" / "out") as folder:
            (folder / "text").write_text("half")
            raise error
    assert names(tmp_path) == []


def test_the_umask_decides_who_may_enter(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "out", "new")
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "out" / "text").stat().st_mode & 0o777 == 0o640


def test_everything_is_on_the_disk_before_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def fsync(handle: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{handle}")).name
        synced.append(name if (tmp_path / "out").exists() else "before: " + name)

    monkeypatch.setattr(os, "fsync", fsync)
    write(tmp_path / "out", "new", sync=False)
    assert not synced
    shutil.rmtree(tmp_path / "out")
    write(tmp_path / "out", "new")
    assert synced[0] == "before: text" and synced[1].startswith("before: .out.dppa-partial-")
    assert synced[2:] == [tmp_path.name]
