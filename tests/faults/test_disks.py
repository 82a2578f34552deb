"""Disks that are really full or read-only: one-line errors, nothing half-written, no crash.

Each test runs in a fork on its own disk; with space, or permission, the same work then succeeds.
"""

import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from components.views.export.export_work import ExportWork, make_file
from components.work.downloads.files import Exports
from components.work.downloads.limits import LOCAL
from components.work.visitor import Visitor
from dppa_core.errors import InvalidValue, OutOfBudget
from dppa_core.evaluation.scores import DomainScore, Exam
from dppa_core.merging.convert import convert_to_folder
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.merging.to_pack import pack_models
from dppa_core.profiling.calibration.store import Draft, open_stored
from dppa_core.profiling.profile import cached_profile
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.system.folder_cache import cache_folder
from dppa_core.system.shortage import shortage
from tests.faults.disks import Disk, contents, forked
from tests.faults.searches import ask_by_hand, search

ADA = Visitor("ada")

RECIPES = [MergeRecipe("zoo:base", (DomainModel("zoo:math", (rate,)),)) for rate in (0.8, 0.5)]
ROOT = Path(__file__).resolve().parents[2]
SIZE = 1 << 20
MakeDisk = Callable[[], Disk]
WRITERS: dict[str, Callable[[int, Path], object]] = {
    "merge": lambda number, out: merge_to_folder(RECIPES[number], out, overwrite=True),
    "pack": lambda number, out: pack_models(RECIPES[number], out, overwrite=True),
    "convert": lambda number, out: convert_to_folder(
        ("zoo:math", "zoo:law")[number], out, overwrite=True
    ),
}


pytestmark = pytest.mark.usefixtures("zoo_env")


@pytest.fixture(scope="module", autouse=True)
def _warm(tiny_zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Import what forks need and load its loops before they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPPA_ZOO", str(tiny_zoo))
        for name, work in WRITERS.items():
            work(0, tmp_path_factory.mktemp("warm") / name)


@pytest.fixture(params=[True, False], ids=["disk", "limit"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> MakeDisk:
    """A file system if allowed, and the way without permissions; made in the fork."""
    return lambda: Disk(tmp_path / "disk", SIZE, mounted=request.param)


@pytest.fixture
def disk(tmp_path: Path) -> MakeDisk:
    """The better of both."""
    return lambda: Disk(tmp_path / "disk", SIZE)


def test_a_full_disk_keeps_what_was_there_and_takes_the_next(either: MakeDisk) -> None:
    def run() -> None:
        place = either()
        for name, work in WRITERS.items():
            place.empty()
            work(0, place.folder / name)
            before = contents(place.folder)
            place.fill()
            with pytest.raises(InvalidValue, match=f"{name}: cannot be written: .*{place.full}"):
                work(1, place.folder / name)
            assert contents(place.folder) == before and len(before) > 1, name
            place.empty()
            work(1, place.folder / name)
            after = contents(place.folder)
            assert after.keys() == before.keys() and after != before, name

    forked(run)


def test_a_read_only_disk_is_told_before_the_work(either: MakeDisk) -> None:
    def run() -> None:
        place = either()
        place.lock()
        for name, work in WRITERS.items():
            with pytest.raises(InvalidValue, match=f"{name}: .* cannot be written to. Choose"):
                work(0, place.folder / name)
        place.unlock()
        place.empty()
        for name, work in WRITERS.items():
            work(0, place.folder / name)
        assert {path.name for path in place.folder.iterdir()} == set(WRITERS)

    forked(run)


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_cache_that_takes_nothing_costs_time_and_nothing_else(
    disk: MakeDisk, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def profiled() -> bytes:
        profile = cached_profile("zoo:base", "zoo:math")
        return b"".join(module.magnitudes.tobytes() for module in profile.modules)

    def measured() -> bytes:
        """In a mapped file, like a model's statistics."""
        with closing(Draft(cache_folder("statistics") / "one", {"gram": (256, 256)})) as draft:
            draft.arrays["gram"][:] = np.arange(256)
            return draft.finish({}).arrays["gram"].tobytes()

    def run() -> None:
        place = disk()
        monkeypatch.setenv("DPPA_CACHE", str(place.folder))
        place.fill() if fault == "full" else place.lock()
        computed = profiled(), measured()
        assert contents(place.folder) == {}
        place.empty() if fault == "full" else place.unlock()
        assert (profiled(), measured()) == computed and contents(place.folder)
        kept = open_stored(cache_folder("statistics") / "one")
        assert kept is not None and kept.arrays["gram"].tobytes() == computed[1]

    forked(run)


def test_a_file_for_a_visitor_goes_and_the_page_makes_the_next(disk: MakeDisk) -> None:
    def run() -> None:
        place = disk()
        place.empty()
        exports = Exports(LOCAL, place.folder)

        def make(tell: Callable[[str, float | None], None]) -> None:
            make_file(RECIPES[0], "packs", ADA, exports, ExportWork(True, tell, threading.Event()))

        with pytest.raises(OutOfBudget, match="disk is full|may not grow") as caught:
            make(lambda step, _share: place.fill() if "Packing: 2 of" in step else None)
        assert str(place.folder) not in str(caught.value)
        assert contents(place.folder) == {} and exports.nbytes == 0
        place.empty()
        make(lambda *_: None)
        assert len(contents(place.folder)) == 1

    forked(run)


@pytest.mark.parametrize("kind", ["climb", "study"])
def test_a_search_whose_disk_is_full_goes_on_where_it_was(tmp_path: Path, kind: str) -> None:
    def run() -> None:
        # A small state could reuse its own old page on a full tmpfs.
        place = Disk(tmp_path / "disk", SIZE, mounted=kind == "study")
        place.empty()
        ask, exams = ask_by_hand()

        def filling(exam: Exam) -> DomainScore:
            if len(exams) == 9:
                place.fill()
            return ask(exam)

        with pytest.raises(Exception, match=".") as caught:
            search(kind, place.folder, filling)
        assert shortage(caught.value), repr(caught.value)
        place.empty()
        targets = {exam.target for exam in exams[:9]}
        again, asked_again = ask_by_hand()
        search(kind, place.folder, again)
        merges = [exam.target for exam in asked_again if isinstance(exam.target, MergeRecipe)]
        assert merges and not targets & set(merges)

    forked(run)


def test_a_page_that_finds_no_place_for_temporary_files_ends_with_one_line() -> None:
    """No file may grow: as on a full disk, every place is tried and fails."""
    command = f"ulimit -f 0; exec {sys.executable} app.py 2>&1 | cat"
    process = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert process.stdout.startswith(
        "There is no folder for temporary files that can be written to."
    )
    assert process.stdout.count("\n") == 1
