"""Memory that runs out during a merge: a one-line error, nothing half-written, the next works.

A fork is limited to the memory it has, and has none left: every allocation fails.
"""

import io
import resource
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path

import jaxtyping
import pytest

from components.work.error_notices import message
from dppa_core.cli.main import main
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.faults.disks import forked

RECIPE = MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.8,)), DomainModel("zoo:law", (0.8,))))
MARGIN = 3 << 20
"""Bytes that stay, so that Python itself can say what is the matter."""
LARGEST, SMALLEST = 26, 16
"""Powers of two: blocks in which memory is taken."""
MESSAGE = "There is not enough memory for this now."


class Hunger:
    """Takes all memory still available to this process, and frees it."""

    def __init__(self) -> None:
        self._eaten: list[bytearray] = []

    def begin(self, *_progress: object) -> None:
        """Take it, once; usable as a progress callback."""
        if self._eaten:
            return
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _limit(pages * resource.getpagesize())
        jaxtyping.config.update("jaxtyping_disable", True)  # only in tests
        margin = bytearray(MARGIN)
        for power in range(LARGEST, SMALLEST - 1, -1):
            try:
                while True:
                    self._eaten.append(bytearray(1 << power))
            except MemoryError:
                continue
        del margin

    def end(self) -> None:
        """Free it."""
        _limit(resource.RLIM_INFINITY)
        self._eaten.clear()


def _limit(nbytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (nbytes, resource.getrlimit(resource.RLIMIT_AS)[1]))


def refused(work: Callable[[Callable[..., None]], object], *, at_once: bool) -> None:
    """Work must fail for lack of memory, and the page say so; `work` takes a callback."""
    hunger, error = Hunger(), None
    try:
        if at_once:
            hunger.begin()
        work(hunger.begin)
    except Exception as caught:
        error = caught
    finally:
        hunger.end()
    assert error is not None, "there was enough"
    assert message(error).startswith(MESSAGE), repr(error)


@pytest.fixture(scope="module", autouse=True)
def _warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Import, load and profile what forks need before they start."""
    import torch  # noqa: PLC0415  (seconds)

    torch.set_num_threads(1)
    merge_to_folder(RECIPE, tmp_path_factory.mktemp("warm") / "out", workers=1)
    with ModelPool().lend(RECIPE):
        pass


def test_a_merge_leaves_the_old_one_and_is_made_later(tmp_path: Path) -> None:
    def run() -> None:
        out = tmp_path / "out"
        merge_to_folder(RECIPE, out)
        weights = out / "model.safetensors"
        before = weights.stat().st_ino

        def merge(progress: Callable[..., None] | None) -> None:
            merge_to_folder(RECIPE, out, overwrite=True, workers=1, progress=progress)

        refused(merge, at_once=True)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        assert weights.stat().st_ino == before
        merge(None)
        assert weights.stat().st_ino != before

    forked(run)


def test_models_in_memory_stay_what_they_are(tmp_path: Path) -> None:
    def run() -> None:
        pool = ModelPool()
        with pool.lend("zoo:math") as resident:
            before = pool.loaded(), pool.nbytes
            for at_once in (True, False):
                refused(lambda progress: pool.get(RECIPE, progress=progress), at_once=at_once)
                assert (pool.loaded(), pool.nbytes) == before
            assert pool.get("zoo:math") is resident
        assert pool.get(RECIPE).nbytes == resident.nbytes

    forked(run)


def test_the_command_says_it_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipe.yaml").write_text(dump_recipe(RECIPE))
    words = ["dppa", "merge", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", words)

    def run() -> tuple[object, str]:
        hunger, errors = Hunger(), io.StringIO()
        with redirect_stderr(errors), pytest.raises(SystemExit) as ended:
            monkeypatch.setattr("dppa_core.cli.commands.merge.merge_to_folder", starving(hunger))
            main()
        hunger.end()
        return ended.value.code, errors.getvalue()

    def starving(hunger: Hunger) -> Callable[..., object]:
        """The same merge, started without free memory."""

        def merge(*arguments: object, **how: object) -> object:
            hunger.begin()
            return merge_to_folder(*arguments, **how)  # type: ignore[arg-type]

        return merge

    code, errors = forked(run)
    assert code == 1 and errors.startswith(f"dppa: {MESSAGE}") and errors.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]
