"""The leaderboard: its questions, cached answers, and page."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

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
from dppa_core.tuning.search.joint import Budget
from dppa_lab.zoo.results import choosing, merge_examiner
from dppa_lab.zoo.results.choosing import ChosenValues
from dppa_lab.zoo.results.entry import MEANS, VARIANTS, MethodVariant, entry
from dppa_lab.zoo.results.leaderboard import (
    Leaderboard,
    LeaderboardRow,
    as_json,
    measure,
)
from dppa_lab.zoo.results.leaderboard_text import findings, markdown
from dppa_lab.zoo.results.merge_examiner import Added, MergeExaminer, added
from dppa_lab.zoo.trained_set import trained_set
from tests.helpers.command import Command
from tests.helpers.tiny_models import random_llama, tuned_llama


def row(
    method: str, *rights: int, n: int = 100, moved: float = 1.0, **changes: object
) -> LeaderboardRow:
    """A row with given right answers of n per domain; fewer are a subset of more."""
    hits = {
        domain: tuple(place < right for place in range(n))
        for domain, right in zip(DOMAINS, rights, strict=True)
    }
    made = replace(entry(get_method(method)), changes=changes)
    values = {axis.name: moved * axis.start for axis in made.axes()}
    chosen = ChosenValues(values, 9, 3, values)
    return LeaderboardRow(made, chosen, hits, (Added(0.5, 0.25, 0.75),), hits)


def board(*rows: LeaderboardRow, refused: dict[str, str] | None = None) -> Leaderboard:
    return Leaderboard(rows, refused or {}, dict.fromkeys(DOMAINS, 0.8), None, 30)


def examiner(search_items: int, test_items: int | None = None) -> MergeExaminer:
    return MergeExaminer(test_items, search_items)


# numbers


def test_retention_is_the_mean_of_the_ratios() -> None:
    one = row("dppa", 80, 40, 60)
    assert board(one).retention(one) == pytest.approx((1 + 0.5 + 0.75) / 3)


def test_a_retention_has_the_interval_of_its_items() -> None:
    """Half of 100 items are right in each domain, own accuracy 0.8: by hand."""
    one = row("dppa", 50, 50, 50)
    square = 3 * (0.25 * 100 / 99) / 0.8**2 / 100 / 9
    half = 1.959964 * square**0.5
    found = board(one).kept(one)
    assert (found.value, found.low, found.high) == pytest.approx(
        (0.625, 0.625 - half, 0.625 + half)
    )


def test_equal_scores_can_be_checked_item_by_item() -> None:
    """A merge that answers the last items instead of the first has the same scores."""
    one = row("dppa", 2, 1, 3, n=4)
    turned = {domain: hits[::-1] for domain, hits in one.hits.items()}
    two = replace(row("regmean", 2, 1, 3, n=4), hits=turned)
    ours, theirs = as_json(board(one, two))["rows"]
    assert ours["retention"] == theirs["retention"] and ours["domains"] == theirs["domains"]
    assert ours["hits"] == {"math": "1100", "finance": "1000", "law": "1110"}
    assert theirs["hits"] == {"math": "0011", "finance": "0001", "law": "0111"}


def test_the_setting_of_least_loss_is_told_where_it_is_another() -> None:
    one, two = row("dppa", 80, 40, 60), row("ties", 50, 40, 40)
    other = replace(two.chosen, by_loss={"scale": 1.5})
    less = {domain: (True,) * 24 + (False,) * 76 for domain in DOMAINS}
    shown = board(one, replace(two, chosen=other, hits_by_loss=less))
    lines = [line for line in markdown(shown, "x").splitlines() if "9, 3" in line]
    assert "| 9, 3 | the same |" in lines[0] and "scale 1.5: 30.0 % (" in lines[1]
    assert as_json(shown)["rows"][1]["by_loss"]["retention"] == pytest.approx(0.3)


def test_a_difference_is_paired_item_by_item() -> None:
    """Ten of a hundred items more in one domain: by hand."""
    one, two = row("ties", 50, 40, 40), row("dppa", 40, 40, 40)
    found = board(one, two).against(one, two)
    assert found.value == pytest.approx(0.1 / 0.8 / 3)
    variance = (0.1 * 0.9 * 100 / 99) / 0.8**2  # of the differences, with n - 1
    half = 1.959963984540054 * (variance / 100) ** 0.5 / 3
    assert found.ends == pytest.approx((found.value - half, found.value + half))
    assert found.low > 0, "every item that differs is for the first: paired, that is plain"


def test_equal_answers_differ_by_nothing() -> None:
    one = row("ties", 50, 40, 40)
    assert board(one).against(one, one) == Interval(0, 0, 0)


def test_whether_a_difference_is_by_chance_is_corrected_for_the_number_of_rows() -> None:
    """Seven items more of a hundred, paired: p = 0.0063 alone, above 0.05 as the least of eight."""
    ours, more = row("dppa", 40, 40, 40), row("ties", 47, 40, 40)
    assert board(ours, more).sides() == {"ties": 1}
    others = [row(name, 40, 40, 40) for name in ("sce", "pcb", "emr", "owl", "della", "dare")]
    assert board(ours, more, *others).sides()["ties"] == 1
    assert board(ours, more, *others, row("linear", 40, 40, 40)).sides()["ties"] == 0


def test_what_a_merge_adds_is_measured_against_the_sum(tmp_path: Path) -> None:
    base = random_llama(0)
    base.save(tmp_path / "base")
    for seed, name in enumerate("ab", 1):
        tuned_llama(base, seed).save(tmp_path / name)
    models = tuple(DomainModel(str(tmp_path / name), coefficient=-0.5) for name in "ab")
    half = MergeRecipe(str(tmp_path / "base"), models, "task_arithmetic")
    found = added(half)
    assert (found.length, found.likeness) == pytest.approx((0.5, -1.0), abs=1e-4)
    assert found.changed > 0.9
    none = MergeRecipe(str(tmp_path / "base"), (DomainModel(str(tmp_path / "base")),), "linear")
    assert added(none) == Added(0.0, 0.0, 0.0)


# recipes


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_merges_all_three_at_a_fifth_or_at_its_defaults(method) -> None:  # type: ignore[no-untyped-def]
    if method.name == "slerp":
        return  # takes two
    one = entry(method)
    made = one.recipes()["law"]
    assert [model.model for model in made.models] == [f"zoo:{domain}" for domain in DOMAINS]
    levels = ((0.9, 0.8) if method.name == "dppa" else (0.8,)) if method.prunes else (0.0,)
    assert {model.levels for model in made.models} == {levels}
    assert {model.amplification for model in made.models} == {(1.0,) * len(levels)}
    assert {model.coefficient for model in made.models} == {1.0}
    names = [axis.name for axis in one.axes()]
    if method.name in MEANS:
        assert not names
        return
    assert one.recipes(tuple(axis.start for axis in one.axes()))["law"] == made
    numbers = ("scale" in names, "coefficient" in names)
    assert sum(numbers) == (method.name != "dare")  # DARE prunes all: its factor does the same
    factors = [f"factor{place}" for place in range(1, len(levels) + 1)] if method.prunes else []
    assert [name for name in names if name.startswith("factor")] == factors
    assert ("strength" in names) == (method.name in ("dppa", "owl"))


def test_emr_has_a_merge_for_every_domain_and_others_have_one() -> None:
    emr, ties = entry(get_method("emr")), entry(get_method("ties"))
    asked = [made.parameters["domain"] for made in emr.recipes().values()]
    assert asked == [f"zoo:{domain}" for domain in DOMAINS]
    assert len(set(ties.recipes().values())) == 1


def test_linear_is_the_one_mean_that_nothing_can_change() -> None:
    """Fisher and RegMean have a scale not in their papers; only variants use it."""
    assert {one.method.name for one in map(entry, METHODS) if not one.searched} == MEANS
    assert {v.entry.method.name for v in VARIANTS if v.entry.method.name in MEANS} == {
        "fisher",
        "regmean",
    }
    assert not entry(get_method("linear")).axes()


def test_statistics_of_other_models_are_measured_on_questions_of_their_domains() -> None:
    others = {name: f"folder/{name}" for name in ("base", *DOMAINS)}
    made = replace(entry(get_method("fisher")), references=others).recipes()["law"]
    assert [model.calibration for model in made.models] == [Calibration((d,)) for d in DOMAINS]
    plain = replace(entry(get_method("ties")), references=others).recipes()["law"]
    for one in (plain, entry(get_method("fisher")).recipes()["law"]):
        assert {model.calibration for model in one.models} == {None}


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.what)
def test_a_variant_is_another_merge_than_its_method(variant: MethodVariant) -> None:
    plain = entry(variant.entry.method)
    assert variant.entry.searched
    assert not plain.searched or variant.entry.recipes() != plain.recipes()


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
    first = measure(["slerp", "emr", "linear"], test_items=2, search_items=1)
    assert sorted(row.method for row in first.rows) == ["dppa", "emr", "linear"]
    assert {row.method: row.chosen for row in first.rows}["linear"] == ChosenValues({}, 0, 0, {})
    assert set(first.refused) == {"slerp"} and "one other" in first.refused["slerp"]
    assert all(len(hits) == 2 for row in first.rows for hits in row.hits.values())
    assert [len(row.added) for row in first.rows if row.method == "emr"] == [3]

    def never(*_: object, **__: object) -> None:
        raise AssertionError("asked again")

    for name in ("texts_of", "added"):
        monkeypatch.setattr(merge_examiner, name, never)
    monkeypatch.setattr(Examiner, "marks", never)
    assert measure(["slerp", "emr", "linear"], test_items=2, search_items=1) == first
    with pytest.raises(AssertionError, match="asked again"):
        examiner(1, 3).hits("zoo:math", "math", "test")


def test_the_loss_is_that_of_the_right_answers(
    cache: Path, zoo_env: Path, one_torch_thread: None
) -> None:
    """Against each answer by itself, token after token."""
    found = examiner(4).loss("zoo:law", "law")
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
    assert found == pytest.approx(-sum(logs) / len(logs), rel=1e-5)
    assert examiner(4).loss("zoo:law", "law") == found, "remembered to the last bit"


def test_another_set_is_merged_and_named(
    cache: Path, tmp_path: Path, one_torch_thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("base", *DOMAINS):
        shutil.copytree(zoo_root() / name, tmp_path / "set" / name)
    record = {"size": "small", "regime": "plain", "seed": 3}
    (tmp_path / "set/math/training.json").write_text(json.dumps(record), "utf-8")
    monkeypatch.setattr(choosing, "BUDGET", Budget(1, 1))
    given = trained_set(tmp_path / "set")
    found = measure(["linear", "fisher"], given, test_items=1, search_items=1)
    assert {row.method for row in found.rows} == {"linear", "fisher", "dppa"}
    models = {str(tmp_path / "set" / domain) for domain in DOMAINS}
    assert all({m.model for m in r.entry.recipes()["law"].models} == models for r in found.rows)
    page = markdown(found, "dppa leaderboard --set set")
    assert "merging the three domain models of the set small, plain, seed 3 into one" in page
    assert {one.entry.recipes()["law"].base for one in found.rows} == {str(tmp_path / "set/base")}
    assert found.variants == () and as_json(found)["models"] == "the set small, plain, seed 3"


def test_a_set_without_a_model_is_one_line(dppa: Command, tmp_path: Path) -> None:
    shutil.copytree(zoo_root() / "law", tmp_path / "set" / "law")
    (tmp_path / "set" / "base").mkdir()
    assert dppa("leaderboard", "--set", str(tmp_path / "set")) == 1 and dppa.out == ""
    assert "no model math. `dppa zoo train` makes it." in dppa.err


# what the page says

WORSE, ALIKE = row("ties", 40, 40, 40), row("dare", 61, 60, 60)
BEST, OURS = row("emr", 80, 80, 80, moved=1.4), row("dppa", 60, 60, 60)


def test_the_page_says_plainly_who_is_better() -> None:
    told = " ".join(findings(board(BEST, ALIKE, OURS, WORSE, refused={"slerp": "takes two."})))
    assert "DPPA stands at place 3 of 4." in told
    assert "EMR-Merging keeps more than DPPA here" in told
    assert "No significant difference from DPPA: DARE (one draw)." in told
    assert "Less than DPPA: TIES." in told
    assert "EMR-Merging is no single model" in told
    assert "SLERP (takes two.)" in told


def test_nothing_is_claimed_where_nothing_is_better() -> None:
    told = " ".join(findings(board(OURS, WORSE)))
    assert "DPPA stands at place 1 of 2." in told and "No method keeps more" in told


def test_the_short_part_has_every_domain_and_the_rest_what_was_chosen() -> None:
    page = markdown(board(BEST, ALIKE, OURS, WORSE), "make leaderboard")
    short, _, long = page.partition("\n## ")
    assert "| DPPA | 60.0 (50.2–69.1) |" in short and "| 75.0 % (68.0–82.0) | – |" in short
    assert "`make leaderboard`" in short
    assert "not significant" in next(line for line in short.splitlines() if "| DARE |" in line)
    assert "**+25.0 (" in short, "a difference beyond chance stands out"
    assert "| DPPA |" in long and "coefficient 1.4" in long


def test_methods_that_were_not_asked_are_named_or_counted() -> None:
    assert markdown(board(OURS, WORSE), "").startswith(f"2 of {len(METHODS)} methods, each")
    rows = [row(one.name, 60, 60, 60) for one in METHODS if one.name not in ("pcb", "slerp")]
    refused = {"slerp": "takes two."}
    page = markdown(board(*rows, refused=refused), "")
    assert page.startswith("All methods but PCB-Merging, each")


def test_a_variant_is_told_beside_its_method() -> None:
    variant = next(one for one in VARIANTS if one.entry.method.name == "dare")
    again = row("dare", 70, 70, 70, other_tensors="keep")
    found = replace(board(OURS, row("dare", 40, 40, 40)), variants=((variant, again),))
    long = markdown(found, "make leaderboard").partition("\n## Why")[2]
    assert "| DARE, embeddings and norms whole | 70.0" in long
    assert "it keeps 50.0 %; embeddings and norms whole, 87.5 %, which is beyond chance." in long
    assert "from 0.50 to 0.50 of the sum's length, and from a likeness of 0.25 to 0.25" in long
    (told,) = as_json(found)["variants"]
    assert told["parameters"] == {"other_tensors": "keep"} and "against_dppa" not in told
    assert told["against_itself"]["significant"] is True
    assert told["against_itself"]["mean"] == pytest.approx(0.375)
    assert "one third" not in long, "nothing is said of means that are not there"


def test_means_are_told_by_how_little_they_add() -> None:
    rows = (OURS, row("linear", 10, 10, 10), row("fisher", 20, 20, 20))
    variant = next(one for one in VARIANTS if one.entry.method.name == "fisher")
    found = replace(board(*rows), variants=((variant, row("fisher", 60, 60, 60)),))
    page = markdown(found, "make leaderboard")
    assert "Linear 0.50 and Fisher 0.50 of its length" in page
    assert "| Linear | a mean: nothing to choose | – | – | 0.50 | 0.25 | 75 % |" in page


def test_json_has_every_figure() -> None:
    value = json.loads(json.dumps(as_json(board(BEST, OURS))))
    assert value["rows"][0]["against_dppa"]["significant"] is True
    assert value["rows"][1]["domains"]["law"]["accuracy"] == 0.6
    assert value["own"]["math"] == 0.8
    assert value["rows"][0]["strength"] == 1.4 and value["rows"][0]["values"] == {
        "coefficient": 1.4
    }
    assert value["rows"][1]["factors"] == {domain: [1.0, 1.0] for domain in DOMAINS}
    assert value["rows"][1]["tried"] == {"losses": 9, "retentions": 3}


def test_the_committed_figures_are_read_by_the_page_as_they_are() -> None:
    """They are those of an earlier search until `make leaderboard` is run again."""
    shipped = json.loads((Path(__file__).parents[2] / "docs" / "leaderboard.json").read_text())
    now = as_json(board(OURS))["rows"][0]
    assert all(row.keys() <= now.keys() for row in shipped["rows"])


def test_a_method_nobody_knows_is_one_line(dppa: Command) -> None:
    assert dppa("leaderboard", "--methods", "tiess") == 1 and dppa.out == ""
    assert dppa.err.strip() == "dppa: No merge method 'tiess'. Did you mean 'ties'?"
