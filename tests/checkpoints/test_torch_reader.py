"""PyTorch's .bin files give the same weights, profiles and merges as safetensors."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from dppa_core.checkpoints.checkpoint import Checkpoint, FolderCheckpoint, SafetensorsCheckpoint
from dppa_core.checkpoints.matching import tied
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import NotAllowed
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.profiling.profile import cached_profile, profile_delta
from dppa_core.pruning.plan import plan_pruning
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.helpers.pickles import save_pickled, state_of, write_pickles
from tests.helpers.tiny_models import Shape, TinyLlama, random_llama, tuned_llama

BASE = random_llama(0)
MATH = tuned_llama(BASE, 1)
EMBEDDING = "model.embed_tokens.weight"


def assert_same(actual: Checkpoint, expected: Checkpoint) -> None:
    assert actual.names() == expected.names()
    for name in actual.names():
        assert (actual.dtype(name), actual.shape(name)) == (
            expected.dtype(name),
            expected.shape(name),
        )
        np.testing.assert_array_equal(actual.raw(name), expected.raw(name), err_msg=name)


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("legacy", [False, True])
def test_every_weight_is_that_of_safetensors(
    tmp_path: Path, dtype: str, shards: int, legacy: bool
) -> None:
    pickled = save_pickled(BASE, tmp_path / "bin", dtype, shards, legacy=legacy)
    plain = BASE.save(tmp_path / "plain", dtype=dtype)
    checkpoint = FolderCheckpoint(pickled)
    assert_same(checkpoint, SafetensorsCheckpoint(plain))
    checkpoint.release()
    assert_same(checkpoint, SafetensorsCheckpoint(plain))


def test_views_are_read_in_the_order_of_their_elements(tmp_path: Path) -> None:
    save_pickled(BASE, tmp_path)
    whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    odd = {
        "transposed": whole.T,
        "cut": whole[1:3, 2:5],
        "stepped": whole[::2],
        "scalar": whole[2, 3],
        "repeated": torch.ones(1).expand(5, 2),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.tensor([1.0, 2.0])),
    }
    write_pickles(tmp_path, {**state_of(BASE), **odd})
    checkpoint = FolderCheckpoint(tmp_path)
    for name, tensor in odd.items():
        assert checkpoint.shape(name) == tuple(tensor.shape)
        np.testing.assert_array_equal(checkpoint.raw(name), tensor.detach().numpy().ravel())


def test_a_compressed_file_is_read_as_well(tmp_path: Path) -> None:
    """Mapped, its tensors would be the compressed bytes."""
    save_pickled(BASE, tmp_path / "packed")
    path = tmp_path / "packed" / "pytorch_model.bin"
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in records.items():
            archive.writestr(name, content)
    plain = BASE.save(tmp_path / "plain")
    assert_same(FolderCheckpoint(tmp_path / "packed"), SafetensorsCheckpoint(plain))


def test_a_head_that_shares_the_storage_of_the_embedding_is_tied(tmp_path: Path) -> None:
    save_pickled(BASE, tmp_path)
    state = state_of(BASE)
    write_pickles(tmp_path, {**state, "lm_head.weight": state[EMBEDDING]})
    assert tied(FolderCheckpoint(tmp_path))


def test_an_array_outlives_the_mapping(tmp_path: Path) -> None:
    checkpoint = FolderCheckpoint(save_pickled(BASE, tmp_path))
    held = checkpoint.raw(EMBEDDING)
    before = held.copy()
    checkpoint.release()
    assert not held.flags.writeable
    np.testing.assert_array_equal(held, before)


def test_safetensors_count_where_there_are_both(tmp_path: Path) -> None:
    save_pickled(BASE, tmp_path)
    MATH.save(tmp_path)
    assert_same(FolderCheckpoint(tmp_path), SafetensorsCheckpoint(tmp_path))
    assert {path.name for path in FolderCheckpoint(tmp_path).identities()} == {"model.safetensors"}


@pytest.mark.parametrize(("backend", "workers"), [("numba", 1), ("numba", 3), ("torch", 2)])
def test_a_merge_is_the_same_byte_for_byte(tmp_path: Path, backend: str, workers: int) -> None:
    for name, model in (("base", BASE), ("math", MATH)):
        save_pickled(model, tmp_path / "bin" / name, shards=2)
        model.save(tmp_path / "plain" / name)
    hashes = set()
    for kind in ("bin", "plain"):
        root = tmp_path / kind
        recipe = MergeRecipe(
            str(root / "base"), (DomainModel(str(root / "math"), (0.9, 0.8), (1.5, 1.0)),)
        )
        report = merge_to_folder(
            recipe, tmp_path / f"out-{kind}", backend=backend, workers=workers, sync=False
        )
        hashes.add(report.sha256)
    assert len(hashes) == 1


def test_a_profile_and_its_plan_are_the_same(tmp_path: Path) -> None:
    pickled = save_pickled(BASE, tmp_path / "base"), save_pickled(MATH, tmp_path / "math", shards=3)
    plain = BASE.save(tmp_path / "one"), MATH.save(tmp_path / "two")
    profile = cached_profile(*map(str, pickled))
    expected = profile_delta(*(SafetensorsCheckpoint(folder) for folder in plain))
    for module, expected_module in zip(profile.modules, expected.modules, strict=True):
        np.testing.assert_array_equal(module.counts, expected_module.counts)
        np.testing.assert_array_equal(module.magnitudes, expected_module.magnitudes)
    assert plan_pruning(profile, (0.8,)).kept == plan_pruning(expected, (0.8,)).kept


def test_content_decides_about_the_hash(tmp_path: Path) -> None:
    hashes = [
        FolderCheckpoint(save_pickled(model, tmp_path / name)).content_hash()
        for name, model in (("a", BASE), ("b", BASE), ("c", MATH))
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_an_untied_model_of_the_embedded_kind_is_refused_in_public(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_pickled(TinyLlama(Shape(), BASE.arrays), tmp_path / "base")
    monkeypatch.setenv("DPPA_ZOO", str(tmp_path))
    assert open_checkpoint("zoo:base").names()
    with pytest.raises(NotAllowed, match=r"pytorch_model.bin is a pickle.*dppa convert"):
        open_checkpoint("zoo:base", public=True)
    with pytest.raises(NotAllowed, match="is a pickle"):
        SafetensorsCheckpoint(tmp_path / "base")
