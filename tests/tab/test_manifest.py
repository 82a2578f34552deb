"""What a tab knows beside the weights is what the library measured and planned."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import IncompatibleCheckpoints
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.plan import plan_pruning
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.pruning.tie_breaking import tensor_seed
from dppa_core.tab import files
from dppa_core.tab.files import BASE, MODELS, file_name
from dppa_core.tab.manifest import all_bits


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    values: dict[str, Any] = json.loads(files.manifest_text())
    return values


def test_modules_stand_in_the_order_of_plans(manifest: dict[str, Any]) -> None:
    modules = plan_pruning(cached_profile(BASE, MODELS[0]), (0.9,), PruningParameters()).modules
    assert [name for _, name, _ in manifest["modules"]] == [module.name for module in modules]
    for (place, _, seed), module in zip(manifest["modules"], modules, strict=True):
        assert manifest["tensors"][place] == [module.tensor, module.numel, module.layer]
        assert int(seed, 16) == tensor_seed(module.tensor)


def test_scores_are_those_that_plans_are_made_of(manifest: dict[str, Any]) -> None:
    for model in MODELS:
        profile = cached_profile(BASE, model)
        plan, scores = plan_pruning(profile, (0.9,), PruningParameters()), manifest["models"][model]
        assert scores["module"] == [module.significance for module in plan.modules]
        assert scores["nonzero"] == [module.nonzero for module in profile.modules]


def test_tensors_and_hashes_are_those_of_the_checkpoints(manifest: dict[str, Any]) -> None:
    for model in (BASE, *MODELS):
        checkpoint = open_checkpoint(model)
        bits = np.concatenate([checkpoint.raw(name) for name, _, _ in manifest["tensors"]])
        assert (bits == all_bits(checkpoint)).all()
        assert hashlib.sha256(bits.tobytes()).hexdigest() == manifest["sha256"][model]


def test_a_model_of_another_shape_is_refused(tiny_zoo: Path) -> None:
    with pytest.raises(IncompatibleCheckpoints, match="hidden_size.*num_hidden_layers"):
        all_bits(open_checkpoint(str(tiny_zoo / "base")))


def test_a_model_of_other_tensors_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled loops know where each one begins."""
    checkpoint = open_checkpoint(MODELS[0])
    fewer = checkpoint.names()[:-1]
    monkeypatch.setattr(type(checkpoint), "names", lambda _: fewer)
    with pytest.raises(IncompatibleCheckpoints, match="differs in its tensors"):
        all_bits(checkpoint)


def test_base_and_three_models_take_at_most_21_megabytes() -> None:
    sizes = {model: len(files.packed(model)) for model in (BASE, *MODELS)}
    for models in (MODELS[:3], MODELS[3:]):
        assert sum(sizes[model] for model in (BASE, *models)) <= 21e6


def test_a_pack_is_made_once_and_then_read_from_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    pack = files.packed(BASE)
    monkeypatch.setattr(files, "pack_base", lambda _: pytest.fail("it was packed again"))
    assert files.packed(BASE) == pack


def test_a_folder_holds_all_that_a_server_without_python_needs(tmp_path: Path) -> None:
    files.write_files(tmp_path, MODELS[:2])
    assert (tmp_path / "manifest.json").read_bytes() == files.manifest_text()
    assert len(list(tmp_path.iterdir())) == 4
    for model in (BASE, *MODELS[:2]):
        assert (tmp_path / file_name(model)).read_bytes() == files.packed(model)
