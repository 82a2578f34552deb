"""The models that ship: small enough, licensed, and able to do what their cards say."""

import json
from pathlib import Path

import pytest

from dppa_core.evaluate import evaluate
from dppa_core.pool import ModelPool
from dppa_core.recipe import DomainModel, MergeRecipe
from dppa_core.sources import zoo_root
from dppa_core.tasks import DOMAINS
from dppa_core.zoo.spec import STAGES, fingerprint, settling

pytestmark = pytest.mark.usefixtures("one_torch_thread")
MODELS = ("base", *DOMAINS)


def test_every_file_is_under_10_mb_and_all_are_under_40() -> None:
    sizes = [path.stat().st_size for path in zoo_root().rglob("*") if path.is_file()]
    assert max(sizes) < 10_000_000
    assert sum(sizes) < 40_000_000


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_card_with_its_licence(name: str) -> None:
    assert "license: apache-2.0" in (zoo_root() / name / "README.md").read_text("utf-8")


def _record(folder: Path) -> str:
    return str(json.loads((folder / "training.json").read_text("utf-8"))["fingerprint"])


def test_the_weights_came_out_of_the_settings_in_the_code() -> None:
    base = fingerprint(STAGES["base"])
    assert _record(zoo_root() / "base") == base
    for domain in DOMAINS:
        learned = fingerprint(STAGES[domain], base)
        assert _record(zoo_root() / domain) == fingerprint(settling(domain), learned)


@pytest.fixture(scope="module")
def pool() -> ModelPool:
    return ModelPool()


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_domain_model_answers_its_own_domain_and_the_base_does_not(
    pool: ModelPool, domain: str
) -> None:
    own = evaluate(pool.get(f"zoo:{domain}"), [domain], limit=90).domains[domain].accuracy
    base = evaluate(pool.get("zoo:base"), [domain], limit=30).domains[domain].accuracy
    assert own >= 0.85
    assert base <= 0.4


def test_math_and_law_merged_still_answer_both(pool: ModelPool) -> None:
    pair = ("math", "law")
    recipe = MergeRecipe(
        "zoo:base",
        tuple(DomainModel(f"zoo:{domain}", coefficient=1.0) for domain in pair),
        method="task_arithmetic",
    )
    assert evaluate(pool.get(recipe), pair, limit=45).mean >= 0.75


def test_the_first_preset_answers_at_80_percent_pruning(pool: ModelPool) -> None:
    recipe = MergeRecipe(
        "zoo:base",
        tuple(DomainModel(f"zoo:{domain}", (0.9, 0.8), (1.2, 1.2)) for domain in ("math", "law")),
    )
    assert evaluate(pool.get(recipe), ("math", "law"), limit=45).mean >= 0.7
