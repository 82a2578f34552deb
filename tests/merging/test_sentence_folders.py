"""Encoders of sentences in a folder of their own, as older releases of the library wrote them."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import DppaError, MissingCheckpoint
from dppa_core.evaluation.sentences.vectors import sentence_vectors
from dppa_core.merging.to_folder import MergeReport, merge_to_folder
from dppa_core.preflight_checks.preflight_report import preflight_models
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.helpers.command import Command
from tests.helpers.encoders import SIZES, save_sentence_encoder
from tests.helpers.hub_writing import TOKEN, writable_hub

pytestmark = pytest.mark.usefixtures("one_torch_thread")
BESIDE = ("modules.json", "config_sentence_transformers.json")
FILES = (*BESIDE, "sentence_bert_config.json", "1_Pooling/config.json", "2_Dense/model.safetensors")
TEXTS = ("a good film", "bad", "not a bad film a good film")


@pytest.fixture
def encoders(tmp_path: Path) -> list[Path]:
    """A base and two fine-tunes of it, each with its encoder beside its modules."""
    torch.manual_seed(0)
    base = save_sentence_encoder(BertModel(BertConfig(**SIZES)), tmp_path / "base")
    kinds = enumerate(("news", "law"), 1)
    return [base] + [
        save_sentence_encoder(BertModel.from_pretrained(base), tmp_path / name, seed)
        for seed, name in kinds
    ]


def merged(encoders: Sequence[Path], out: Path, **options: Any) -> MergeReport:
    base, *tuned = map(str, encoders)
    recipe = MergeRecipe(base, tuple(map(DomainModel, tuned)), "task_arithmetic")
    return merge_to_folder(recipe, out, sync=False, **options)


def in_subfolder(folder: Path) -> Path:
    """The layout of older releases of the library: the encoder in a folder, as each module."""
    inner = folder / "0_Transformer"
    inner.mkdir()
    for path in [*folder.iterdir()]:
        if path.is_file() and path.name not in BESIDE:
            path.rename(inner / path.name)
    rows = json.loads((folder / "modules.json").read_text("utf-8"))
    rows[0]["path"] = inner.name
    (folder / "modules.json").write_text(json.dumps(rows, indent=2), "utf-8")
    (folder / "config.json").write_text('{"__version__": "0.3.8"}')
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return folder


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


@pytest.mark.parametrize("moved", [("base",), ("news",), ("base", "news", "law")])
def test_an_encoder_in_a_folder_of_its_own_merges_with_all_its_files(
    encoders: list[Path], tmp_path: Path, moved: Sequence[str]
) -> None:
    merged(encoders, tmp_path / "flat")
    for name in moved:
        in_subfolder(tmp_path / name)
    assert not merged(encoders, tmp_path / "out").warnings
    assert files_in(tmp_path / "out") == files_in(tmp_path / "flat")
    for name in (*FILES, "model.safetensors", "config.json"):
        written = tmp_path / "out" / name
        assert written.read_bytes() == (tmp_path / "flat" / name).read_bytes(), name
    named = [folder / "0_Transformer" if folder.name in moved else folder for folder in encoders]
    merged(named, tmp_path / "named")
    assert files_in(tmp_path / "named") == files_in(tmp_path / "flat")
    assert not preflight_models(*map(str, encoders[:1]), list(map(str, encoders[1:]))).blockers


def test_an_encoder_in_a_folder_of_its_own_is_measured_and_converted(
    encoders: list[Path], tmp_path: Path, dppa: Command
) -> None:
    expected = sentence_vectors(open_checkpoint(str(encoders[0])), TEXTS)
    base = in_subfolder(encoders[0])
    assert torch.equal(sentence_vectors(open_checkpoint(str(base)), TEXTS), expected)
    assert dppa("convert", base, "--out", tmp_path / "copy") == 0, dppa.err
    assert {*FILES} < {*files_in(tmp_path / "copy")}
    assert torch.equal(sentence_vectors(open_checkpoint(str(tmp_path / "copy")), TEXTS), expected)
    assert "license: mit" in (tmp_path / "copy" / "README.md").read_text("utf-8")


def test_a_merge_replaces_no_folder_that_holds_its_encoder(
    encoders: list[Path], tmp_path: Path
) -> None:
    base = in_subfolder(encoders[0])
    with pytest.raises(DppaError, match="base"):
        merged([base, *encoders[1:]], base, overwrite=True)
    assert (base / "0_Transformer" / "config.json").is_file()


def test_a_folder_above_is_read_only_where_folders_may_be_opened(
    encoders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in encoders:
        in_subfolder(folder)
    inner = [folder / "0_Transformer" for folder in encoders]
    places = os.pathsep.join(map(str, inner))
    monkeypatch.setenv("DPPA_ROOTS", places)
    assert not merged(inner, tmp_path / "out").warnings
    assert not (tmp_path / "out" / "modules.json").exists()


def test_a_link_to_a_folder_elsewhere_is_not_followed(encoders: list[Path]) -> None:
    base = in_subfolder(encoders[0])
    (base / "0_Transformer").rename(base.parent / "elsewhere")
    (base / "0_Transformer").symlink_to(base.parent / "elsewhere")
    with pytest.raises(MissingCheckpoint, match="base: no weights|base: .*model.safetensors"):
        open_checkpoint(str(base))


def test_on_the_hub_it_is_told_how_to_get_it(
    encoders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = writable_hub(tmp_path / "hub", monkeypatch, TOKEN)
    says = "encoder lies in 0_Transformer.*hf download acme/base --local-dir FOLDER.*FOLDER instead"
    try:
        hub.add("acme/base", in_subfolder(encoders[0]))
        with pytest.raises(MissingCheckpoint, match=says):
            open_checkpoint("hub:acme/base")
    finally:
        hub.close()
