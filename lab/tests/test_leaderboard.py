"""The leaderboard: its questions, cached answers and search."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dppa_core.checkpoints.sources.zoo import zoo_root
from dppa_core.evaluation.examiner import Examiner
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.methods.registry import METHODS, get_method
from dppa_core.models.decode import prompt_ids
from dppa_core.recipes.calibration import Calibration
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks import DOMAINS, items
from dppa_core.tasks.intervals import Interval
from dppa_lab.zoo.joint_search import Budget
from dppa_lab.zoo.results import choosing, leaderboard, merge_examiner
from dppa_lab.zoo.results.choosing import BUDGET, ChosenValues, choose
from dppa_lab.zoo.results.entry import MEANS, VARIANTS, MethodVariant, entry
from dppa_lab.zoo.results.leaderboard import measure_board
from dppa_lab.zoo.results.merge_examiner import Added, MergeExaminer, added
from dppa_lab.zoo.trained_set import trained_set
from lab.tests.helpers.boards import board, row
from tests.helpers.command import Command
from tests.helpers.tiny_models import random_llama, tuned_llama

# numbers


def test_a_retention_is_the_mean_of_the_ratios_with_the_interval_of_its_items() -> None:
    """Own accuracy 0.8. Half of 100 items are right in each domain: by hand."""
    (uneven,) = board(row("dppa", 80, 40, 60))["rows"]
    assert uneven["retention"] == pytest.approx((1 + 0.5 + 0.75) / 3)
    (even,) = board(row("dppa", 50, 50, 50))["rows"]
    half = 1.959964 * (3 * (0.25 * 100 / 99) / 0.8**2 / 100 / 9) ** 0.5
    assert even["retention_ci95"] == pytest.approx([0.625 - half, 0.625 + half])


def test_equal_scores_can_be_checked_item_by_item() -> None:
    """A merge that answers the last items instead of the first has the same scores."""
    merge = row("dppa", 2, 1, 3, n=4)
    turned = {domain: hits[::-1] for domain, hits in merge.hits.items()}
    ours, theirs = board(merge, replace(row("regmean", 2, 1, 3, n=4), hits=turned))["rows"]
    assert ours["retention"] == theirs["retention"] and ours["domains"] == theirs["domains"]
    assert ours["hits"] == {"math": "1100", "finance": "1000", "law": "1110"}
    assert theirs["hits"] == {"math": "0011", "finance": "0001", "law": "0111"}


def test_the_setting_of_least_loss_is_kept_where_it_is_another() -> None:
    ties = row("ties", 50, 40, 40)
    other = replace(ties.choice, by_loss={"scale": 1.5})
    less = replace(ties, choice=other, by_loss=Interval(0.3, 0.2, 0.4))
    rows = board(row("dppa", 80, 40, 60), less)["rows"]
    assert rows[1]["by_loss"] == {
        "values": {"scale": 1.5},
        "retention": 0.3,
        "retention_ci95": [0.2, 0.4],
    }


def test_a_difference_is_paired_item_by_item() -> None:
    """Ten of a hundred items more in one domain: by hand."""
    best, dppa = board(row("ties", 50, 40, 40), row("dppa", 40, 40, 40))["rows"]
    gap = best["against_dppa"]
    assert gap["mean"] == pytest.approx(0.1 / 0.8 / 3)
    variance = (0.1 * 0.9 * 100 / 99) / 0.8**2  # of the differences, with n - 1
    half = 1.959963984540054 * (variance / 100) ** 0.5 / 3
    assert gap["ci95"] == pytest.approx([gap["mean"] - half, gap["mean"] + half])
    assert gap["ci95"][0] > 0, "every item that differs is for the first: paired, that is plain"
    assert dppa["against_dppa"] == {"mean": 0, "ci95": [0, 0], "significant": False}


def test_whether_a_difference_is_by_chance_is_corrected_for_the_number_of_rows() -> None:
    """Seven items more of a hundred, paired: p = 0.0063 alone, above 0.05 as the least of eight."""
    rows = [row("ties", 47, 40, 40), row("dppa", 40, 40, 40)]
    assert board(*rows)["rows"][0]["against_dppa"]["significant"]
    rows += [row(name, 40, 40, 40) for name in ("sce", "pcb", "emr", "owl", "della", "dare")]
    assert board(*rows)["rows"][0]["against_dppa"]["significant"]
    rows.append(row("linear", 40, 40, 40))
    assert not board(*rows)["rows"][0]["against_dppa"]["significant"]


def test_what_a_merge_adds_is_measured_against_the_sum(tmp_path: Path) -> None:
    base = random_llama(0)
    base.save(tmp_path / "base")
    for seed, name in enumerate("ab", 1):
        tuned_llama(base, seed).save(tmp_path / name)
    models = tuple(DomainModel(str(tmp_path / name), coefficient=-0.5) for name in "ab")
    half = added(MergeRecipe(str(tmp_path / "base"), models, "task_arithmetic"))
    assert (half.length, half.likeness) == pytest.approx((0.5, -1.0), abs=1e-4)
    assert half.changed > 0.9
    none = MergeRecipe(str(tmp_path / "base"), (DomainModel(str(tmp_path / "base")),), "linear")
    assert added(none) == Added(0.0, 0.0, 0.0)


# recipes


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_merges_all_three_at_a_fifth_or_at_its_defaults(method) -> None:  # type: ignore[no-untyped-def]
    if method.name in ("slerp", "nuslerp", "nearswap", "arcee_fusion", "passthrough"):
        return  # take fewer
    merge = entry(method)
    recipe = merge.recipes()["law"]
    assert [model.model for model in recipe.models] == [f"zoo:{domain}" for domain in DOMAINS]
    levels = ((0.9, 0.8) if method.name == "dppa" else (0.8,)) if method.prunes else (0.0,)
    assert {model.levels for model in recipe.models} == {levels}
    assert {model.amplification for model in recipe.models} == {(1.0,) * len(levels)}
    assert {model.coefficient for model in recipe.models} == {1.0}
    names = [axis.name for axis in merge.axes()]
    if method.name in MEANS:
        assert not names
        return
    assert merge.recipes(tuple(axis.start for axis in merge.axes()))["law"] == recipe
    numbers = ("scale" in names, "coefficient" in names)
    assert sum(numbers) == (method.name != "dare")  # DARE prunes all: its factor does the same
    factors = [f"factor{place}" for place in range(1, len(levels) + 1)] if method.prunes else []
    assert [name for name in names if name.startswith("factor")] == factors
    assert ("strength" in names) == (method.name in ("dppa", "owl"))


def test_emr_has_a_merge_for_every_domain_and_others_have_one() -> None:
    emr, ties = entry(get_method("emr")), entry(get_method("ties"))
    tasks = [recipe.parameters["domain"] for recipe in emr.recipes().values()]
    assert tasks == [f"zoo:{domain}" for domain in DOMAINS]
    assert len(set(ties.recipes().values())) == 1


def test_statistics_of_other_models_are_measured_on_questions_of_their_domains() -> None:
    others = {name: f"folder/{name}" for name in ("base", *DOMAINS)}
    fisher = replace(entry(get_method("fisher")), references=others).recipes()["law"]
    assert [model.calibration for model in fisher.models] == [Calibration((d,)) for d in DOMAINS]
    plain = replace(entry(get_method("ties")), references=others).recipes()["law"]
    for recipe in (plain, entry(get_method("fisher")).recipes()["law"]):
        assert {model.calibration for model in recipe.models} == {None}


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.difference)
def test_a_variant_is_another_merge_than_its_method(variant: MethodVariant) -> None:
    plain = entry(variant.entry.method)
    assert variant.entry.searched
    assert not plain.searched or variant.entry.recipes() != plain.recipes()


def test_every_method_is_searched_by_the_same_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """With losses by hand, lowest at the factors 0.8 / 1.2, the coefficient or scale 0.9."""
    lowest = {"factor1": 0.8, "factor2": 1.2, "coefficient": 0.9, "scale": 0.9}
    recipes: dict[str, list[MergeRecipe]] = {"loss": [], "hits": []}

    def values(recipe: MergeRecipe) -> dict[str, float]:
        model, scale = recipe.models[0], getattr(recipe.settings(), "scale", 1.0)
        factors = model.amplification if get_method(recipe.method).prunes else ()
        named = {f"factor{place}": value for place, value in enumerate(factors, 1)}
        assert isinstance(model.coefficient, float)
        return named | {"coefficient": model.coefficient, "scale": scale}

    def loss(_: MergeExaminer, recipe: MergeRecipe, domain: str) -> float:
        recipes["loss"].append(recipe)
        return 1 + sum(math.log2(v / lowest[name]) ** 2 for name, v in values(recipe).items())

    def hits(
        _: MergeExaminer, target: MergeRecipe | str, domain: str, split: str
    ) -> tuple[bool, ...]:
        if isinstance(target, str):
            return (True,) * 4
        recipes["hits"].append(target)
        return (True, True, False, False)

    monkeypatch.setattr(MergeExaminer, "loss", loss)
    monkeypatch.setattr(MergeExaminer, "hits", hits)
    for name in ("task_arithmetic", "ties", "magnitude", "dare", "dppa"):
        for of_kind in recipes.values():
            of_kind.clear()
        choice = choose(entry(get_method(name)), MergeExaminer(None, 200))
        assert len(set(recipes["loss"])) == choice.losses <= BUDGET.losses
        assert len(set(recipes["hits"])) == choice.retentions <= BUDGET.accuracies
        for axis, value in choice.values.items():
            assert axis == "strength" or value == pytest.approx(lowest[axis], rel=0.08), name
    assert list(choice.values) == ["factor1", "factor2", "coefficient", "strength"]
    nothing = choose(entry(get_method("linear")), MergeExaminer(None, 200))
    assert nothing == ChosenValues({}, 0, 0, {})


# what is measured


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.long
def test_what_was_measured_is_not_asked_again(
    cache: Path, zoo_env: Path, one_torch_thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "BUDGET", Budget(2, 2))
    first = measure_board(["slerp", "emr", "linear"], test_items=2, search_items=1)
    rows = {measured["method"]: measured for measured in first["rows"]}
    assert sorted(rows) == ["dppa", "emr", "linear"]
    assert rows["linear"]["tried"] == {"losses": 0, "retentions": 0}
    assert set(first["refused"]) == {"slerp"} and "one other" in first["refused"]["slerp"]
    assert all(len(bits) == 2 for of in rows.values() for bits in of["hits"].values())
    assert len(rows["emr"]["added"]) == 3

    def never(*_: object, **__: object) -> None:
        raise AssertionError("asked again")

    for name in ("texts_of", "added"):
        monkeypatch.setattr(merge_examiner, name, never)
    monkeypatch.setattr(Examiner, "marks", never)
    assert measure_board(["slerp", "emr", "linear"], test_items=2, search_items=1) == first
    monkeypatch.setattr(leaderboard, "choose", never)
    added = measure_board(["linear"], test_items=2, search_items=1, earlier=first)
    assert added["rows"] == first["rows"], "chosen settings are taken, and every method joins in"
    monkeypatch.setattr(leaderboard, "_measured", never)
    again = measure_board(["linear"], test_items=2, search_items=1, earlier=first)
    assert again == first, "and so are the rows, where the items are the same"
    with pytest.raises(AssertionError, match="asked again"):
        measure_board(["linear"], test_items=1, search_items=1, earlier=first)
    with pytest.raises(AssertionError, match="asked again"):
        MergeExaminer(3, 1).hits("zoo:math", "math", "test")


def test_the_loss_is_that_of_the_right_answers(
    cache: Path, zoo_env: Path, one_torch_thread: None
) -> None:
    """Against each answer by itself, token after token."""
    loss = MergeExaminer(None, 4).loss("zoo:law", "law")
    logs = list[float]()
    with ModelPool().lend("zoo:law") as resident, torch.inference_mode():
        tokenizer, model = resident.tokenizer, resident.model
        for item in items("law", "search", 4):
            read = prompt_ids(resident, item.prompt)
            answer = tokenizer(item.answer, add_special_tokens=False)["input_ids"]
            for token in [*answer, tokenizer.eos_token_id]:
                logits = model(input_ids=torch.tensor([read])).logits[0, -1]
                logs.append(float(logits.log_softmax(-1)[token]))
                read.append(token)
    assert loss == pytest.approx(-sum(logs) / len(logs), rel=1e-5)
    assert MergeExaminer(None, 4).loss("zoo:law", "law") == loss, "remembered to the last bit"


@pytest.mark.long
def test_another_set_is_merged_and_named(
    cache: Path, tmp_path: Path, one_torch_thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("base", *DOMAINS):
        shutil.copytree(zoo_root() / name, tmp_path / "set" / name)
    record = {"size": "small", "regime": "plain", "seed": 3}
    (tmp_path / "set/math/training.json").write_text(json.dumps(record), "utf-8")
    monkeypatch.setattr(choosing, "BUDGET", Budget(1, 1))
    models, targets = trained_set(tmp_path / "set"), set[str]()
    hits = MergeExaminer.hits

    def noted(self: MergeExaminer, target: Any, *exam_of: str) -> Any:
        targets.update([target] if isinstance(target, str) else [target.base])
        return hits(self, target, *exam_of)

    monkeypatch.setattr(MergeExaminer, "hits", noted)
    values = measure_board(["linear", "fisher"], models, test_items=1, search_items=1)
    assert {measured["method"] for measured in values["rows"]} == {"linear", "fisher", "dppa"}
    assert targets == {str(tmp_path / "set" / name) for name in ("base", *DOMAINS)}
    assert values["variants"] == [] and values["models"] == "the set small, plain, seed 3"


def test_a_set_without_a_model_is_one_line(dppa: Command, tmp_path: Path) -> None:
    shutil.copytree(zoo_root() / "law", tmp_path / "set" / "law")
    (tmp_path / "set" / "base").mkdir()
    assert dppa("leaderboard", "--set", str(tmp_path / "set")) == 1 and dppa.out == ""
    assert "no model math. `dppa zoo train` makes it." in dppa.err


def test_a_method_nobody_knows_is_one_line(dppa: Command) -> None:
    assert dppa("leaderboard", "--methods", "tiess") == 1 and dppa.out == ""
    assert dppa.err.strip() == "dppa: No merge method 'tiess'. Did you mean 'ties'?"
