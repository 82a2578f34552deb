"""Everything that runs a model, on a real CUDA device and on the processor: `make test-cuda`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dppa_core.answering.devices import local_reply
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.evaluation.analysis.attribution_run import attribute
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.perplexity import perplexity
from dppa_core.evaluation.scores import Exam
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models import devices
from dppa_core.models.devices import (
    Gpu,
    GpuCopies,
    free_bytes,
    gpus,
    lend,
    place_of,
    unused_bytes,
)
from dppa_core.models.reply import GenerationSettings
from dppa_core.profiling.calibration.statistics import statistics
from dppa_core.recipes.calibration import calibration_of
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tuning.adamerging.adamerge import adamerge
from dppa_core.tuning.adamerging.settings import AdaMergeSettings
from dppa_core.tuning.adamerging.texts import task_domains
from tests.conftest import NO_CUDA

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread", "zoo_env"),
    pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_CUDA),
]
RECIPE = MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.9, 0.7), (1.6, 1.0), 0.8),))
SETTINGS = AdaMergeSettings(
    steps=2, lr=0.05, every=1, batch=2, together=2, prompts=3, held_out=2, longest=3
)
CLOSE = {"rel": 1e-4}


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Switches to the first GPU, in float32, for models of any size, and back."""
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))
    monkeypatch.setattr(devices, "MIN_GPU_BYTES", 1 << 60)

    def switch(on: bool = True) -> None:
        card = gpus()[0]
        copies = GpuCopies([Gpu(card.device, card.name, bfloat16=False)])
        monkeypatch.setattr(devices, "own_copies", lambda: copies)
        monkeypatch.setattr(devices, "MIN_GPU_BYTES", 0 if on else 1 << 60)

    yield switch
    torch.cuda.empty_cache()


def test_the_cards_say_what_they_are() -> None:
    for card in gpus():
        assert card.name and free_bytes(card.device) > 0
        assert card.bfloat16 == (torch.cuda.get_device_capability(card.device) >= (8, 0))


def test_memory_that_pytorch_holds_unused_is_free_for_batches() -> None:
    device, block, slack = gpus()[0].device, 1 << 30, 1 << 28
    held = torch.empty(block, dtype=torch.uint8, device=device)
    during = unused_bytes(device)
    del held
    assert unused_bytes(device) - during > block - slack
    torch.cuda.empty_cache()
    assert unused_bytes(device) - during > block - slack


def test_a_copy_in_bfloat16_answers_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "MIN_GPU_BYTES", 0)
    with lend(ModelPool().get("zoo:math")) as lent:
        assert lent.model.device.type == "cuda" and place_of(lent.model)
        assert np.isfinite(perplexity(lent, "The term is fair. " * 9).loss.value)


def test_replies_and_losses(on_gpu: Any) -> None:
    resident, text = ModelPool().get("zoo:math"), "The term is fair. " * 20
    question: Any = (resident, "What is 12 + 5?", GenerationSettings(max_new_tokens=12), None)
    expected = list(local_reply(*question)), perplexity(resident, text, window=64)
    on_gpu()
    tokens = list(local_reply(*question))
    losses = [token.loss for token in expected[0]]
    assert [token.loss for token in tokens] == pytest.approx(losses, **CLOSE)
    with lend(resident) as copied:
        assert copied.model.device.type == "cuda"
        copied_loss = perplexity(copied, text, window=64)
    assert copied_loss.loss.value == pytest.approx(expected[1].loss.value, **CLOSE)


def test_evaluation_and_attribution(on_gpu: Any) -> None:
    exam, pool = Exam(RECIPE, "math", "search", 70), ModelPool()
    question = RECIPE, pool.get(RECIPE), "How many apples?", "Seventeen."
    expected = Examiner(pool, keep=False).marks(exam), attribute(*question)
    on_gpu()
    computed = Examiner(pool, keep=False).marks(exam), attribute(*question)
    assert computed[0].losses == pytest.approx(expected[0].losses, **CLOSE)
    losses = [[effect.loss for effect in pair.effects] for pair in (expected[1], computed[1])]
    assert losses[1] == pytest.approx(losses[0], **CLOSE)


@pytest.mark.parametrize("kind", ["fisher", "norms", "gram"])
def test_calibration(on_gpu: Any, kind: Any) -> None:
    base, tuned = map(open_checkpoint, ("zoo:base", "zoo:math"))
    arguments: Any = (kind, base, tuned, calibration_of("zoo:math"))
    on_gpu()
    computed = statistics(*arguments, label="math")
    on_gpu(on=False)
    expected = statistics(*arguments, label="math")
    assert expected.key != computed.key
    for name, array in expected.arrays.items():
        np.testing.assert_allclose(computed.arrays[name], array, rtol=1e-3, atol=1e-6)


def test_adamerging(on_gpu: Any) -> None:
    domains = task_domains(["math"], SETTINGS)
    expected = adamerge(RECIPE, domains, SETTINGS)
    on_gpu()
    computed = adamerge(RECIPE, domains, SETTINGS)
    assert computed.objectives == pytest.approx(expected.objectives, **CLOSE)
    for snapshot, same in zip(computed.snapshots, expected.snapshots, strict=True):
        np.testing.assert_allclose(snapshot.coefficients, same.coefficients, rtol=1e-3)
