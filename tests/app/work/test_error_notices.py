"""What a visitor reads of an error."""

import errno
import tempfile
from pathlib import Path
from typing import get_args

import pytest

from components.work.error_notices import message
from dppa_core.errors import DppaError, InvalidValue
from dppa_core.merging.in_memory import spread
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.system.atomic_folders import atomic_folder
from dppa_core.system.temporary import Kind, TemporaryFolder


def test_the_error_of_a_full_disk_tells_no_temporary_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def merge(recipe: MergeRecipe, place: Path, **_: object) -> None:
        with atomic_folder(place, sync=False):
            raise OSError(errno.ENOSPC, "No space left on device")

    (parent := tmp_path / "a b").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(parent))
    monkeypatch.setattr(spread, "merge_to_folder", merge)
    with pytest.raises(DppaError) as error:
        spread.load_spread(MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.8,)),)))
    assert message(error.value).startswith("weights: cannot be written: the disk is full")


@pytest.mark.parametrize("kind", get_args(Kind))
def test_no_error_tells_where_a_temporary_folder_lies(kind: Kind, tmp_path: Path) -> None:
    folder = TemporaryFolder(kind, tmp_path)
    inside = Path(tempfile.mkdtemp(dir=folder.path))
    for path in (folder.path, inside):
        assert message(InvalidValue(f"{path}/dppa-1a2b: is '{path}/x'.")) == "dppa-1a2b: is 'x'."
    folder.close()
    assert message(InvalidValue("/models/dppa-export: no")) == "/models/dppa-export: no"
