"""Weights of few bits, read and merged, against slow code by each format's specification."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from dppa_core.checkpoints.checkpoint import FolderCheckpoint
from dppa_core.errors import DamagedCheckpoint
from tests.helpers.low_bit_models import FORMS, Form, save, unpacked
from tests.helpers.tiny_models import Shape, random_llama

ODD = Shape(hidden=40, intermediate=56)
"""Sizes that are no multiples of the blocks."""
MODEL = random_llama(1, ODD)
UP = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture(params=FORMS.values(), ids=FORMS.keys())
def form(request: pytest.FixtureRequest) -> Form:
    return request.param


@pytest.fixture
def folder(tmp_path: Path, form: Form) -> Path:
    return save(MODEL, tmp_path / "model", form)


def test_a_model_of_few_bits_reads_as_one_of_float32(folder: Path, form: Form) -> None:
    checkpoint = FolderCheckpoint(folder)
    assert "quantization_config" not in checkpoint.config
    assert set(checkpoint.names()) == set(MODEL.arrays)
    for name, values in unpacked(folder, form, MODEL).items():
        few = form.takes(name, MODEL.arrays[name])
        assert checkpoint.dtype(name) == ("F32" if few else "BF16")
        assert checkpoint.shape(name) == values.shape
        if few:
            np.testing.assert_array_equal(checkpoint.raw(name).copy(), values.ravel())


def test_any_part_of_a_tensor_is_that_part_of_the_whole(folder: Path) -> None:
    raw = FolderCheckpoint(folder).raw(UP)
    whole = raw.copy()
    for start, stop in ((0, 1), (7, 7), (39, 81), (41, 2079), (2000, 2080)):
        np.testing.assert_array_equal(raw[start:stop][1:].copy(), whole[start:stop][1:])
    assert np.asarray(raw[5]) == whole[5] and raw[5:8].max() == whole[5:8].max()


def test_what_did_not_change_is_written_as_it_was(folder: Path) -> None:
    checkpoint = FolderCheckpoint(folder)
    for name in (name for name in checkpoint.names() if checkpoint.folded(name)):
        assert checkpoint.low_bit is not None
        folded = checkpoint.low_bit.blocked(name)
        assert folded is not None
        parts, error = folded.fold(0, checkpoint.raw(name).reshape(folded.shape))
        assert error == 0
        for part, values in parts.items():
            np.testing.assert_array_equal(values.ravel(), folded.part(part).ravel())


def test_a_missing_part_is_named(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    checkpoint = FolderCheckpoint(folder)
    folded = checkpoint.folded(UP)
    assert folded is not None
    part = folded.parts["scales"]
    del tensors[part]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(DamagedCheckpoint, match=f"up_proj.*is quantised, and .*{part}.* missing"):
        FolderCheckpoint(folder)
    save_file({**tensors, part: load_file_shape(folder)}, folder / "model.safetensors")
    with pytest.raises(DamagedCheckpoint, match=f"{part}.* is .*, and for .*up_proj.* it must be"):
        FolderCheckpoint(folder)


def load_file_shape(folder: Path):
    return load_file(folder / "model.safetensors")["model.embed_tokens.weight"][:3, :7].clone()
