"""Lengths and loops of replies, and the divergence from a base."""

import json
from pathlib import Path

import pytest
import torch

from dppa_core.errors import OutOfBudget
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import Behaviour, Exam, Marks
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.answer_loss import own_replies, reply_logits
from dppa_core.models.decode import end_ids
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.system.folder_cache import load, store
from dppa_core.tasks.loops import is_loop
from tests.helpers.tiny_models import Shape, random_llama, save_tokenizer

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")
RECIPE = MergeRecipe("zoo:base", (DomainModel("zoo:math"),), "task_arithmetic")
EXAM = Exam(RECIPE, "math", "test", 3, behaviour=True, base="zoo:base")


def test_means_are_those_of_the_marks() -> None:
    marks = Marks(
        hits=(True, False, True, False),
        losses=(1.0,) * 4,
        tokens=(2, 2, 2, 4),
        lengths=(4, 48, 6, 6),
        loops=(False, True, False, False),
        divergences=(1.0, 0.0, 1.0, 3.0),
    )
    told = Behaviour.of(marks)
    assert told is not None and told.kl is not None
    assert (told.length.value, told.loops.value, told.kl.value) == (16.0, 0.25, 0.5)
    assert told.kl.low < 0.5 < told.kl.high
    assert told.to_json()["length"] == {"value": 16.0, "ci95": list(told.length.ends)}
    assert Behaviour.of(Marks((True,), (1.0,), (2,))) is None


def test_the_divergence_is_that_of_the_next_tokens_of_right_answers() -> None:
    examiner, sums = Examiner(), list[float]()
    marks = examiner.marks(EXAM)
    model, base = ModelPool().get(RECIPE), ModelPool().get("zoo:base")
    for exchange in examiner.exchanges(model, EXAM.items()):
        with torch.inference_mode():
            p, q = (
                reply_logits(one.model, [exchange])[0].double().softmax(-1) for one in (model, base)
            )
        sums.append(float((p * (p / q).log()).sum()))
    assert marks.divergences == pytest.approx(sums, rel=1e-4) and min(sums) > 0
    assert examiner.marks(Exam("zoo:base", *("math", "test", 3), True, "zoo:base")).divergences == (
        *(0.0, 0.0, 0.0),
    )
    assert not examiner.marks(Exam(RECIPE, "math", "test", 3)).lengths


def test_a_base_of_other_tokens_or_none_gives_no_divergence(tmp_path: Path) -> None:
    wide = random_llama(1, Shape(vocab=300)).save(tmp_path / "wide", dtype="F32")
    save_tokenizer(wide)
    for base in ("", str(wide)):
        told = Examiner().score(Exam("zoo:math", "math", "test", 2, behaviour=True, base=base))
        assert told.behaviour is not None and told.behaviour.kl is None
        assert told.to_json()["behaviour"]["kl"] is None


def test_both_models_must_be_allowed_in_memory() -> None:
    examiner = Examiner(ModelPool(ModelPool().get("zoo:base").nbytes * 3 // 2), keep=False)
    assert examiner.score(Exam(RECIPE, "math", "test", 2, behaviour=True)).behaviour
    with pytest.raises(OutOfBudget, match="zoo:base: to compare a model with it, both must"):
        examiner.score(EXAM)


def test_marks_of_earlier_versions_are_asked_again_only_for_behaviour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))
    whole = Examiner().marks(EXAM)
    kept = {path: json.loads(load(path) or b"") for path in (tmp_path / "item-marks").iterdir()}
    (path,) = (path for path, value in kept.items() if isinstance(value[0], list))
    store(path, json.dumps(kept[path][:4]).encode())
    examiner = Examiner()
    plain = examiner.marks(Exam(RECIPE, "math", "test", 3))
    assert not examiner.pool.loaded() and plain.hits == whole.hits
    assert examiner.marks(EXAM) == whole and examiner.pool.loaded()
    again = Examiner()
    assert again.marks(EXAM) == whole and not again.pool.loaded()


def test_lengths_and_loops_are_those_of_the_whole_replies() -> None:
    examiner, model = Examiner(keep=False), ModelPool().get("zoo:finance")
    exam = Exam("zoo:finance", "law", "test", 12, behaviour=True)
    marks = examiner.marks(exam)
    prompts = [exchange.prompt for exchange in examiner.exchanges(model, exam.items())]
    ends = end_ids(model.model, model.tokenizer)
    replies = [one.reply for one in own_replies(model, prompts, longest=48, stop=None)]
    assert marks.lengths == tuple(map(len, replies))
    cut = [reply[-1] not in ends for reply in replies]
    assert marks.loops == tuple(c and is_loop(r) for c, r in zip(cut, replies, strict=True))
    assert any(marks.loops)
