"""What a merge may replace: only on request, never a source or files no merge writes."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dppa_core.errors import InvalidValue, NotAllowed
from dppa_core.merging import to_folder as merge_module
from dppa_core.merging.folder import check_target
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.helpers.tiny_models import random_llama, tuned_llama

RECIPE = MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.8,)),))
LAW_MERGE = MergeRecipe("zoo:base", (DomainModel("zoo:law", (0.8,)),))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def out(zoo_env: Path, tmp_path: Path) -> Path:
    """An existing merge."""
    merge_to_folder(RECIPE, tmp_path / "out", sync=False)
    return tmp_path / "out"


def test_a_folder_that_is_there_is_replaced_only_when_asked(out: Path) -> None:
    before = contents(out)
    with pytest.raises(InvalidValue, match="already exists"):
        merge_to_folder(LAW_MERGE, out)
    assert contents(out) == before
    merge_to_folder(LAW_MERGE, out, overwrite=True)
    assert contents(out) != before and names(out.parent) == ["out"]


def test_an_empty_folder_needs_no_leave(zoo_env: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    merge_to_folder(RECIPE, tmp_path / "out")
    assert (tmp_path / "out" / "config.json").is_file() and names(tmp_path) == ["out"]


@pytest.mark.parametrize("inside", [".", "deeper"])
def test_the_folder_one_is_in_is_not_exchanged_under_one(
    zoo_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    working = tmp_path / inside
    working.mkdir(exist_ok=True)
    monkeypatch.chdir(working)
    with pytest.raises(InvalidValue, match="is the folder you are in, or holds it"):
        check_target(tmp_path, (), overwrite=True)
    assert Path.cwd() == working.resolve()


def appears(monkeypatch: pytest.MonkeyPatch, make: Callable[[], None]) -> None:
    """Call `make` when the merge is written but its folder not yet in place."""
    whole = merge_module.write_provenance

    def late(recipe: str, card: str, target: Path) -> None:
        whole(recipe, card, target)
        make()

    monkeypatch.setattr(merge_module, "write_provenance", late)


def test_a_target_that_appears_meanwhile_is_kept(
    zoo_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    appears(monkeypatch, lambda: random_llama(0).save(tmp_path / "out") and None)
    with pytest.raises(InvalidValue, match="out: appeared while the merge was written"):
        merge_to_folder(RECIPE, tmp_path / "out")
    assert "recipe.yaml" not in names(tmp_path / "out") and names(tmp_path) == ["out"]


def test_a_file_that_appears_meanwhile_is_kept(
    zoo_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    appears(monkeypatch, lambda: (tmp_path / "out").write_text("x") and None)
    with pytest.raises(InvalidValue, match="out: appeared while"):
        merge_to_folder(RECIPE, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "x" and names(tmp_path) == ["out"]


def test_a_foreign_file_that_appears_meanwhile_is_kept(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    appears(monkeypatch, lambda: (out / "notes.txt").write_text("x") and None)
    with pytest.raises(NotAllowed, match=r"holds notes\.txt, which no merge writes"):
        merge_to_folder(LAW_MERGE, out, overwrite=True)
    assert (out / "notes.txt").read_text() == "x" and names(out.parent) == ["out"]


def test_a_foreign_file_keeps_the_folder(out: Path) -> None:
    for name in ("zz.txt", "notes.txt"):
        (out / name).write_text("x")
    with pytest.raises(NotAllowed, match=r"out: holds notes\.txt, which no merge writes"):
        merge_to_folder(LAW_MERGE, out, overwrite=True)
    assert (out / "notes.txt").is_file()


def test_a_folder_or_link_in_the_place_of_a_file_is_foreign(out: Path) -> None:
    (out / "README.md").rename(out.parent / "card")
    (out / "README.md").mkdir()
    with pytest.raises(NotAllowed, match=r"holds README\.md"):
        check_target(out, (), overwrite=True)
    (out / "README.md").rmdir()
    (out / "README.md").symlink_to(out.parent / "card")
    with pytest.raises(NotAllowed, match=r"holds README\.md"):
        check_target(out, (), overwrite=True)


def test_a_folder_without_config_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("x")
    with pytest.raises(NotAllowed, match=r"holds no config\.json, so it is no checkpoint folder"):
        check_target(tmp_path, (), overwrite=True)


def local_recipe(root: Path) -> MergeRecipe:
    base = random_llama(0)
    base.save(root / "base")
    tuned_llama(base, 1).save(root / "math")
    return MergeRecipe(str(root / "base"), (DomainModel(str(root / "math"), (0.8,)),))


def test_a_source_is_never_replaced(tmp_path: Path) -> None:
    recipe = local_recipe(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "math")
    before = contents(tmp_path / "math")
    for name in ("base", "math", "link", "math/../math"):
        with pytest.raises(NotAllowed, match="one of the models to be merged"):
            merge_to_folder(recipe, tmp_path / name, overwrite=True)
    assert contents(tmp_path / "math") == before


def test_a_parent_of_a_source_is_never_replaced(tmp_path: Path) -> None:
    recipe = local_recipe(tmp_path / "models" / "tiny")
    for name in ("models", "models/tiny"):
        with pytest.raises(NotAllowed, match="math, one of the models to be merged"):
            check_target(tmp_path / name, [Path(recipe.models[0].model)], overwrite=True)
        with pytest.raises(NotAllowed, match="is not overwritten"):
            merge_to_folder(recipe, tmp_path / name, overwrite=True)


def test_a_folder_whose_files_a_source_links_to_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the Hub's cache: a model is a folder of links."""
    monkeypatch.setenv("DPPA_ROOTS", str(tmp_path))
    recipe = local_recipe(tmp_path)
    (tmp_path / "math").rename(tmp_path / "stored")
    (tmp_path / "math").mkdir()
    for path in (tmp_path / "stored").iterdir():
        (tmp_path / "math" / path.name).symlink_to(path)
    with pytest.raises(NotAllowed, match="math, one of the models to be merged"):
        merge_to_folder(recipe, tmp_path / "stored", overwrite=True)


