"""The leaderboard: its questions, cached answers, and page."""

import json
import re
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
from dppa_lab.reports.board_tables import CHANCE, board_tables, boards, corrected
from dppa_lab.zoo.results import choosing, merge_examiner
from dppa_lab.zoo.results.choosing import ChosenValues
from dppa_lab.zoo.results.entry import MEANS, VARIANTS, MethodVariant, entry
from dppa_lab.zoo.results.leaderboard import (
    Leaderboard,
    LeaderboardRow,
    as_json,
    measure,
)
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


def test_the_setting_of_least_loss_is_kept_where_it_is_another() -> None:
    one, two = row("dppa", 80, 40, 60), row("ties", 50, 40, 40)
    other = replace(two.chosen, by_loss={"scale": 1.5})
    less = {domain: (True,) * 24 + (False,) * 76 for domain in DOMAINS}
    shown = board(one, replace(two, chosen=other, hits_by_loss=less))
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
    assert {one.entry.recipes()["law"].base for one in found.rows} == {str(tmp_path / "set/base")}
    assert found.variants == () and as_json(found)["models"] == "the set small, plain, seed 3"


def test_a_set_without_a_model_is_one_line(dppa: Command, tmp_path: Path) -> None:
    shutil.copytree(zoo_root() / "law", tmp_path / "set" / "law")
    (tmp_path / "set" / "base").mkdir()
    assert dppa("leaderboard", "--set", str(tmp_path / "set")) == 1 and dppa.out == ""
    assert "no model math. `dppa zoo train` makes it." in dppa.err


# tables

WORSE, ALIKE = row("ties", 40, 40, 40), row("dare", 61, 60, 60)
BEST, OURS = row("emr", 80, 80, 80, moved=1.4), row("dppa", 60, 60, 60)


def test_the_tables_have_every_method_its_settings_and_what_was_refused() -> None:
    text = board_tables(as_json(board(BEST, ALIKE, OURS, WORSE, refused={"slerp": "takes two."})))
    assert "| DPPA | 60.0 (50.2–69.1) |" in text and "| 75.0 (68.0–82.0) | 66.9 | – |" in text
    assert "**+25.0 (" in text, "a difference beyond chance stands out"
    assert "| DARE ~ | 61.0" in text, "it draws at random"
    assert "| EMR-Merging | coefficient 1.4 | 9, 3 | 0.50 | 0.25 | 75 % |" in text
    assert text.endswith("SLERP: takes two.")


def test_two_boards_stand_side_by_side() -> None:
    one, two = as_json(board(BEST, OURS, WORSE)), as_json(board(OURS, BEST, WORSE))
    lines = boards(one, two).splitlines()
    assert lines[2].startswith("| EMR-Merging | 1 | 100.0 (") and "| 2 | 100.0 (" in lines[2]


def test_retention_is_corrected_for_the_questions_that_guessing_answers() -> None:
    """By hand: chance is 0, a sixth and a third; models answer 0.8; below chance is nothing."""
    (value,) = as_json(board(row("dppa", 40, 40, 20)))["rows"]
    own = dict.fromkeys(DOMAINS, 0.8)
    finance = (0.4 - 1 / 6) / (0.8 - 1 / 6)
    assert corrected(value, own) == pytest.approx((0.5 + finance + 0) / 3)


def test_three_kinds_of_question_have_two_answers_and_half_of_them_is_chance() -> None:
    for domain in DOMAINS:
        answers: dict[str, set[str]] = {}
        for one in items(domain, "test"):
            answers.setdefault(one.task, set()).add(last_word(one.answer))
        two = [task for task, known in answers.items() if len(known) == 2]
        assert len(two) / len(answers) / 2 == pytest.approx(CHANCE[domain])


def last_word(answer: str) -> str:
    """What tells two answers of a kind apart: rose or fell, fair or unfair, (A) or (B)."""
    chosen = re.match(r"Holding (\(.\))", answer)
    return chosen[1] if chosen else answer.rstrip(".").split()[-1]


def test_a_variant_stands_beside_its_method() -> None:
    variant = next(one for one in VARIANTS if one.entry.method.name == "dare")
    again = row("dare", 70, 70, 70, other_tensors="keep")
    found = as_json(replace(board(OURS, row("dare", 40, 40, 40)), variants=((variant, again),)))
    (told,) = found["variants"]
    assert told["parameters"] == {"other_tensors": "keep"} and "against_dppa" not in told
    assert told["against_itself"]["significant"] is True
    assert told["against_itself"]["mean"] == pytest.approx(0.375)
    assert "| DARE ~, embeddings and norms whole | 87.5 (" in board_tables(found)


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
    shipped = json.loads((Path(__file__).parents[1] / "data" / "leaderboard.json").read_text())
    now = as_json(board(OURS))["rows"][0]
    assert all(row.keys() <= now.keys() for row in shipped["rows"])


def test_a_method_nobody_knows_is_one_line(dppa: Command) -> None:
    assert dppa("leaderboard", "--methods", "tiess") == 1 and dppa.out == ""
    assert dppa.err.strip() == "dppa: No merge method 'tiess'. Did you mean 'ties'?"
