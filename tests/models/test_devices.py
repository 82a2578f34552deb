"""Everything that runs a model computes on a GPU: shown on a fake one, which refuses the CPU's."""

from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from dppa_core.answering.devices import local_reply
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.cli.cluster import exam_place
from dppa_core.errors import InvalidValue
from dppa_core.evaluation.analysis.attribution_run import attribute
from dppa_core.evaluation.analysis.curvature import curvature
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.lm_eval_harness import Harness
from dppa_core.evaluation.perplexity import perplexity
from dppa_core.evaluation.scores import Exam
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models import devices
from dppa_core.models.devices import Gpu, GpuCopies, lend, place_of
from dppa_core.models.own_step import knows
from dppa_core.models.reply import GenerationSettings
from dppa_core.models.resident import Resident
from dppa_core.models.texts import ForeignTexts, OwnTexts, texts_of
from dppa_core.profiling.calibration import collectors
from dppa_core.profiling.calibration.statistics import statistics
from dppa_core.recipes.calibration import calibration_of
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.system.machine import cuda_devices
from dppa_core.tasks import items
from dppa_core.tuning.adamerging.adamerge import adamerge
from dppa_core.tuning.adamerging.settings import AdaMergeSettings
from dppa_core.tuning.adamerging.texts import task_domains
from tests.helpers.fake_device import CARD, CUDA, FakeCudaTensor, fake_cuda

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")
LAYERS = 2
RECIPE = MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.9, 0.7), (1.6, 1.0), 0.8),))


@pytest.fixture(scope="module")
def resident(tiny_zoo: Path) -> Resident:
    return ModelPool().get(str(tiny_zoo / "math"))


def test_the_fake_device_refuses_what_cuda_refuses() -> None:
    with fake_cuda():
        tensor = torch.ones(3, device="cuda")
        assert tensor.device == CUDA and (tensor + torch.tensor(2.0)).tolist() == [3, 3, 3]
        with pytest.raises(RuntimeError, match="on the same device"):
            tensor + torch.ones(3)
        with pytest.raises(TypeError, match="numpy"):
            tensor.numpy()
        assert isinstance(torch.ones(3).to(CUDA), FakeCudaTensor)
        assert type(tensor.cpu()) is type(tensor.to("cpu")) is torch.Tensor


def test_a_copy_on_a_gpu_is_computed_by_transformers_own_forward_pass(resident: Resident) -> None:
    assert knows(resident.model) and isinstance(texts_of(resident.model), OwnTexts)
    with fake_cuda(), lend(resident) as lent:
        assert not knows(lent.model) and isinstance(texts_of(lent.model), ForeignTexts)


@pytest.mark.usefixtures("short_replies")
@pytest.mark.parametrize("workers", [1, 2])
def test_work_of_the_processor_is_counted_in_every_thread(resident: Resident, workers: int) -> None:
    exam, settings = Exam("zoo:math", "math", "search", 70), GenerationSettings(max_new_tokens=12)
    with fake_cuda(free=0) as computed:
        Examiner(keep=False, workers=workers).marks(exam)
    assert computed.cpu_products > LAYERS * 4 and not computed.device_products
    with fake_cuda(free=0) as computed:
        tokens = list(local_reply(resident, "What is 12 + 5?", settings, None))
    assert computed.cpu_products > LAYERS * 4 + len(tokens) - 2 and not computed.device_products


@pytest.fixture
def short_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random models never end their replies, and the fake device is slow."""
    monkeypatch.setattr("dppa_core.evaluation.examiner.MAX_REPLY_TOKENS", 6)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Grows with each forward pass of transformers, wherever it computes."""
    calls, forward = list[None](), LlamaForCausalLM.forward

    @wraps(forward)
    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(None)
        return forward(*args, **kwargs)

    monkeypatch.setattr(LlamaForCausalLM, "forward", counted)
    return calls


