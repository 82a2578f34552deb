"""Recipes of one short hash, which can be made in minutes, share nothing that is kept."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import components
from components.session.presets import first_session
from components.views.see.answer_curve import CurveRequest, curve_payload
from components.views.see.pinned import PinnedAnswers, PinnedQuestion
from components.work.question import EARLIER, read_duel, read_settings
from components.work.studio import Studio
from components.work.visitor import Visitor
from dppa_core.answering.worker import FewMerges
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.identity import identity
from dppa_core.evaluation.scores import Exam
from dppa_core.merging.cluster.parts import parts_folder
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.merger import open_merger
from dppa_core.recipes import recipe as recipes
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, recipe_hash
from dppa_core.system.recent import Recent
from dppa_core.tuning.search.options import SearchOptions
from dppa_core.tuning.search.state import made_by

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env", "colliding")

ONE, OTHER = (
    MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.8,), coefficient=size),))
    for size in (1.0, 10.0)
)
ADA = Visitor("ada", "1.2.3.4", "")
ROOT = Path(components.__file__).parents[1]
NOT_CHOSEN_BY_VISITORS = {
    "components/server/tab_files.py",
    "components/widgets/scripts.py",
    "dppa_core/kernels/ready.py",
    "dppa_core/system/atomic_folders.py",
}
"""Files that shorten a hash of the page's own scripts and loops, or of the
name of a merge's target, whose folder is locked."""


@pytest.fixture
def colliding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first 12 digits of all recipes' hashes are equal."""

    def sha256(data: bytes) -> Any:
        digits = hashlib.sha256(data).hexdigest()
        return SimpleNamespace(hexdigest=lambda: "0" * 12 + digits[12:])

    monkeypatch.setattr(recipes, "hashlib", SimpleNamespace(sha256=sha256))


def test_each_recipe_gets_its_own_merge() -> None:
    pool, ids = ModelPool(), torch.tensor([[1, 2, 3]])
    one, other = (pool.get(recipe).model(ids).logits for recipe in (ONE, OTHER))
    assert not torch.equal(one, other) and len(pool.loaded()) == 2


def test_each_recipe_gets_its_own_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))
    assert identity(ONE) != identity(OTHER)
    Examiner().marks(Exam(ONE, "math", "test", 2))
    assert Examiner().cached_marks(Exam(ONE, "math", "test", 2))
    assert Examiner().cached_marks(Exam(OTHER, "math", "test", 2)) is None


def test_each_recipe_gets_its_own_effect(studio: Studio) -> None:
    known = studio.outcome(ONE, None)
    assert studio.known_outcome(ONE) is known and studio.known_outcome(OTHER) is None
    assert studio.merged(ONE) and not studio.merged(OTHER)


def test_each_recipe_gets_its_own_pinned_answer(studio: Studio) -> None:
    session, asked, answers = first_session(), PinnedQuestion(1, "1 + 1?", False), []
    pinned = PinnedAnswers(studio)
    for one in (session, replace(session, factors=(9.0, 9.0))):
        answers.append(pinned.value(one, asked, ADA))
    assert answers[0]["text"] != answers[1]["text"]
    assert answers[0]["recipe"] != answers[1]["recipe"]


def test_the_points_of_a_curve_stay_apart(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def point(recipe: MergeRecipe, *_: Any) -> Any:
        return SimpleNamespace(loss=recipe.models[0].levels[-1])

    monkeypatch.setattr(studio, "answerer", lambda: SimpleNamespace(reading=point))
    monkeypatch.setattr("components.views.see.answer_curve._answer", lambda *_: "")
    asked = CurveRequest(7, "own?", "rate", "zoo:math", 0)
    *_, last = curve_payload(first_session(), asked, studio, Recent(1000))
    assert all(loss == x for x, loss, _ in last["points"])


def test_each_search_has_its_own_trials() -> None:
    study, climb = SearchOptions(vary=("rate",), limit=4), SearchOptions(limit=4)
    assert made_by(ONE, study, ("math",)) != made_by(OTHER, study, ("math",))
    assert made_by(ONE, climb, ("math",)) != made_by(replace(ONE, seed=1), climb, ("math",))


def test_an_earlier_merge_is_compared_with_another_of_its_digits() -> None:
    session, settings = first_session(), read_settings(8, 0, 1, 0)
    against = EARLIER + recipe_hash(OTHER)
    assert read_duel("hi", against, settings, session, (OTHER, ONE)).recipes[against] == OTHER


def test_each_recipe_waits_for_its_own_place(tmp_path: Path) -> None:
    few = FewMerges(2)
    with few.place(ONE), few.place(OTHER):
        assert len(few._answers) == 2


def test_parts_of_one_merge_are_not_taken_for_those_of_another(tmp_path: Path) -> None:
    folders = set()
    for recipe in (ONE, OTHER):
        with parts_folder(open_merger(recipe), 20_000, tmp_path / "out") as folder:
            folders.add(folder)
    assert len(folders) == 2


def test_no_other_hash_is_shortened() -> None:
    files = (one for name in ("components", "dppa_core") for one in (ROOT / name).rglob("*.py"))
    shortened = (one for one in files if re.search(r"hexdigest\(\)\[", one.read_text("utf-8")))
    assert {one.relative_to(ROOT).as_posix() for one in shortened} == NOT_CHOSEN_BY_VISITORS
