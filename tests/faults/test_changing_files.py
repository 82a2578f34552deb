"""Files that vanish, shrink or change while work reads them, and damaged caches.

Data is used only if it is of one version; nothing half-written stays, nothing crashes.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from components.work.downloads.files import Exports
from components.work.downloads.limits import LOCAL
from components.work.downloads.route import address_of, download_route
from components.work.visitor import Visitor
from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.fingerprints import fingerprints
from dppa_core.errors import DamagedCheckpoint, InvalidValue, MissingCheckpoint
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.progress import Progress
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.system.folder_cache import cache_folder
from tests.faults.disks import contents, forked
from tests.helpers.tiny_models import random_llama, tuned_llama

ADA = Visitor("ada")

WEIGHTS = Path("math", "model.safetensors")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A base, a domain model, and their own cache."""
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))
    base = random_llama(0)
    base.save(tmp_path / "base")
    tuned_llama(base, 1).save(tmp_path / "math")
    os.utime(tmp_path / WEIGHTS, (10**9, 10**9))  # clocks of file systems tick a few times a second
    return tmp_path


def recipe(root: Path, method: str = "dppa") -> MergeRecipe:
    levels = (0.8,) if method == "dppa" else (0.0,)
    return MergeRecipe(str(root / "base"), (DomainModel(str(root / "math"), levels),), method)


def truncate(path: Path) -> None:
    os.truncate(path, 8000)


def overwrite(path: Path) -> None:
    """Other weights of the same size in the same file, as a copy over it leaves them."""
    replacement = tuned_llama(random_llama(0), 2).save(path.parent.parent / "other") / path.name
    with path.open("r+b") as file:
        file.write(replacement.read_bytes())


def at_first(change: Callable[[Path], object], path: Path) -> Progress:
    """Changes a file at the first progress report."""
    left = iter([change])

    def progress(current: int, total: int, step: str) -> None:
        for pending in left:
            pending(path)

    return progress


@pytest.mark.parametrize("method", ["dppa", "linear"])
@pytest.mark.parametrize(
    ("change", "says"), [(truncate, "became shorter"), (overwrite, "was changed")]
)
def test_weights_that_change_under_a_merge_end_it(
    root: Path, change: Callable[[Path], object], says: str, method: str
) -> None:
    def run() -> None:
        watch = at_first(change, root / WEIGHTS)
        with pytest.raises(DamagedCheckpoint, match=f"math/model.safetensors: {says} while it was"):
            merge_to_folder(recipe(root, method), root / "out", workers=1, progress=watch)

    forked(run)
    assert not list(root.glob("*out*"))


@pytest.mark.parametrize("change", [truncate, overwrite])
def test_weights_that_change_before_they_are_looked_at_end_no_process(
    root: Path, change: Callable[[Path], object]
) -> None:
    def run() -> None:
        opened = SafetensorsCheckpoint(root / "math")
        change(root / WEIGHTS)
        with pytest.raises(DamagedCheckpoint, match="while it was read"):
            fingerprints(opened)

    forked(run)


def test_weights_that_vanish_under_a_merge_are_read_to_their_end(root: Path) -> None:
    """Open files survive deletion and replacement; the next merge says what is missing."""
    merge_to_folder(recipe(root), root / "whole")
    watch = at_first(lambda path: shutil.rmtree(path.parent), root / WEIGHTS)
    merge_to_folder(recipe(root), root / "out", workers=1, progress=watch)
    merged, whole = (root / name / "model.safetensors" for name in ("out", "whole"))
    assert merged.read_bytes() == whole.read_bytes()
    with pytest.raises(MissingCheckpoint, match=r"math: no such folder"):
        merge_to_folder(recipe(root), root / "again")
    assert not list(root.glob("*again*"))


def test_rubbish_in_every_file_of_the_cache_changes_no_byte(root: Path) -> None:
    merge_to_folder(recipe(root), root / "out")
    before = contents(root / "out")
    spoiled = 0
    for kind, damage in enumerate((b"", b"\xff" * 40, None)):
        for path in cache_folder("").rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                path.write_bytes(data[: len(data) // 2] if damage is None else damage)
                spoiled += 1
        merge_to_folder(recipe(root), root / f"out{kind}")
        assert contents(root / f"out{kind}") == before
    assert spoiled > 6


# files on offer --------------------------------------------------------------------------------


@pytest.fixture
def exports(tmp_path: Path) -> Iterator[Exports]:
    store = Exports(LOCAL, tmp_path / "made")
    (tmp_path / "made").mkdir()
    yield store
    store.close()


def offered(exports: Exports) -> str:
    """The secret word of a new file."""
    with exports.room(ADA, 10) as room:
        path = room.folder / "file.zip"
        path.write_bytes(b"x" * 10)
        return exports.offer(ADA, room, path, "hash").word


def test_a_file_on_offer_that_a_system_cleared_away_is_said_to_be_gone(
    exports: Exports, tmp_path: Path
) -> None:
    client = TestClient(Starlette(routes=[download_route(exports)]))
    first = offered(exports)
    assert client.get(f"/{address_of(first)}").content == b"x" * 10
    (root,) = (tmp_path / "made").iterdir()
    shutil.rmtree(root)
    answer = client.get(f"/{address_of(first)}")
    assert answer.status_code == 404 and "not here any more" in answer.text
    assert client.get(f"/{address_of(offered(exports))}").status_code == 200


def test_a_folder_cleared_away_while_a_file_is_made_is_told(
    exports: Exports, tmp_path: Path
) -> None:
    with pytest.raises(InvalidValue, match="folder in which the file was made is gone") as caught:
        with exports.room(ADA, 10) as room:
            shutil.rmtree(room.folder.parent)
            (room.folder / "file.zip").write_bytes(b"x")
    assert str(tmp_path) not in str(caught.value) and exports.nbytes == 0
    assert offered(exports)
