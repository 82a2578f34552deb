"""A row and a reader are a whole format: a merge, preflight and a download then know it."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray

from dppa_core.checkpoints import formats
from dppa_core.checkpoints.checkpoint import FolderCheckpoint
from dppa_core.checkpoints.page_copies import Pages
from dppa_core.checkpoints.sources.download import needed_weights
from dppa_core.checkpoints.sources.hub import HubModel
from dppa_core.checkpoints.weight_file import TensorInfo, WeightFile, file_identity
from dppa_core.errors import NotAllowed
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.preflight_checks.preflight_report import preflight_models
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.helpers.tiny_models import TinyLlama, random_llama, tuned_llama


class PlainFile(WeightFile):
    """float32 numbers behind a line of JSON, which maps tensors to shapes."""

    def __init__(self, path: Path) -> None:
        self.path, self.identity = path, file_identity(path)
        with path.open("rb") as file:
            line = file.readline()
            self.pages = Pages(file.fileno(), path.stat().st_size, path)
        self.tensors, start = {}, len(line)
        for name, shape in json.loads(line).items():
            self.tensors[name] = TensorInfo("F32", tuple(shape), start, 4 * math.prod(shape))
            start += self.tensors[name].size

    def raw(self, name: str) -> ndarray:
        info = self.tensors[name]
        return np.frombuffer(self.pages, np.float32, info.size // 4, info.start)


PLAIN = formats.WeightFormat("plain", "plain files", ".plain", "m.plain", "m.json", PlainFile)


def save_plain(model: TinyLlama, folder: Path) -> str:
    model.save(folder, dtype="F32")
    (folder / "model.safetensors").unlink()
    line = json.dumps({name: values.shape for name, values in model.arrays.items()}).encode()
    line += b" " * (3 - len(line) % 4) + b"\n"
    numbers = (values.astype(np.float32).tobytes() for values in model.arrays.values())
    (folder / PLAIN.single).write_bytes(line + b"".join(numbers))
    return str(folder)


@pytest.fixture(autouse=True)
def row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, PLAIN))


def save_safetensors(model: TinyLlama, folder: Path) -> str:
    return str(model.save(folder, dtype="F32"))


def test_a_merge_reads_a_format_that_has_a_row(tmp_path: Path) -> None:
    base, hashes = random_llama(0), set[str]()
    for save in (save_plain, save_safetensors):
        folder = tmp_path / save.__name__
        tuned = save(tuned_llama(base, 1), folder / "tuned")
        recipe = MergeRecipe(
            save(base, folder / "base"), (DomainModel(tuned, (0.8,)),), dtype="float32"
        )
        hashes.add(merge_to_folder(recipe, folder / "merged", sync=False).sha256)
    assert len(hashes) == 1


def test_preflight_names_it(tmp_path: Path) -> None:
    name = save_plain(random_llama(0), tmp_path / "base")
    report = preflight_models(name, [name])
    assert any("plain files in F32" in finding.what for finding in report.findings)


def test_a_download_asks_for_its_files() -> None:
    model = HubModel("acme/base", "0" * 40, {"config.json": 1, PLAIN.single: 2, "x.plain": 3})
    assert needed_weights(model) == [PLAIN.single]


def test_what_may_hold_code_is_not_read_on_a_public_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "FORMATS", (replace(PLAIN, code_carrier="a program"),))
    save_plain(random_llama(0), tmp_path)
    with pytest.raises(NotAllowed, match="m.plain is a program, which can hold code"):
        FolderCheckpoint(tmp_path, may_hold_code=False)