def test_chat_replies(resident: Resident, passes: list[None]) -> None:
    settings = GenerationSettings(temperature=1, seed=2, max_new_tokens=12)
    arguments: Any = (resident, "What is 12 + 5?", settings, None)
    on_cpu = list(local_reply(*arguments))
    with fake_cuda() as computed:
        on_gpu = list(local_reply(*arguments))
    assert [token.id for token in on_gpu] == [token.id for token in on_cpu]
    losses = [[token.loss for token in tokens] for tokens in (on_cpu, on_gpu)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert len(passes) == len(on_gpu)
    assert computed.device_products == len(passes) * (LAYERS * 8 + 1) and not computed.cpu_products


@pytest.mark.usefixtures("short_replies")
def test_evaluation(passes: list[None]) -> None:
    exam = Exam(RECIPE, "math", "search", 70)
    on_cpu = Examiner(keep=False, workers=1).marks(exam)
    assert not passes
    with fake_cuda() as computed:
        on_gpu = Examiner(keep=False, workers=1).marks(exam)
    assert on_gpu.hits == on_cpu.hits and on_gpu.losses == pytest.approx(on_cpu.losses, rel=1e-5)
    assert len(passes) > 2  # one for each of two batches, and one for each step of their replies
    assert computed.device_products == len(passes) * (LAYERS * 8 + 1) and not computed.cpu_products


def test_perplexity(resident: Resident) -> None:
    text = "The term is fair. " * 20
    on_cpu = perplexity(resident, text, window=64)
    with fake_cuda() as computed, lend(resident) as copied:
        on_gpu = perplexity(copied, text, window=64)
    assert on_gpu.loss.value == pytest.approx(on_cpu.loss.value, rel=1e-6)
    assert (
        computed.device_products == on_cpu.windows * (LAYERS * 8 + 1) and not computed.cpu_products
    )


def test_attribution() -> None:
    merged = ModelPool().get(RECIPE)
    on_cpu = attribute(RECIPE, merged, "How many apples?", "Seventeen.")
    with fake_cuda() as computed:
        on_gpu = attribute(RECIPE, merged, "How many apples?", "Seventeen.")
    losses = [effect.loss for effect in on_cpu.effects]
    assert [effect.loss for effect in on_gpu.effects] == pytest.approx(losses)
    assert on_gpu.base_loss == pytest.approx(on_cpu.base_loss)
    assert computed.device_products == 5 * (LAYERS * 8 + 1) and not computed.cpu_products


def test_curvature() -> None:
    pruned = MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.5,), (1.0,)),))
    questions = items("math", "search", 3)
    on_cpu = curvature(pruned, questions, [1.2])
    with fake_cuda() as computed:
        on_gpu = curvature(pruned, questions, [1.2])
    assert on_gpu.losses == pytest.approx(on_cpu.losses) and on_gpu.energy == on_cpu.energy
    assert computed.device_products == 6 * (LAYERS * 8 + 1) and not computed.cpu_products


@pytest.mark.long
@pytest.mark.parametrize("kind", ["fisher", "norms", "gram"])
def test_calibration(tmp_path: Path, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))
    loaded, build_model = list[str](), collectors.build_model

    def build(*args: Any) -> Any:
        loaded.append(args[-1])
        return build_model(*args)

    monkeypatch.setattr(collectors, "build_model", build)
    base, tuned = map(open_checkpoint, ("zoo:base", "zoo:math"))
    text = calibration_of("zoo:math")
    arguments: Any = (kind, base, tuned, text)
    with fake_cuda() as computed:
        on_gpu = statistics(*arguments, label="math")
        again = statistics(*arguments, label="math")
        assert loaded == ["math"]  # the second time it is from the cache
    on_cpu = statistics(*arguments, label="math")
    with fake_cuda():
        assert statistics(*arguments, label="math").key == on_cpu.key
    assert len(loaded) == 2  # what the processor computed counts everywhere
    assert again.key == on_gpu.key != on_cpu.key and on_gpu.axes == on_cpu.axes
    for name, array in on_cpu.arrays.items():
        np.testing.assert_allclose(on_gpu.arrays[name], array, rtol=1e-5, atol=1e-9)
    # The sums of Gram matrices lie in memory, their products do not.
    assert computed.device_products > LAYERS * 8 and not computed.cpu_products


SETTINGS = AdaMergeSettings(
    steps=1, lr=0.05, every=1, batch=2, together=2, prompts=3, held_out=2, longest=3
)