def test_a_link_stays_and_its_folder_is_written(out: Path) -> None:
    before = contents(out)
    link = out.parent / "link"
    link.symlink_to("out")
    with pytest.raises(InvalidValue, match="link: already exists"):
        merge_to_folder(LAW_MERGE, link)
    merge_to_folder(LAW_MERGE, link, overwrite=True)
    assert link.is_symlink() and contents(out) != before
    assert names(out.parent) == ["link", "out"]


def test_a_link_to_nothing_leads_to_the_folder_that_is_made(zoo_env: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "out")
    merge_to_folder(RECIPE, tmp_path / "link")
    assert (tmp_path / "elsewhere" / "out" / "config.json").is_file()
    assert names(tmp_path) == ["elsewhere", "link"]


def test_a_link_to_itself_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(InvalidValue, match="link: cannot be written: Too many levels"):
        check_target(tmp_path / "link", (), overwrite=False)


def test_what_cannot_be_a_folder_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    cases = {
        "file": "file: is a file",
        "file/out": "a part of its path is a file",
        "file/deep/out": "a part of its path is a file",
        "n" * 300: "the name is too long",
    }
    for name, message in cases.items():
        with pytest.raises(InvalidValue, match=message) as caught:
            check_target(tmp_path / name, (), overwrite=True)
        assert "\n" not in str(caught.value)
    with pytest.raises(InvalidValue, match="is a mount point"):
        check_target(Path("/"), (), overwrite=True)


def test_a_folder_that_may_not_be_written_to_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(InvalidValue, match=f"{tmp_path} cannot be written to"):
        check_target(tmp_path / "deep" / "out", (), overwrite=False)
