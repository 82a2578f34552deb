"""Weights that were made to have the XXH3 of others are told apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xxhash

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import DamagedCheckpoint, IncompatibleCheckpoints
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.merging.to_pack import pack_models
from dppa_core.merging.verify import check_merge
from dppa_core.profiling.profile import cached_profile
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.helpers.tiny_models import TinyLlama, random_llama, tuned_llama

FORGED = "model.layers.0.mlp.down_proj.weight"


def forge(model: TinyLlama) -> tuple[TinyLlama, TinyLlama]:
    """Two models in float32 whose bytes differ and whose XXH3 does not.

    XXH3 multiplies the low half of eight bytes, after an exclusive or with its public secret, by
    the high half, and adds all eight to the neighbouring sum. Where the low half is the secret's,
    the product is 0 for any high half. So one high half may grow by what another one shrinks.
    """
    pair = []
    for more, less in ((0x3C000000, 0x3C000000), (0x3C800000, 0x3B800000)):
        arrays = dict(model.arrays)
        words = arrays[FORGED].astype(np.float32).copy()
        bits = words.reshape(-1).view(np.uint32)
        bits[0], bits[16] = 0x396CFEB8, 0x2C81017C  # of stripes 0 and 1
        bits[1], bits[17] = more, less
        pair.append(replace(model, arrays=arrays | {FORGED: words}))
    first, second = pair
    raw = [llama.arrays[FORGED].tobytes() for llama in pair]
    assert raw[0] != raw[1] and len(set(map(xxhash.xxh3_128_digest, raw))) == 1
    return first, second


def test_neither_is_told_the_profile_of_the_other(tmp_path: Path) -> None:
    base = random_llama(0)
    saved = base.save(tmp_path / "base", dtype="F32")
    names = [
        str(model.save(tmp_path / str(place), dtype="F32"))
        for place, model in enumerate(forge(tuned_llama(base, 1)))
    ]
    hashes = {open_checkpoint(name).content_hash() for name in names}
    first, second = (cached_profile(str(saved), name) for name in names)
    assert len(hashes) == 2
    assert any(
        not np.array_equal(module.magnitudes, other_module.magnitudes)
        for module, other_module in zip(first.modules, second.modules, strict=True)
    )


def test_a_pack_of_one_base_is_refused_on_the_other(tmp_path: Path) -> None:
    base, forged = (
        model.save(tmp_path / str(place), dtype="F32")
        for place, model in enumerate(forge(random_llama(0)))
    )
    tuned = tuned_llama(random_llama(0), 1).save(tmp_path / "tuned", dtype="F32")
    recipe = MergeRecipe(str(base), (DomainModel(str(tuned), (0.8,)),), dtype="float32")
    (pack,) = pack_models(recipe, tmp_path / "packs", sync=False)
    assert open_checkpoint(f"{base}+{tmp_path / 'packs' / pack.file}")
    with pytest.raises(IncompatibleCheckpoints, match="holds"):
        open_checkpoint(f"{forged}+{tmp_path / 'packs' / pack.file}")


def test_a_merge_with_forged_weights_is_not_what_was_written(tmp_path: Path) -> None:
    first, second = forge(random_llama(0))
    folder, forged = (
        model.save(tmp_path / str(place), dtype="F32")
        for place, model in enumerate((first, second))
    )
    whole = DomainModel(str(folder), (0.0,))
    recipe = MergeRecipe(str(folder), (whole,), method="task_arithmetic", dtype="float32")
    merge_to_folder(recipe, tmp_path / "merged", sync=False)
    check_merge(tmp_path / "merged")
    (forged / "model.safetensors").replace(tmp_path / "merged" / "model.safetensors")
    with pytest.raises(DamagedCheckpoint, match=FORGED):
        check_merge(tmp_path / "merged")
