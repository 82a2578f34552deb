"""Merges written into models in memory: the same bytes, and never while in use."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.errors import Cancelled, NonFiniteWeights
from dppa_core.merging import tensor_tasks
from dppa_core.merging.in_memory import model_pool as pool
from dppa_core.merging.in_memory import rewrite as live
from dppa_core.merging.in_memory import source
from dppa_core.merging.in_memory.model_pool import IDLE_MERGES, ModelPool
from dppa_core.merging.merger import open_merger
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.models.parameter_views import find_places
from dppa_core.models.resident import Resident
from dppa_core.progress import Stop
from dppa_core.pruning.floats import to_float32
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.helpers.tiny_models import TinyLlama

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")

IDS = torch.tensor([[1, 2, 3, 4]])


def recipe(weight: float = 1.0, **rest: Any) -> MergeRecipe:
    models = (
        DomainModel("zoo:math", (0.9, 0.8), (1.6, 1.0), weight),
        DomainModel("zoo:law", (0.7,), (1.0,), 0.5),
    )
    return MergeRecipe("zoo:base", models, **rest)


def single(method: str, dtype: str = "bfloat16", weight: float = 0.7) -> MergeRecipe:
    rate = 0.5 if method == "dare" else 0.0
    models = tuple(DomainModel(f"zoo:{name}", (rate,), (1.0,), weight) for name in ("math", "law"))
    return MergeRecipe("zoo:base", models, method, dtype=dtype)


def logits(resident: Resident) -> torch.Tensor:
    with torch.inference_mode():
        return torch.Tensor(resident.model(IDS).logits)


def filled(pool: ModelPool) -> ModelPool:
    """A full pool of idle merges: the next one overwrites the first."""
    for index in range(IDLE_MERGES):
        with pool.lend(recipe(0.1 + index / 100)):
            pass
    return pool


def assert_holds(resident: Resident, folder: Path) -> None:
    """The model has exactly the weights of a folder."""
    written = SafetensorsCheckpoint(folder)
    places = find_places(resident.model, {n: written.shape(n) for n in written.names()})
    assert set(places) == set(written.names())
    for name, place in places.items():
        values = torch.from_numpy(to_float32(written.raw(name), written.dtype(name)).copy())
        assert torch.equal(place.reshape(-1), values.to(place.dtype)), name


RECIPES = [
    recipe(0.3),
    recipe(0.3, dtype="float32"),
    recipe(0.3, dtype="float16"),
    recipe(0.3, overrides={}, parameters={"ties": "prune", "other_tensors": "prune"}),
    single("task_arithmetic"),
    single("dare"),
    single("ties"),
    single("linear", dtype="float32"),
]


@pytest.mark.cases(2)
@pytest.mark.parametrize("at_once", [0, 10**9], ids=["whole", "in chunks"])
@pytest.mark.parametrize("limit", [0, 10**9], ids=["bfloat16", "float32"])
def test_what_is_written_in_place_is_what_a_folder_holds(
    limit: int, at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "FLOAT32_LIMIT", limit)
    models = filled(ModelPool())
    memories = {id(slot.resident.model) for slot in models._slots.values()}
    for number, merge in enumerate(RECIPES):  # the folder in chunks, as the models are small
        merge_to_folder(merge, tmp_path / str(number), sync=False)
    monkeypatch.setattr(tensor_tasks, "WHOLE_MIN_NUMEL", at_once)
    for number, merge in enumerate(RECIPES):
        with models.lend(merge) as resident:
            assert id(resident.model) in memories, "built anew"
            assert_holds(resident, tmp_path / str(number))


@pytest.mark.parametrize("workers", [1, 2])
def test_the_bytes_do_not_depend_on_the_workers(workers: int, tmp_path: Path) -> None:
    merge_to_folder(recipe(), tmp_path / "out", sync=False)
    with filled(ModelPool()).lend(recipe(0.1)) as resident:
        merger, before = open_merger(recipe()), open_merger(recipe(0.1))
        tensors = {name: before.tensor(name) for name in merger.names()}
        places = live.find_live(
            resident.model, tensors, merger.loader().kernels, merger.inputs.twins
        )
        assert places is not None
        live.write_merge(merger, places, workers=workers)
        assert_holds(resident, tmp_path / "out")


def test_a_few_idle_merges_stay_and_the_oldest_is_overwritten() -> None:
    models = filled(ModelPool())
    first, second = models.loaded()
    with models.lend(recipe(0.5)) as third:
        assert models.loaded() == (second, third.key)


def test_a_merge_beside_one_in_use_is_written_into_a_copy_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, both = ModelPool(), (recipe(0.1), recipe(0.5))
    for number, merge in enumerate(both):
        merge_to_folder(merge, tmp_path / str(number), sync=False)
    with models.lend(both[0]) as first:
        monkeypatch.setattr(pool, "build_model", None)
        with models.lend(both[1]) as second:
            assert not torch.equal(logits(first), logits(second))
            assert_holds(second, tmp_path / "1")
        assert_holds(first, tmp_path / "0")
        assert second.model.lm_head.weight is second.model.get_input_embeddings().weight


def test_a_merge_on_another_base_is_left_alone() -> None:
    models = filled(ModelPool())
    unrelated = MergeRecipe("zoo:math", (DomainModel("zoo:law"),))
    with models.lend(unrelated):
        assert len(models.loaded()) == IDLE_MERGES + 1


def test_a_full_budget_overwrites_a_single_idle_merge() -> None:
    models = ModelPool(byte_budget=ModelPool().get("zoo:base").nbytes)
    with models.lend(recipe(0.1)) as first:
        model = first.model
    with models.lend(recipe(0.2)) as second:
        assert second.model is model


def test_a_model_that_is_lent_or_given_away_never_changes() -> None:
    models = filled(ModelPool())
    held = models.get(recipe(0.1))
    with models.lend(recipe(0.11)) as lent:
        before = logits(held), logits(lent)
        for index in range(3 * IDLE_MERGES):
            with models.lend(recipe(1 + index / 10)) as rewritten:
                assert rewritten.model is not held.model and rewritten.model is not lent.model
        assert torch.equal(logits(held), before[0]) and torch.equal(logits(lent), before[1])
        with models.lend(recipe(0.11)) as again:
            assert again is lent


def test_two_who_ask_for_equal_recipes_share_one_model() -> None:
    models = filled(ModelPool())
    with models.lend(recipe(0.5)) as first, models.lend(recipe(0.5)) as second:
        assert first is second
        with models.lend(recipe(0.6)) as third:
            assert third.model is not first.model
    with models.lend(recipe(0.5)) as again:
        assert again is first


class AfterSome(Stop):
    """Set after a number of checks."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_a_stopped_rewrite_is_never_served() -> None:
    models = filled(ModelPool())
    expected = [logits(ModelPool().get(recipe(w))) for w in (0.1, 0.5)]
    with pytest.raises(Cancelled), models.lend(recipe(0.5), stop=AfterSome(5)):
        pass
    assert len(models.loaded()) == IDLE_MERGES - 1
    for weight, logit in zip((0.1, 0.5), expected, strict=True):
        with models.lend(recipe(weight)) as resident:
            assert torch.equal(logits(resident), logit)


