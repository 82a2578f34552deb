"""The line over the plots: its figures are those of the results, and unknown merges are told."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.session.from_recipe import session_from_recipe
from components.session.method_choice import MethodChoice
from components.session.presets import first_session, presets
from components.session.state import session_from_state
from components.views.see.verdict import (
    WHEN_TO_PRUNE,
    asked_questions,
    before_scoring,
    measured,
    of_other_trainings,
    shown_merges,
    verdict_of,
    which_for_what,
)
from dppa_core.methods.registry import get_method
from dppa_core.recipes.yaml_text import parse_recipe, recipe_hash
from dppa_core.tasks import items

DATA = Path(__file__).resolve().parents[3] / "lab" / "data"
SESSION = first_session()
RESULTS = json.loads((DATA / "results.json").read_text("utf-8"))


def merge(method: str, rate: float, domain: str = "") -> dict[str, Any]:
    """A merge of the results, before and after its search."""
    row = next(r for r in RESULTS["merges"] if (r["method"], r["rate"]) == (method, rate))
    scores: dict[str, Any] = row["alone"][domain] if domain else row["merged"]
    return scores


def percent(share: float) -> str:
    return f"{100 * share:.0f}\u202f%"


def kept(method: str, rate: float, domain: str = "", when: str = "best") -> str:
    """Mean retention in the results, counted here once more."""
    scores = merge(method, rate, domain)[when]["domains"]
    accuracies = {d: RESULTS["models"][d][d]["accuracy"] for d in scores}
    shares = [score["accuracy"] / accuracies[d] for d, score in scores.items()]
    return percent(sum(shares) / len(shares))


def others(rate: float) -> str:
    return (
        f"With searched settings instead: task arithmetic {kept('task_arithmetic', 0.0)}, "
        f"DPPA {kept('dppa', rate)}, magnitude {kept('magnitude', rate)}."
    )


def question_count() -> int:
    return sum(score["n"] for score in RESULTS["models"]["base"].values())


def test_beside_a_score_the_measured_share_and_its_questions_are_named():
    share = kept("dp", 0.8, when="plain")
    known = before_scoring(SESSION.recipe())
    assert known and known["questions"] == question_count()
    assert known["text"] == f"Measured on {question_count():,} questions: keeps {share}."
    assert percent(known["kept"]) == share
    assert before_scoring(replace(SESSION, rate=0.83).recipe()) is None


@pytest.mark.parametrize(
    ("title", "rate"),
    [("Embedded: math + finance + law", 0.8), ("Too much: all three, 95 % pruned", 0.95)],
)
def test_a_preset_says_what_it_was_measured_to_keep_beside_searched_merges(title, rate):
    verdict = verdict_of(presets()[title].recipe())
    assert verdict == (
        f"This merge keeps {kept('dp', rate, when='plain')} of its models' own accuracy, on "
        f"{question_count():,} questions. {others(rate)}"
    )


def test_one_model_is_compared_with_its_own_merges():
    verdict = verdict_of(presets()["Math alone, pruned"].recipe())
    asked_math = RESULTS["models"]["math"]["math"]["n"]
    assert verdict == (
        f"This merge keeps {kept('dppa', 0.8, 'math', 'plain')} of its model's own accuracy, on "
        f"{asked_math} questions. With searched settings instead: "
        f"DPPA {kept('dppa', 0.8, 'math')}, magnitude {kept('magnitude', 0.8, 'math')} "
        f"(as pruned {kept('magnitude', 0.8, 'math', 'plain')})."
    )


@pytest.mark.parametrize(
    "session",
    [
        replace(SESSION, rate=0.83),
        replace(SESSION, strength=0.0),
        replace(SESSION, factors=(1.2, 1.0)),
        replace(SESSION, method=MethodChoice("ties")),
        replace(SESSION, overrides=(("layers.0.mlp.down_proj", 0.5),)),
    ],
)
def test_changed_settings_are_not_scored_yet(session):
    verdict = verdict_of(session.recipe())
    assert verdict.startswith("Not scored yet. Of the same models, with searched settings")
    at = "" if session.pruning and session.rate == 0.8 else f" (at {80}\u202f%)"
    assert f"DPPA{at} {kept('dppa', 0.8)}, magnitude{at} {kept('magnitude', 0.8)}." in verdict


@pytest.mark.parametrize("method", ["dppa", "magnitude"])
def test_a_searched_merge_stands_beside_the_others_and_not_beside_itself(method):
    recipe = parse_recipe(merge(method, 0.8)["best"]["recipe"])
    verdict = verdict_of(session_from_recipe(recipe, 0).recipe())
    assert verdict.startswith(f"This merge keeps {kept(method, 0.8)} of its models' own")
    names = {"dppa": "DPPA", "magnitude": "magnitude"}
    assert names.pop(method) not in verdict
    (name,) = names.values()
    assert verdict.endswith(f"{name} {kept(dict(map(reversed, names.items()))[name], 0.8)}.")


def test_models_trained_apart_have_the_figures_of_the_study():
    """Whole 17.8 % of their accuracy; pruned by 80 % of all entries, the nearest rate measured."""
    verdict = verdict_of(presets()["Trained apart: math + finance + law"].recipe())
    assert verdict == (
        "Not scored yet. Of the same models, with searched settings: task arithmetic "
        "18\u202f%, DPPA (at 80\u202f%) 13\u202f%, magnitude (at 80\u202f%) 16\u202f%."
    )


def test_four_clicks_at_each_rate_set_merges_of_the_results():
    """Their figures are those of the results, and each is a merge that the line knows. The first
    rate is that of the first preset."""
    merges = shown_merges()
    rates = list(dict.fromkeys(merge["rate"] for merge in merges))
    assert rates[0] == SESSION.rate and rates == sorted(rates)
    for rate in rates:
        four = [merge for merge in merges if merge["rate"] == rate]
        assert {session_from_state(merge["state"]).rate for merge in four[1:]} == {rate}
        assert [(merge["name"], percent(merge["kept"])) for merge in four] == [
            ("whole", kept("task_arithmetic", 0.0)),
            ("magnitude", kept("magnitude", rate, when="plain")),
            ("one factor", kept("magnitude", rate)),
            ("DPPA searched", kept("dppa", rate)),
        ]
        assert "strength" in four[-1]["how"] and "search" not in four[1]["how"]
    for merge in merges:
        verdict = verdict_of(session_from_state(merge["state"]).recipe())
        assert verdict.startswith(f"This merge keeps {percent(merge['kept'])} of its models' own")


def test_the_spread_of_a_retention_is_that_of_its_questions():
    """Whole: 0.8831 of 400, 0.9217 of 600 and 0.9683 of 600, by the models' own accuracies."""
    known = before_scoring(session_from_state(shown_merges()[0]["state"]).recipe())
    scores = merge("task_arithmetic", 0.0)["best"]["domains"]
    own = {domain: RESULTS["models"][domain][domain]["accuracy"] for domain in scores}
    variance = sum(
        one["accuracy"] * (1 - one["accuracy"]) / one["n"] / own[domain] ** 2
        for domain, one in scores.items()
    )
    assert known and known["spread"] == pytest.approx(1.96 * variance**0.5 / 3, abs=1e-4)