def test_a_step_and_checkpoints_of_adamerging(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))
    domains, state = task_domains(["math"], SETTINGS), tmp_path / "state.json"
    with fake_cuda() as computed:
        on_gpu = adamerge(RECIPE, domains, SETTINGS, state=state)
    on_cpu = adamerge(RECIPE, domains, SETTINGS)
    assert on_gpu.objectives == pytest.approx(on_cpu.objectives)
    for snapshot, expected in zip(on_gpu.snapshots, on_cpu.snapshots, strict=True):
        np.testing.assert_allclose(snapshot.coefficients, expected.coefficients, rtol=1e-6)
        assert snapshot.domains["math"].entropy == pytest.approx(expected.domains["math"].entropy)
    # Forward and backward pass: three products for each of the seven matrices and the head.
    assert computed.device_products > 3 * (LAYERS * 7 + 1) and not computed.cpu_products
    with pytest.raises(InvalidValue, match="another"):  # of the processor: other last bits
        adamerge(RECIPE, domains, SETTINGS, state=state)


@pytest.mark.filterwarnings("ignore")
def test_the_harness(resident: Resident, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.chdir(Path(__file__).parents[2])
    harness = Harness(["dppa_sums"], Path("tests/harness"))
    on_cpu = harness.ask(resident)
    with fake_cuda() as computed, lend(resident) as copied:
        assert harness.ask(copied) == on_cpu
    assert computed.device_products >= LAYERS * 8 and not computed.cpu_products


@pytest.mark.usefixtures("short_replies")
def test_marks_are_kept_by_number_format_and_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))
    exam = Exam("zoo:math", "math", "search", 5)
    examiner = Examiner()
    with fake_cuda(free=0):  # no room: the processor answers, and its marks are kept as such
        marks = examiner.marks(exam)
        assert examiner.cached_marks(exam) is None
    assert examiner.cached_marks(exam) == marks
    for native in (False, True):
        with fake_cuda(bfloat16=native):
            assert examiner.cached_marks(exam) is None
            marks = examiner.marks(exam)
            assert examiner.cached_marks(exam) == marks
    assert len(list((tmp_path / "item-marks").iterdir())) == 3


@pytest.mark.parametrize("native", [False, True])
def test_number_formats(native: bool) -> None:
    gpu = Gpu(CUDA, CARD, native)
    bfloat16, float32 = torch.bfloat16, torch.float32
    usual = bfloat16 if native else float32
    for dtype, exact, expected in (
        *((bfloat16, False, usual), (bfloat16, True, usual)),
        *((float32, False, usual), (float32, True, float32)),
        (torch.float16, False, torch.float16),
    ):
        assert gpu.number_format(dtype, exact=exact) == expected


def test_a_copy_in_bfloat16_is_told_so_and_its_angles_stay_float32(resident: Resident) -> None:
    with fake_cuda(bfloat16=True), lend(resident) as usual, lend(resident, exact=True) as exact:
        assert place_of(usual.model) == ("bfloat16", CARD)
        assert place_of(exact.model) == ("float32", CARD)
        assert place_of(resident.model) == ()
        assert usual.nbytes * 2 == exact.nbytes == resident.nbytes
        assert {buffer.dtype for buffer in usual.model.buffers()} == {torch.float32}


def test_copies_go_to_the_card_with_the_fewest_users(resident: Resident) -> None:
    cards = [Gpu(torch.device("cpu", n), CARD, bfloat16=False) for n in range(2)]
    copies = GpuCopies(cards, lambda _: 1 << 40)
    first, second, third = (replace(resident, key=key) for key in "abc")
    with copies.lend(first), copies.lend(second):
        assert [held.gpu for held in copies._copies.values()] == cards
        with copies.lend(first), copies.lend(third):
            assert [held.gpu for held in copies._copies.values()][-1] == cards[1]


def test_trials_run_one_a_card_as_far_as_memory_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Gpu(CUDA, CARD, bfloat16=False)
    examiner = Examiner(ModelPool(1 << 20))
    assert examiner.parallel_exams("zoo:base") == 1
    with fake_cuda():
        monkeypatch.setattr(devices, "own_copies", lambda: GpuCopies([card] * 4))
        assert examiner.parallel_exams("zoo:base") == 4
        assert Examiner(ModelPool(250_000)).parallel_exams("zoo:base") == 2
        with exam_place(None, RECIPE) as place:
            assert place.beside == 4


def test_a_space_that_assigns_gpus_has_none_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert cuda_devices() == ("cuda:0", "cuda:1")
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert cuda_devices() == () and cuda_devices(assigned=True) == ("cuda:0", "cuda:1")
