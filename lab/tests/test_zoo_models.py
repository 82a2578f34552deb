"""The embedded models: small enough, licensed, and as good as their cards say."""

import json
from pathlib import Path

import pytest

from components.session.presets import first_session
from dppa_core.checkpoints.sources.zoo import APART, NEAR, NEAR_BASE, ZOO_MODELS, zoo_root
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import Exam
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.delta_size import delta_size
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks import DOMAINS
from dppa_lab.zoo.card import model_card
from dppa_lab.zoo.near import SHIPPED
from dppa_lab.zoo.regimes import BETWEEN, Training, regime_named
from dppa_lab.zoo.spec import NEAR_STAGE, STAGES, fingerprint

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def test_every_file_is_under_10_mb_and_each_set_is_under_40() -> None:
    sizes = [path.stat().st_size for path in zoo_root().rglob("*") if path.is_file()]
    assert max(sizes) < 10_000_000
    assert sum(sizes) < 76_000_000


@pytest.mark.parametrize("name", ZOO_MODELS)
def test_every_model_has_the_card_of_its_training_with_its_licence(name: str) -> None:
    folder = zoo_root() / name
    card = (folder / "README.md").read_text("utf-8")
    assert card == model_card(json.loads((folder / "training.json").read_text("utf-8")))
    assert "license: apache-2.0" in card


def _record(folder: Path) -> str:
    return str(json.loads((folder / "training.json").read_text("utf-8"))["fingerprint"])


def test_the_weights_came_out_of_the_settings_in_the_code() -> None:
    base = fingerprint(STAGES["base"])
    assert _record(zoo_root() / "base") == base
    for domain in DOMAINS:
        assert _record(zoo_root() / domain) == Training().mark(domain, base)
    apart = Training(regime=regime_named(BETWEEN), seed=1, base="zoo:base")
    for domain, name in zip(DOMAINS, APART, strict=True):
        assert _record(zoo_root() / name) == apart.mark(domain, base)
    near = Training(regime=regime_named(SHIPPED), base=f"zoo:{NEAR_BASE}")
    assert _record(zoo_root() / NEAR_BASE) == fingerprint(NEAR_STAGE)
    for domain, name in zip(DOMAINS, NEAR, strict=True):
        assert _record(zoo_root() / name) == near.mark(domain, fingerprint(NEAR_STAGE))


@pytest.fixture(scope="module")
def examiner() -> Examiner:
    return Examiner(keep=False)


@pytest.mark.cases(1)
@pytest.mark.parametrize("domain", DOMAINS)
def test_a_domain_model_answers_its_own_domain_and_the_base_does_not(
    examiner: Examiner, domain: str
) -> None:
    alone = examiner.score(Exam(f"zoo:{domain}", domain, limit=90)).accuracy
    apart = examiner.score(Exam(f"zoo:apart-{domain}", domain, limit=90)).accuracy
    base = examiner.score(Exam("zoo:base", domain, limit=30)).accuracy
    near = examiner.score(Exam(f"zoo:near-{domain}", domain, limit=90)).accuracy
    near_base = examiner.score(Exam("zoo:near-base", domain, limit=30)).accuracy
    assert alone >= 0.85 and apart >= 0.8 and near >= 0.8
    assert base <= 0.4 and near_base <= 0.4


@pytest.mark.parametrize("name", NEAR)
def test_the_second_set_has_small_deltas(name: str) -> None:
    assert delta_size(cached_profile(f"zoo:{NEAR_BASE}", f"zoo:{name}")).relative <= 0.02


@pytest.mark.long
def test_whole_deltas_of_all_three_keep_four_fifths_of_every_domain(examiner: Examiner) -> None:
    recipe = MergeRecipe(
        "zoo:base",
        tuple(DomainModel(f"zoo:{domain}", coefficient=1.0) for domain in DOMAINS),
        method="task_arithmetic",
    )
    merged = examiner.evaluation(recipe, DOMAINS, limit=60).domains
    assert min(domain.accuracy for domain in merged.values()) >= 0.75


def test_the_first_preset_answers_all_three_domains(examiner: Examiner) -> None:
    recipe = first_session().recipe()
    assert len(recipe.models) == len(DOMAINS)
    merged = examiner.evaluation(recipe, DOMAINS, limit=60).domains
    assert min(domain.accuracy for domain in merged.values()) >= 0.7
