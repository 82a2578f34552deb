"""Links in a model's folder: targets outside are read only in allowed places."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dppa_core.checkpoints.adapters.lora import LoraCheckpoint
from dppa_core.checkpoints.adapters.packs import find_pack
from dppa_core.checkpoints.checkpoint import FolderCheckpoint
from dppa_core.checkpoints.folders.small_files import read_file
from dppa_core.checkpoints.safetensors_reader import open_file
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import DppaError, NotAllowed
from dppa_core.merging.convert import convert_to_folder
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.merging.to_pack import pack_models
from dppa_core.models.loading import load_tokenizer
from dppa_core.preflight_checks.preflight_report import preflight_models
from dppa_core.preflight_checks.provenance import parent_of
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.helpers.pickles import save_pickled
from tests.helpers.tiny_models import random_llama, tuned_llama

BASE = random_llama(0)
SECRET = "the secret of somebody"
REFUSED = "a link that leads out of the folder.*DPPA_ROOTS"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return BASE.save(tmp_path / "models" / "base")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "private" / "secret"
    path.parent.mkdir()
    path.write_text(SECRET)
    return path


def link(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def move_out(path: Path, away: Path) -> None:
    """Put a file of a model elsewhere, and a link to it in its place."""
    away.mkdir(parents=True, exist_ok=True)
    shutil.move(path, away / path.name)
    path.symlink_to(away / path.name)


def recipe(base: Path) -> MergeRecipe:
    math = tuned_llama(BASE, 1).save(base.parent / "math")
    return MergeRecipe(str(base), (DomainModel(str(math), (0.5,)),))


@pytest.mark.parametrize(
    "name", ["chat_template.jinja", "generation_config.json", "tokenizer.json", "merges.txt"]
)
def test_no_file_elsewhere_gets_into_a_merge(folder: Path, secret: Path, name: str) -> None:
    link(folder / name, secret)
    merge_recipe, out = recipe(folder), folder.parent / "out"
    with pytest.raises(NotAllowed, match=rf"base/{name}: {REFUSED}") as caught:
        merge_to_folder(merge_recipe, out)
    assert str(secret) not in str(caught.value) and not out.exists()
    with pytest.raises(NotAllowed, match=REFUSED):
        convert_to_folder(str(folder), out)


def test_a_folder_of_links_to_another_disk_is_refused_and_read_below_the_roots(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in list(folder.iterdir()):
        move_out(path, tmp_path / "disk")
    with pytest.raises(NotAllowed, match=f"config.json: {REFUSED}"):
        open_checkpoint(str(folder))
    monkeypatch.setenv("DPPA_ROOTS", f"{tmp_path / 'models'}{os.pathsep}{tmp_path / 'disk'}")
    checkpoint = open_checkpoint(str(folder))
    assert (
        checkpoint.raw(checkpoint.names()[0]).size and load_tokenizer(checkpoint)("1")["input_ids"]
    )
    assert merge_to_folder(recipe(folder), tmp_path / "out").sha256


def test_roots_that_hold_the_folder_do_not_hold_what_its_links_lead_to(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move_out(folder / "model.safetensors", tmp_path / "disk")
    monkeypatch.setenv("DPPA_ROOTS", str(tmp_path / "models"))
    with pytest.raises(NotAllowed, match=f"model.safetensors: {REFUSED}"):
        open_checkpoint(str(folder))


def test_a_snapshot_of_the_hubs_cache_is_read_with_the_blobs_of_its_own_model(
    folder: Path, secret: Path, tmp_path: Path
) -> None:
    model = tmp_path / "hub" / "models--owner--name"
    (model / "blobs").mkdir(parents=True)
    snapshot = model / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    for path in folder.iterdir():
        shutil.copy(path, model / "blobs" / f"of-{path.name}")
        (snapshot / path.name).symlink_to(f"../../blobs/of-{path.name}")
    checkpoint = FolderCheckpoint(snapshot)
    assert checkpoint.names() and load_tokenizer(checkpoint)("1")["input_ids"]
    foreign_blobs = tmp_path / "hub" / "models--owner--other" / "blobs"
    foreign_blobs.mkdir(parents=True)
    shutil.copy(secret, foreign_blobs / "abc")
    link(snapshot / "chat_template.jinja", foreign_blobs / "abc")
    with pytest.raises(NotAllowed, match=REFUSED):
        read_file(snapshot / "chat_template.jinja")


def test_blobs_that_are_a_link_themselves_are_none(secret: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "models--owner--name" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "blobs").symlink_to(secret.parent)
    (snapshot / "chat_template.jinja").symlink_to("../../blobs/secret")
    with pytest.raises(NotAllowed, match=REFUSED):
        read_file(snapshot / "chat_template.jinja")


def test_links_within_a_folder_and_to_a_folder_are_followed(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").rename(folder / "weights.v2")
    (folder / "model.safetensors").symlink_to("weights.v2")
    (tmp_path / "link").symlink_to(folder)
    checkpoint = open_checkpoint(str(tmp_path / "link"))
    assert (
        checkpoint.raw(checkpoint.names()[0]).size and load_tokenizer(checkpoint)("1")["input_ids"]
    )


def _weights(folder: Path, away: Path) -> None:
    move_out(folder / "model.safetensors", away)
    FolderCheckpoint(folder)


def _shard(folder: Path, away: Path) -> None:
    BASE.save(folder, shards=2)
    (folder / "model.safetensors").unlink()
    move_out(folder / "model-00002-of-00002.safetensors", away)
    FolderCheckpoint(folder)


def _index(folder: Path, away: Path) -> None:
    BASE.save(folder, shards=2)
    (folder / "model.safetensors").unlink()
    move_out(folder / "model.safetensors.index.json", away)
    FolderCheckpoint(folder)


def _pickle(folder: Path, away: Path) -> None:
    save_pickled(BASE, folder)
    move_out(folder / "pytorch_model.bin", away)
    FolderCheckpoint(folder)


def _pieces(folder: Path, away: Path) -> None:
    (folder / "tokenizer.json").rename(folder / "tokenizer.model")
    move_out(folder / "tokenizer.model", away)
    merge_to_folder(recipe(folder), folder.parent / "out")


def _card(folder: Path, away: Path) -> None:
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    move_out(folder / "README.md", away)
    parent_of("model", folder)


def _adapter(folder: Path, away: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    move_out(folder / "adapter_config.json", away)
    LoraCheckpoint(FolderCheckpoint(folder), folder)


def _adapter_weights(folder: Path, away: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    move_out(folder / "adapter_model.safetensors", away)
    BASE.save(folder)
    LoraCheckpoint(FolderCheckpoint(folder), folder)


def _pack(folder: Path, away: Path) -> None:
    pack_models(recipe(folder), folder.parent / "packs")
    move_out(folder.parent / "packs" / "math.safetensors", away)
    find_pack(folder.parent / "packs")


@pytest.mark.parametrize(
    "use",
    [_weights, _shard, _index, _pickle, _pieces, _card, _adapter, _adapter_weights, _pack],
)
def test_every_kind_of_file_of_a_model_is_looked_at(
    folder: Path, tmp_path: Path, use: Callable[[Path, Path], object]
) -> None:
    with pytest.raises(NotAllowed, match=REFUSED):
        use(folder, tmp_path / "away")


def test_a_pack_that_is_named_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    pack_models(recipe(folder), folder.parent / "packs")
    (tmp_path / "link.safetensors").symlink_to(folder.parent / "packs" / "math.safetensors")
    checkpoint = open_checkpoint(f"{folder}+{tmp_path / 'link.safetensors'}")
    assert checkpoint.names() and parent_of("pack", tmp_path / "link.safetensors").made_of


@pytest.mark.parametrize("name", ["spiece.model", "additional_chat_templates", "more/vocab.txt"])
def test_transformers_is_handed_no_folder_with_links_that_lead_out(
    folder: Path, secret: Path, name: str
) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    target = secret.parent if name == "additional_chat_templates" else secret
    (folder / name).symlink_to(target)
    with pytest.raises(NotAllowed, match=f"{name}: {REFUSED}"):
        load_tokenizer(FolderCheckpoint(folder))


@pytest.mark.parametrize(
    "listed", [["../private/tokenizer.1.json"], {"../tokenizer.1.json": 0}, "/tokenizer.1.json"]
)
def test_no_tokenizer_of_another_folder_is_named_by_its_settings(
    folder: Path, tmp_path: Path, listed: object
) -> None:
    shutil.copy(folder / "tokenizer.json", folder.parent / "tokenizer.1.json")
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"fast_tokenizer_files": listed}))
    with pytest.raises(NotAllowed, match="fast_tokenizer_files lists .* names of files in the"):
        load_tokenizer(FolderCheckpoint(folder))
    path.write_text(json.dumps(settings | {"fast_tokenizer_files": ["tokenizer.json"]}))
    assert load_tokenizer(FolderCheckpoint(folder))("1")["input_ids"]


def test_a_link_put_there_after_the_look_is_not_followed(
    folder: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link(folder / "chat_template.jinja", secret)
    regular, look = os.stat(__file__), os.stat

    def before(path: object, **how: bool) -> os.stat_result:
        return regular if path == folder / "chat_template.jinja" else look(path, **how)  # type: ignore[arg-type]

    monkeypatch.setattr("os.path.islink", lambda path: False)
    monkeypatch.setattr("os.stat", before)
    with pytest.raises(DppaError, match="chat_template.jinja: cannot be read .*symbolic links"):
        read_file(folder / "chat_template.jinja")


def test_a_check_before_a_merge_says_it_too(folder: Path, tmp_path: Path) -> None:
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    move_out(folder / "README.md", tmp_path / "away")
    report = preflight_models(str(folder), [recipe(folder).models[0].model])
    assert "leads out of the folder" in str(report.findings)


def test_a_loop_and_a_link_to_nothing_are_told_as_before(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("model.safetensors")
    with pytest.raises(DppaError, match="symbolic links"):
        open_file(folder / "model.safetensors")
    link(folder / "model.safetensors", folder / "nothing")
    with pytest.raises(DppaError, match="no such file"):
        open_file(folder / "model.safetensors")
