"""Memory of a GPU: which copies stay there without users, and what batches are sized by."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models import devices
from dppa_core.models.devices import (
    IDLE_MERGES,
    Gpu,
    GpuCopies,
    free_bytes,
    free_memory,
    free_room,
    unused_bytes,
)
from dppa_core.models.resident import Resident
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, recipe_hash

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")
GIB = 1 << 30
TOTAL = 24 * GIB
CARD = Gpu(torch.device("cpu"), "a card", bfloat16=False)
ON_CARD = SimpleNamespace(device=torch.device("cuda:0"))


@pytest.fixture(scope="module")
def resident(tiny_zoo: Path) -> Resident:
    return ModelPool().get(str(tiny_zoo / "math"))


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Iterator[GpuCopies]:
    """Copies on a card of `TOTAL` bytes, on which each takes a gibibyte."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free(), TOTAL))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 0)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 0)
    monkeypatch.setattr(devices, "copied", lambda model, *_: model)

    def free() -> int:
        return TOTAL - GIB * len(copies._copies)

    copies = GpuCopies([CARD])
    yield copies


def merges(resident: Resident, count: int) -> list[Resident]:
    """As the pool lends them: their key is the hash of a recipe."""
    models = [(DomainModel("zoo:math", coefficient=1 / (n + 1)),) for n in range(count)]
    keys = [recipe_hash(MergeRecipe("zoo:base", model)) for model in models]
    return [replace(resident, key=key, nbytes=GIB) for key in keys]


def test_merges_of_a_search_leave_the_card_to_the_next_ones(
    resident: Resident, copies: GpuCopies
) -> None:
    free = []
    for merge in merges(resident, 40):
        with copies.lend(merge) as lent:
            assert lent is not None
            free.append(free_memory(ON_CARD))
    assert free == [23 * GIB, 22 * GIB, *[21 * GIB] * 38]
    assert len(copies._copies) == IDLE_MERGES


def test_the_merges_that_were_used_last_stay(resident: Resident, copies: GpuCopies) -> None:
    first, second, third = merges(resident, 3)
    with copies.lend(first) as lent:
        with copies.lend(second), copies.lend(third):
            pass
    with copies.lend(first) as again, copies.lend(third):
        assert again is lent
    assert [held.resident.key for held in copies._copies.values()] == [third.key, first.key]


def test_models_by_reference_stay_until_room_is_short(
    resident: Resident, copies: GpuCopies
) -> None:
    for n in range(30):
        with copies.lend(replace(resident, key=f"owner/model-{n}", nbytes=GIB)) as lent:
            assert lent is not None
    assert len(copies._copies) == 22  # the other 2 GiB are for activations


def test_batches_may_take_what_pytorch_holds_unused_and_what_copies_leave_free(
    resident: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (3 * GIB, TOTAL))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 20 * GIB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 15 * GIB)
    assert unused_bytes(ON_CARD.device) == free_memory(ON_CARD) == 8 * GIB
    assert free_bytes(ON_CARD.device) == GIB
    on_card = replace(resident, model=ON_CARD)
    assert free_room(replace(on_card, nbytes=5 * GIB))
    assert not free_room(replace(on_card, nbytes=7 * GIB))  # 2 GiB are for activations