def test_a_tab_asks_search_questions_that_the_own_models_know():
    asked = asked_questions()
    tested = {item.prompt for domain in asked["own"] for item in items(domain, "test")}
    assert not tested & {item["prompt"] for item in asked["items"]}
    for domain, right in asked["own"].items():
        count = sum(item["domain"] == domain for item in asked["items"])
        assert 0.75 * count < right <= count == 20


def test_beside_the_four_stands_what_other_trainings_keep():
    assert of_other_trainings() == (
        "Toys trained to be merged. Trained apart: task arithmetic 18\u202f%, DPPA "
        "13\u202f%, magnitude 16\u202f%."
    )


def test_the_amplified_preset_is_the_merge_that_the_search_found():
    recipe = presets()["95 % pruned, then amplified"].recipe()
    assert recipe_hash(recipe) == merge("dppa", 0.95)["best"]["hash"]


def test_a_merge_is_found_by_its_whole_hash_so_that_none_is_told_the_score_of_another():
    pairs = [
        pair for r in RESULTS["merges"] for pair in (r["merged"], *r.get("alone", {}).values())
    ]
    for row in (pair[when] for pair in pairs for when in ("plain", "best")):
        assert row["hash"] == recipe_hash(parse_recipe(row["recipe"])) and len(row["hash"]) == 64
    assert all(len(row.recipe) == 64 for row in measured())


def test_of_own_models_nothing_is_claimed():
    models = tuple(replace(model, reference=f"/mine/{k}") for k, model in enumerate(SESSION.models))
    verdict = verdict_of(replace(SESSION, base="/mine/base", models=models).recipe())
    assert verdict.startswith("Not scored yet") and not re.search(r"\d", verdict)


def test_every_merge_of_the_results_is_known():
    toys = ("zoo:math", "zoo:finance", "zoo:law")
    rows = [row for row in measured() if set(row.models) <= set(toys)]
    assert len(rows) == 2 * sum(1 + len(row.get("alone", {})) for row in RESULTS["merges"])


def test_each_purpose_has_the_merge_that_the_leaderboard_names():
    rows = json.loads((DATA / "leaderboard.json").read_text("utf-8"))["rows"]
    kept = {row["method"]: f"({100 * row['retention']:.1f}\u202f%)" for row in rows}
    text = which_for_what()
    first = next(row["method"] for row in rows if row["method"] != "emr")
    best = f"{get_method(first).title} {kept[first]} or Task arithmetic {kept['task_arithmetic']}."
    assert f"For the best answers of one model: {best}" in text
    alike = f"DPPA {kept['dppa']} or Magnitude pruning {kept['magnitude']} or OWL {kept['owl']} or "
    alike += f"DAREx-q {kept['darex_q']}, no difference seen."
    assert f"For small packs, a fifth of each change: {alike}" in text
    smallest = [merge(name, 0.95)["best"]["kept"] for name in ("dppa", "magnitude")]
    start = "a twentieth of each matrix: DPPA ({:.1f}\u202f%), before Magnitude pruning ({:.1f}"
    assert start.format(*(100 * share for share in smallest)) in text
    assert text.endswith(f"EMR-Merging {kept['emr']}.") and "on 1,600 test questions" in text


def test_page_readme_and_lesson_say_alike_when_to_prune():
    root = DATA.parents[1]
    for file in (root / "README.md", root / "assets" / "lessons" / "08-comparison.md"):
        text = " ".join(file.read_text("utf-8").split())
        assert WHEN_TO_PRUNE.lower() in text.lower(), file
