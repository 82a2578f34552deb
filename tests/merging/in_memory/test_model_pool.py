"""Models in memory: found again, evicted by bytes, merged exactly."""

import gc
import json
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from dppa_core.errors import Cancelled, DamagedCheckpoint, MissingCheckpoint, OutOfBudget
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.merger import TensorMerger
from dppa_core.models.resident import check_whole
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, recipe_hash
from tests.helpers.tiny_models import random_llama, tuned_llama

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")


def _recipe(coefficient: float = 1.0) -> MergeRecipe:
    return MergeRecipe(
        "zoo:base",
        (DomainModel("zoo:math", (0.9, 0.8), (1.6, 1.0), coefficient),),
    )


def test_a_model_is_loaded_once() -> None:
    pool = ModelPool()
    assert pool.get("zoo:base") is pool.get("zoo:base")
    assert pool.loaded() == ("zoo:base",)


def test_a_loaded_model_computes_what_its_files_say(zoo_env: Path) -> None:
    from transformers import AutoModelForCausalLM  # noqa: PLC0415  (heavy)

    reference = AutoModelForCausalLM.from_pretrained(zoo_env / "math", dtype=torch.float32)
    ids = torch.tensor([[1, 2, 3]])
    ours = ModelPool().get("zoo:math").model
    assert torch.equal(ours(ids).logits, reference(ids).logits)


def test_a_recipe_is_found_by_its_hash() -> None:
    pool = ModelPool()
    resident = pool.get(_recipe())
    assert resident.key == recipe_hash(_recipe())
    assert pool.get(_recipe()) is resident
    assert pool.get(_recipe(0.5)) is not resident


def test_coefficient_0_answers_as_the_base() -> None:
    pool, ids = ModelPool(), torch.tensor([[4, 5, 6]])
    merged, base = pool.get(_recipe(0.0)).model, pool.get("zoo:base").model
    assert torch.equal(merged(ids).logits, base(ids).logits)


def test_the_least_recently_used_leaves_when_the_budget_is_full() -> None:
    size = ModelPool().get("zoo:base").nbytes
    pool = ModelPool(byte_budget=2 * size)
    pool.get("zoo:base")
    pool.get("zoo:math")
    pool.get("zoo:base")
    pool.get("zoo:law")
    assert pool.loaded() == ("zoo:base", "zoo:law")
    assert pool.nbytes <= 2 * size


def test_room_is_made_before_the_weights_of_a_model_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size, sizes = ModelPool().get("zoo:base").nbytes, list[int]()
    pool = ModelPool(byte_budget=2 * size)
    build = pool._resident

    def watched(*arguments: Any) -> Any:
        sizes.append(pool.nbytes)
        return build(*arguments)

    monkeypatch.setattr(pool, "_resident", watched)
    for target in ("zoo:base", "zoo:math", "zoo:law", _recipe()):
        pool.get(target)
    assert sizes == [0, size, size, size]


@pytest.mark.parametrize("target", ["zoo:base", "recipe"])
def test_a_public_page_refuses_a_model_larger_than_its_budget_before_any_work(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TensorMerger, "tensor", None)  # must not be needed
    pool = ModelPool(byte_budget=1000, public=True)
    with pytest.raises(OutOfBudget, match="needs 0.0 GB in memory.*DPPA_MEMORY=8GB"):
        pool.get(_recipe() if target == "recipe" else target)
    assert pool.loaded() == ()


@pytest.mark.parametrize("target", ["zoo:math", "recipe"])
def test_a_model_larger_than_the_budget_is_spread_and_answers_as_in_memory(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    key = _recipe() if target == "recipe" else target
    pool, ids = ModelPool(byte_budget=80_000), torch.arange(8)[None]
    resident = pool.get(key)
    assert set(resident.model.hf_device_map.values()) == {"cpu", "disk"}
    assert resident.nbytes <= 80_000 and pool.get(key) is resident
    assert torch.equal(resident.model(ids).logits, ModelPool().get(key).model(ids).logits)
    assert list(tmp_path.glob("dppa-offload-*"))
    del resident, pool
    gc.collect()
    assert not list(tmp_path.glob("dppa-offload-*"))


def test_a_model_whose_files_were_replaced_is_made_anew(tmp_path: Path) -> None:
    base, folder = random_llama(0).save(tmp_path / "base"), tmp_path / "math"
    tuned_llama(random_llama(0), 1).save(folder)
    recipe = MergeRecipe(str(base), (DomainModel(str(folder)),))
    pool, ids = ModelPool(), torch.tensor([[4, 5, 6]])
    before = pool.get(str(folder)), pool.get(recipe)
    assert (pool.get(str(folder)), pool.get(recipe)) == before
    fresh = tuned_llama(random_llama(0), 2).save(tmp_path / "fresh")
    (fresh / "model.safetensors").replace(folder / "model.safetensors")
    after = pool.get(str(folder)), pool.get(recipe)
    for old, new in zip(before, after, strict=True):
        assert not torch.equal(old.model(ids).logits, new.model(ids).logits)
    assert len(pool.loaded()) == 2
    (folder / "model.safetensors").unlink()
    with pytest.raises(MissingCheckpoint):
        pool.get(str(folder))


def test_a_set_stop_ends_the_merge() -> None:
    stop = threading.Event()
    stop.set()
    pool = ModelPool()
    with pytest.raises(Cancelled):
        pool.get(_recipe(), stop=stop)
    assert pool.loaded() == ()


def test_many_threads_get_one_and_the_same_model() -> None:
    pool, residents = ModelPool(), []
    threads = [
        threading.Thread(target=lambda: residents.append(pool.get(_recipe()))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(residents) == 4
    assert len({id(resident) for resident in residents}) == 1


def test_weights_that_do_not_fit_their_config_are_refused(tmp_path: Path) -> None:
    random_llama(0).save(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text("utf-8"))
    for key, value, message in (
        ("num_hidden_layers", 1, "do not fit its config.json: .*layers.1"),
        ("num_hidden_layers", 3, "has num_hidden_layers 3, its weights have 2 layers"),
        ("intermediate_size", 64, "do not fit its config.json: .*mlp.down_proj"),
    ):
        text = json.dumps({**config, key: value})
        (tmp_path / "model" / "config.json").write_text(text, "utf-8")
        with pytest.raises(DamagedCheckpoint, match=message):
            ModelPool().get(str(tmp_path / "model"))


def test_two_pools_load_at_the_same_time() -> None:
    """transformers changes its own classes meanwhile: tied weights used to get lost."""
    failed: list[BaseException] = []

    def load() -> None:
        try:
            for _ in range(4):
                ModelPool().get("zoo:math")
        except DamagedCheckpoint as error:
            failed.append(error)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_work_on_the_weights_themselves_refuses_a_spread_model_and_names_the_option() -> None:
    resident = ModelPool(byte_budget=80_000).get("zoo:math")
    with pytest.raises(OutOfBudget, match="AdaMerging needs the whole model.*--memory or DPPA_MEM"):
        check_whole(resident, "AdaMerging")
    check_whole(ModelPool().get("zoo:math"), "AdaMerging")
