"""The size of a delta, by hand; a corner of a matrix, against the files."""

from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import InvalidValue, UnknownName
from dppa_core.evaluation.analysis.matrix import read_excerpt
from dppa_core.pruning.delta_profile import DeltaProfile, ModuleProfile
from dppa_core.pruning.delta_size import delta_size
from dppa_core.pruning.module_groups import Module


def module(layer: int, kind: str, changes: list[float], base_square: float) -> ModuleProfile:
    values, counts = np.unique(np.array(changes, np.float32), return_counts=True)
    about = Module(f"layers.{layer}.{kind}", f"t.{layer}.{kind}", layer, kind, len(changes), (1,))
    return ModuleProfile(about, values, counts, np.zeros(values.size, np.float32), base_square)


def test_sizes_by_hand() -> None:
    profile = DeltaProfile(
        "base",
        "tuned",
        (module(0, "q", [0, 3], 100), module(0, "up", [4, 0], 0.0), module(1, "q", [1, 1], 50)),
        0,
    )
    size = delta_size(profile)
    assert size.numel == 6 and size.changed == pytest.approx(4 / 6)
    assert size.mean == pytest.approx(9 / 6)
    assert size.relative == pytest.approx((27 / 150) ** 0.5)
    assert dict(size.layers) == pytest.approx({0: (25 / 100) ** 0.5, 1: (2 / 50) ** 0.5})
    assert dict(size.kinds) == pytest.approx({"q": (11 / 150) ** 0.5, "up": 0.0})
    # Largest first: 16, 9, 1, 1, 0, 0 of 27; a sixth of the weights is the largest change.
    assert size.energy[[0, 50, 100]] == pytest.approx([0, 26 / 27, 1])
    assert np.interp(1 / 6, np.linspace(0, 1, 101), size.energy) == pytest.approx(16 / 27, abs=4e-3)


def test_a_delta_of_nothing_has_no_size() -> None:
    size = delta_size(DeltaProfile("base", "base", (module(0, "q", [0, 0], 9),), 0))
    assert size.relative == 0 and size.changed == 0 and not size.energy.any()


def test_a_corner_is_what_lies_on_disk(zoo_env: Path) -> None:
    excerpt = read_excerpt("zoo:base", "zoo:math", "layers.1.mlp.down_proj", 2, 3)
    name = "model.layers.1.mlp.down_proj.weight"
    checkpoint = open_checkpoint("zoo:math")
    assert excerpt.shape == checkpoint.shape(name)
    bits = checkpoint.raw(name).reshape(excerpt.shape)[:2, :3].astype(np.uint32) << np.uint32(16)
    assert checkpoint.dtype(name) == "BF16"
    assert np.array_equal(excerpt.finetuned, bits.view(np.float32))
    assert np.array_equal(excerpt.delta, excerpt.finetuned - excerpt.base) and excerpt.delta.any()


def test_a_corner_of_what_is_not_there(zoo_env: Path) -> None:
    with pytest.raises(UnknownName, match="layers.9"):
        read_excerpt("zoo:base", "zoo:math", "layers.9.mlp.up_proj")
    with pytest.raises(InvalidValue, match="rows"):
        read_excerpt("zoo:base", "zoo:math", "layers.0.mlp.up_proj", 0)
