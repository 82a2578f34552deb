"""The line over the plots: its figures are those of the results, and unknown merges are told."""

import json
import re
from dataclasses import replace

import pytest

from components.session.method_choice import MethodChoice
from components.session.presets import first_session, presets
from components.views.see.verdict import (
    LEADERBOARD,
    RESULTS,
    before_scoring,
    measured,
    verdict_of,
    which_for_what,
)

SESSION = first_session()
KNOWN = json.loads(RESULTS.read_text("utf-8"))


def kept(method: str, rate: float, domain: str = "") -> str:
    """Mean retention in the results, counted here once more."""
    row = next(r for r in KNOWN["treated"] if (r["method"], r["rate"]) == (method, rate))
    found = row["alone"][domain] if domain else row["merged"]
    return share(found)


def share(found: dict) -> str:
    own = {d: one["domains"][d]["accuracy"] for d, one in KNOWN["own"].items()}
    shares = [one["accuracy"] / own[d] for d, one in found["domains"].items()]
    return f"{100 * sum(shares) / len(shares):.0f}\u202f%"


def asked() -> int:
    return sum(one["n"] for one in KNOWN["base"]["domains"].values())


def test_beside_a_score_the_measured_share_and_its_questions_are_named():
    said = before_scoring(SESSION.recipe())
    assert said == f"Before, on {asked():,}: {kept('dp', 0.8)}."
    assert before_scoring(replace(SESSION, rate=0.83).recipe()) == ""


@pytest.mark.parametrize(
    ("title", "rate"),
    [("Embedded: math + finance + law", 0.8), ("Too much: all three, 95 % pruned", 0.95)],
)
def test_a_preset_says_what_it_was_measured_to_keep_beside_plain_merges(title, rate):
    said = verdict_of(presets()[title].recipe())
    assert said == (
        f"This merge keeps {kept('dp', rate)} of its models' own accuracy, on {asked():,} "
        f"questions. Unpruned task arithmetic (coefficient 0.85) "
        f"{share(KNOWN['task_arithmetic']['merged'])}, "
        f"magnitude pruning {kept('magnitude', rate)}."
    )


def test_one_model_is_compared_with_its_own_magnitude_pruning():
    said = verdict_of(presets()["Math alone, pruned"].recipe())
    asked_math = KNOWN["own"]["math"]["domains"]["math"]["n"]
    assert said.startswith(
        f"This merge keeps {kept('dp', 0.8, 'math')} of its model's own accuracy, on "
        f"{asked_math} questions."
    )
    assert said.endswith(f" Magnitude pruning {kept('magnitude', 0.8, 'math')}.")


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
    said = verdict_of(session.recipe())
    assert said.startswith("Not scored yet (see Score). Of the same models: ")
    assert "unpruned task arithmetic (coefficient 0.85) 98" in said
    rate = 0.8 if session.pruning else 0.5  # the nearest one to no pruning
    at = "" if session.pruning and session.rate == rate else f" (at {100 * rate:.0f}\u202f%)"
    assert f"unamplified DPPA{at} {kept('dp', rate)}, magnitude pruning{at} " in said


def test_magnitude_pruning_stands_beside_dppa_and_not_beside_itself():
    plain = replace(SESSION, method=MethodChoice("magnitude"))
    (row,) = [r for r in KNOWN["treated"] if (r["method"], r["rate"]) == ("magnitude", 0.8)]
    models = tuple(replace(one, coefficient=row["coefficient"]) for one in SESSION.models)
    said = verdict_of(replace(plain, models=models).recipe())
    assert said.startswith(f"This merge keeps {kept('magnitude', 0.8)} of its models' own")
    assert said.endswith(f"unamplified DPPA {kept('dp', 0.8)}.") and "magnitude" not in said


def test_of_own_models_nothing_is_claimed():
    models = tuple(replace(one, reference=f"/mine/{k}") for k, one in enumerate(SESSION.models))
    said = verdict_of(replace(SESSION, base="/mine/base", models=models).recipe())
    assert said.startswith("Not scored yet") and not re.search(r"\d", said)


def test_every_merge_of_the_results_is_known():
    assert len(measured()) == 1 + 4 * len(KNOWN["treated"])


def test_each_purpose_has_the_merge_that_the_leaderboard_names():
    rows = json.loads(LEADERBOARD.read_text("utf-8"))["rows"]
    kept = {row["method"]: f"({100 * row['retention']:.1f}\u202f%)" for row in rows}
    said = which_for_what()
    assert f"For the best answers of one model: Task arithmetic {kept['task_arithmetic']}." in said
    both = f"DPPA {kept['dppa']} or Magnitude pruning {kept['magnitude']}, no difference seen."
    assert f"For small packs, a fifth of each change: {both}" in said
    assert said.endswith(f"EMR-Merging {kept['emr']}.") and "on 1,600 test questions" in said