def test_an_overflow_in_place_names_its_tensor_and_is_never_served(
    tiny_models: dict[str, TinyLlama], tmp_path: Path
) -> None:
    name = "model.layers.1.mlp.down_proj.weight"
    arrays = dict(tiny_models["math"].arrays)
    arrays[name] = np.full_like(arrays[name], 6e4)
    folder = TinyLlama(tiny_models["math"].shape, arrays).save(tmp_path / "large")
    model = DomainModel(str(folder), coefficient=2.0)
    models = filled(ModelPool())
    with pytest.raises(NonFiniteWeights, match=rf"{name}: .* F16 holds less than 65520"):
        models.get(MergeRecipe("zoo:base", (model,), "task_arithmetic", dtype="float16"))
    assert len(models.loaded()) == IDLE_MERGES - 1
    with models.lend(recipe(0.1)) as resident:
        assert torch.equal(logits(resident), logits(ModelPool().get(recipe(0.1))))


def test_many_visitors_at_once_each_compute_with_their_own_merge() -> None:
    weights = [0.2, 0.4, 0.6, 0.8, 1.0]
    expected = [logits(ModelPool().get(recipe(weight))) for weight in weights]
    models, wrong = ModelPool(), list[tuple[int, int]]()

    def visit(visitor: int) -> None:
        for turn in range(8):
            index = (visitor * 3 + turn * 2) % len(weights)
            with models.lend(recipe(weights[index])) as resident:
                if not all(torch.equal(logits(resident), expected[index]) for _ in range(3)):
                    wrong.append((visitor, index))

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert all(not slot.users for slot in models._slots.values())


@contextmanager
def changed(place: torch.Tensor) -> Iterator[None]:
    """Change one weight of a model."""
    before = place.reshape(-1)[0].clone()
    place.view(-1)[0] += 1
    yield
    place.view(-1)[0] = before


def test_a_model_that_is_not_bit_by_bit_what_would_be_written_is_not_overwritten() -> None:
    merger = open_merger(recipe())
    tensors = {name: merger.tensor(name) for name in merger.names()}
    model, kernels = ModelPool().get(recipe()).model, merger.loader().kernels
    assert live.find_live(model, tensors, kernels, merger.inputs.twins)
    with torch.no_grad(), changed(model.model.norm.weight):
        assert live.find_live(model, tensors, kernels, merger.inputs.twins) is None


def test_a_family_that_cannot_be_saved_as_it_was_loaded_is_built_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(model: Any, state: dict[str, torch.Tensor]) -> None:
        raise NotImplementedError("no reverse of this operation")

    monkeypatch.setattr("transformers.core_model_loading.revert_weight_conversion", fails)
    models = filled(ModelPool())
    with models.lend(recipe(0.5)) as third:
        assert len(models.loaded()) == IDLE_MERGES + 1
        assert torch.equal(logits(third), logits(ModelPool().get(recipe(0.5))))


def test_a_base_whose_merges_cannot_be_written_in_place_is_built_once_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built, build, models = list[str](), pool.build_model, ModelPool()

    def counted(*arguments: Any, **settings: Any) -> Any:
        built.append("model")
        return build(*arguments, **settings)

    monkeypatch.setattr(pool, "find_live", lambda *_arguments: None)
    monkeypatch.setattr(pool, "build_model", counted)
    for rate in (0.1, 0.2, 0.3):
        models.get(recipe(rate))
    assert len(built) == 4, "the first one shows that the base's weights lie scattered"
