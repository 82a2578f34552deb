"""Marks are cached by question and model."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dppa_core.evaluation import entrant_measurements
from dppa_core.evaluation import identity as identities
from dppa_core.evaluation.entrant_measurements import expected_seconds, measure
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.identity import identity
from dppa_core.evaluation.scores import Exam
from dppa_core.evaluation.side_by_side import entrants
from dppa_core.merging.in_memory import source
from dppa_core.merging.in_memory.device_map_pool import SpreadModelPool
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.resident import Resident
from dppa_core.recipes.calibration import Calibration
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks.item_files import read_items
from dppa_core.tasks.own_items import OwnItem
from tests.helpers.own_questions import APPLES
from tests.helpers.tiny_models import random_llama, tuned_llama

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")

RECIPE = MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.8,)), DomainModel("zoo:law")))


def test_what_was_asked_before_is_remembered_and_needs_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))
    counts: list[tuple[int, int]] = []
    sides = (entrants(RECIPE)[0], entrants(RECIPE)[-1])
    examiner, exam = Examiner(), Exam(RECIPE, "math", "test", 3)
    assert examiner.cached_marks(exam) is None
    first = measure(
        examiner,
        sides,
        ("math", "law"),
        limit=3,
        progress=lambda count, total, item: counts.append((count, total)),
    )
    assert counts[-1] == (12, 12) and counts == sorted(counts)
    again = Examiner()
    assert measure(again, sides, ("math", "law"), limit=3) == first
    assert not again.pool.loaded() and again.cached_marks(exam) == first.marks["recipe", "math"]
    assert Examiner(fresh=True).cached_marks(exam) is None
    assert Examiner(keep=False).cached_marks(exam) is None
    assert examiner.cached_marks(replace(exam, limit=4)) is None
    assert examiner.cached_marks(replace(exam, split="search")) is None
    assert examiner.cached_marks(replace(exam, target=replace(RECIPE, seed=1))) is None


def test_the_time_to_expect_is_told_first_and_only_of_what_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))
    monkeypatch.setattr(entrant_measurements, "ANNOUNCED_SECONDS", 0.0)
    reports: list[tuple[int, int, str]] = []
    sides, exam = entrants(RECIPE)[:1], Exam("zoo:base", "math", "test", 3)
    seconds = expected_seconds(Examiner(), [exam])
    assert expected_seconds(Examiner(), [exam, replace(exam, target="zoo:math")]) == 2 * seconds > 0
    measure(Examiner(), sides, ("math",), limit=3, progress=lambda *report: reports.append(report))
    assert reports[0][:2] == (0, 3) and reports[0][2].startswith("about ")
    answered = replace(exam, target=sides[0].target)
    assert expected_seconds(Examiner(), [answered]) == 0, "it was answered"


def test_answers_in_bfloat16_are_others_than_those_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(source, "FLOAT32_LIMIT", 0)
    pools = (ModelPool(), SpreadModelPool("auto", "float32"), SpreadModelPool("auto", "bfloat16"))
    first, exact, same = (Examiner(pool)._entry("zoo:law", ["asked"]) for pool in pools)
    assert first != exact and first == same


def test_replaced_weights_and_tokenizers_are_others(
    zoo_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = Path(shutil.copytree(zoo_env, tmp_path / "zoo"))
    monkeypatch.setenv("DPPA_ZOO", str(zoo))
    before = [identity(target) for target in (RECIPE, "zoo:law", "zoo:math")]
    tuned_llama(random_llama(0), 9).save(zoo / "law")
    after = [identity(target) for target in (RECIPE, "zoo:law", "zoo:math")]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True]
    (zoo / "math" / "tokenizer_config.json").write_text("{}")
    assert identity("zoo:math") != after[2]


def test_another_calibration_text_is_another_merge(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("one")
    recipe = replace(
        RECIPE,
        parameters={"significance": "activation"},
        calibration=Calibration(text=str(text), tokens=64),
    )
    before = identity(recipe)
    text.write_text("two")
    assert identity(recipe) != before


@pytest.mark.parametrize("workers", [1, 4])
def test_models_of_equal_weights_are_asked_once(
    monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """The mean of two models, task arithmetic with halves and the recipe are one merge."""
    import dppa_core.evaluation.examiner as module  # noqa: PLC0415

    models, mark = list[str](), module.mark

    def counted(resident: Resident, *arguments: Any, **options: Any) -> Any:
        models.append(resident.key)
        return mark(resident, *arguments, **options)

    monkeypatch.setattr(module, "mark", counted)
    monkeypatch.setattr(entrant_measurements, "_parallel_exams", lambda *_: workers)
    halves = tuple(DomainModel(f"zoo:{name}", coefficient=0.5) for name in ("math", "law"))
    whole = MergeRecipe("zoo:base", halves, "task_arithmetic")
    side = measure(Examiner(keep=False), entrants(whole), ("math",), limit=3)
    assert len(side.entrants) == 6 and len(models) == 4
    assert {"zoo:base", "zoo:math", "zoo:law"} < set(models)
    marks = [side.marks[key, "math"] for key in ("linear", "task_arithmetic", "recipe")]
    assert marks[0] == marks[1] == marks[2]


def test_prompts_are_tokenised_once_for_all_models(monkeypatch: pytest.MonkeyPatch) -> None:
    import dppa_core.evaluation.examiner as module  # noqa: PLC0415

    lengths: list[int] = []
    exchanges = module.exchanges

    def counted(resident, items):  # type: ignore[no-untyped-def]
        lengths.append(len(items))
        return exchanges(resident, items)

    monkeypatch.setattr(module, "exchanges", counted)
    examiner = Examiner(keep=False)
    for target in ("zoo:base", "zoo:math", RECIPE):
        examiner.marks(Exam(target, "math", "test", 2))
    assert lengths == [2]


def test_marks_of_own_questions_are_kept_by_content_and_those_of_embedded_ones_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))
    examiner, embedded = Examiner(), Exam("zoo:math", "math", "test", 2)
    examiner.marks(embedded)
    questions = [[item.prompt, item.answer] for item in embedded.items()]
    key = json.dumps([identity("zoo:math"), questions]).encode()
    (path,) = (tmp_path / "item-marks").rglob("*.json")
    assert path.stem == hashlib.sha256(key).hexdigest()
    apples = read_items(APPLES.encode(), "apples.jsonl")
    exam = Exam("zoo:math", apples, "test")
    first = examiner.marks(exam)
    assert Examiner().cached_marks(exam) == first
    changed = {
        "order": "\n".join([APPLES.splitlines()[0], *reversed(APPLES.splitlines()[1:])]),
        "answer": APPLES.replace("9 - 2 = 7", "8"),
        "scorer": APPLES.replace('"number"', '"contains"'),
        "length of replies": APPLES.replace('"number"}', '"number", "tokens": 9}'),
    }
    same = {
        name: Examiner().cached_marks(
            replace(exam, domain=read_items(text.encode(), "apples.jsonl"))
        )
        for name, text in changed.items()
    }
    assert same == {"order": first, "answer": None, "scorer": None, "length of replies": None}
    assert not any(isinstance(item, OwnItem) for _, item in examiner._exchanges)


@pytest.mark.parametrize(
    ("fresh", "own_questions", "times"), [(False, False, 1), (True, False, 2), (False, True, 1)]
)
def test_equal_models_are_asked_once_unless_an_exam_is_fresh(
    monkeypatch: pytest.MonkeyPatch, fresh: bool, own_questions: bool, times: int
) -> None:
    import dppa_core.evaluation.examiner as module  # noqa: PLC0415

    models, mark = list[str](), module.mark

    def counted(resident: Resident, *arguments: Any, **options: Any) -> Any:
        models.append(resident.key)
        return mark(resident, *arguments, **options)

    monkeypatch.setattr(module, "mark", counted)
    examiner = Examiner(keep=False, fresh=fresh)
    questions = read_items(APPLES.encode(), "apples.jsonl") if own_questions else "math"
    exam = Exam("zoo:math", questions, "test", 2)
    assert examiner.marks(exam) == examiner.marks(exam) and len(models) == times


def test_equal_models_keep_few_answers_by_short_keys_and_read_a_model_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digests, digest = list[str](), identities.model_digest

    def counted(resident: Resident) -> str | None:
        digests.append(resident.key)
        return digest(resident)

    monkeypatch.setattr(identities, "model_digest", counted)
    equal = identities.EqualModels()
    with ModelPool().lend("zoo:math") as resident:
        for number in range(200):
            assert equal.answer(resident, f"{number} {'long' * 99}", lambda: b"yes") == b"yes"
        changed = replace(resident, key="another")
        assert equal.answer(changed, f"199 {'long' * 99}", lambda: b"no") == b"yes"
    assert digests == ["zoo:math", "another"]
    keys = list(equal._answers._kept)
    assert len(keys) < 100 and all(len(part) <= 128 for key in keys for part in key)
