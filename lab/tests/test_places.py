"""Answers of studies are kept under the GPU or processor that computed them."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dppa_core.evaluation.lm_eval_harness import TaskResult
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tuning.adamerging.settings import AdaMergeSettings
from dppa_lab.experiments.kept_questions import TuningQuestion, keep
from dppa_lab.experiments.paper.why.loss_questions import BandsQuestion, CurvatureQuestion
from dppa_lab.experiments.questions import DocumentsQuestion, ExperimentExaminer
from dppa_lab.zoo.results.merge_examiner import MergeExaminer
from tests.helpers.fake_device import fake_cuda

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")
RECIPE = MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.5,), (1.0,)),))
SETTINGS = AdaMergeSettings(
    steps=1, lr=0.05, every=1, batch=2, together=2, prompts=3, held_out=2, longest=3
)
LONG = (
    TuningQuestion(RECIPE, ("math",), SETTINGS),
    CurvatureQuestion(RECIPE, "math", 2, (1.2,)),
    BandsQuestion(RECIPE, "math", "search", 2, ((1.2,),)),
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))
    return tmp_path


class Exams(ExperimentExaminer):
    """An examiner whose harness answers at once, and counts its calls."""

    calls = 0

    def harness(self, task: str, folder: str | None, limit: int | None) -> Any:
        def ask(_: object) -> tuple[TaskResult, ...]:
            self.calls += 1
            return (TaskResult(task, "acc", 1.0, None, 3, True, (1.0, 1.0, 1.0)),)

        return SimpleNamespace(ask=ask)


def test_documents_that_the_processor_answered_for_lack_of_room_are_its_own() -> None:
    examiner, question = Exams(), DocumentsQuestion("zoo:math", "piqa", "test", 2, None)
    with fake_cuda(free=0):
        first = question.answer(examiner)
        assert question.cached(examiner) is None
        assert question.answer(examiner) == first and examiner.calls == 1
    assert question.cached(examiner) == first
    with fake_cuda():
        assert question.cached(examiner) is None
        assert question.answer(examiner) == first and examiner.calls == 2
        assert question.cached(examiner) == first
    assert question.answer(examiner) == first and examiner.calls == 2


def hits(examiner: MergeExaminer) -> Any:
    return examiner.hits("zoo:math", "math", "test")


def loss(examiner: MergeExaminer) -> Any:
    return examiner.loss("zoo:math", "math")


@pytest.mark.parametrize("measure", [hits, loss])
def test_the_leaderboard_keeps_what_each_place_computed(
    measure: Callable[[MergeExaminer], Any], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "dppa_core.evaluation.examiner.MAX_REPLY_TOKENS", 6
    )  # the fake device is slow
    examiner = MergeExaminer(2, 2)
    with fake_cuda(free=0) as computed:
        value = measure(examiner)
    assert computed.cpu_products and not computed.device_products
    with fake_cuda() as computed:
        assert measure(examiner) == pytest.approx(value)
    assert computed.device_products and not computed.cpu_products, (
        "the processor's are not taken for the GPU's"
    )
    for free in (0, 1 << 40):
        with fake_cuda(free=free) as computed:
            assert measure(examiner) == pytest.approx(value)
        assert not computed.cpu_products and not computed.device_products
    assert len(list((cache / "leaderboard").iterdir())) == 2


@pytest.mark.parametrize("question", LONG)
def test_what_takes_long_is_taken_from_the_processor_but_never_from_a_gpu(
    question: TuningQuestion | CurvatureQuestion | BandsQuestion,
) -> None:
    examiner = ExperimentExaminer()
    with fake_cuda() as computed:
        moved = question.answer(examiner)
        assert question.cached(examiner) == moved
    assert computed.device_products and not computed.cpu_products
    assert question.cached(examiner) is None
    with fake_cuda(bfloat16=True):  # it keeps float32
        assert question.cached(examiner) == moved


@pytest.mark.parametrize("question", LONG)
def test_what_the_processor_computed_for_lack_of_room_is_kept_as_such(
    question: TuningQuestion | CurvatureQuestion | BandsQuestion,
) -> None:
    examiner = ExperimentExaminer()
    with fake_cuda(free=0) as computed:
        value = question.answer(examiner)
        assert question.cached(examiner) == value
    assert computed.cpu_products and not computed.device_products
    assert question.cached(examiner) == value


def test_an_answer_of_two_places_is_not_kept(cache: Path) -> None:
    for places in ({()}, {("float32", "a card")}, {(), ("float32", "a card")}):
        keep(places, lambda place: "-".join(["key", *place]), "{}")
    assert sorted(one.stem for one in (cache / "experiments").iterdir()) == [
        "key",
        "key-float32-a card",
    ]
