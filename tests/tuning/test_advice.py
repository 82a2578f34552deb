"""Advice from figures by hand, and thresholds compared with the measurements behind them."""

import json
from dataclasses import asdict, replace

import pytest

from dppa_core.tasks.intervals import Interval
from dppa_core.tuning.advice.advice import (
    ERROR_TEXT,
    Advice,
    ModelDeltaSize,
    Sign,
    SignFinding,
    advise,
)
from dppa_core.tuning.advice.facts import (
    DomainModelFacts,
    Neighbour,
    ProbeFacts,
    ProfileFacts,
    TreatedFacts,
)

TINY = ProfileFacts(0.01, 0.0004, 0.002, 0.1, (0.001, 0.002, 0.004))
HUGE = ProfileFacts(0.3, 0.005, 0.7, 0.01, (0.001, 0.002, 0.004))


def exactly(value: float) -> Interval:
    """A figure whose interval is narrow."""
    return Interval(value, value - 0.01, value + 0.01)


def probe(*kept: float, base: float = 0.0) -> ProbeFacts:
    return ProbeFacts("math", 64, base, 0.8, tuple(map(exactly, kept)))


def judged(
    profile: ProfileFacts, facts: ProbeFacts | None = None
) -> tuple[ModelDeltaSize, str, tuple[str, ...]]:
    (advice,) = advise([DomainModelFacts("m", profile, facts)]).models
    return advice.size, advice.by, advice.why


@pytest.mark.parametrize(
    ("profile", "size"),
    [(TINY, ModelDeltaSize.SMALL), (HUGE, ModelDeltaSize.UNCLEAR)],
)
def test_without_a_probe_the_profile_counts_and_it_is_said(
    profile: ProfileFacts, size: ModelDeltaSize
) -> None:
    judgement, by, why = judged(profile)
    assert (judgement, by) == (size, "profile")
    assert "no probe" in why[0]


def test_the_probe_counts_before_the_profile_and_a_quarrel_is_told() -> None:
    size, _, why = judged(TINY, probe(0.5, 0.6, 0.4))
    assert size is ModelDeltaSize.LARGE and "disagree: large by the probe, small" in why[-1]


def test_no_quarrel_is_told_where_there_is_none() -> None:
    size, _, why = judged(HUGE, probe(0.5, 0.6, 0.4))
    assert size is ModelDeltaSize.LARGE and not any("disagree" in line for line in why)


def test_magnitude_at_the_same_rate_is_told_beside_dare() -> None:
    facts = replace(probe(0.5), magnitude=exactly(0.7))
    assert any(
        line.startswith("magnitude at 90") and "70.0" in line for line in judged(HUGE, facts)[2]
    )


def test_draws_that_agree_decide_and_nine_tenths_are_enough() -> None:
    assert judged(HUGE, probe(0.9, 0.95, 0.91))[0] is ModelDeltaSize.SMALL
    assert judged(HUGE, probe(0.84, 0.89, 0.8))[0] is ModelDeltaSize.LARGE


@pytest.mark.parametrize("profile", [TINY, HUGE])
def test_draws_on_both_sides_make_a_size_unclear(profile: ProfileFacts) -> None:
    size, by, why = judged(profile, probe(0.84, 0.95, 0.9))
    assert (size, by) == (ModelDeltaSize.UNCLEAR, "probe")
    assert not any("disagree" in line for line in why)
    (advice,) = advise([DomainModelFacts("m", profile, probe(0.84, 0.95))]).models
    assert "add them whole" in advice.advice


def test_draws_on_both_sides_and_wide_intervals_are_told() -> None:
    assert any("both sides" in line for line in judged(HUGE, probe(0.8, 0.95))[2])
    wide = replace(probe(), draws=(Interval(0.85, 0.7, 1.0),))
    assert any("more items" in line for line in judged(HUGE, wide)[2])
    reasons = judged(HUGE, probe(0.5, 0.6))[2]
    assert not any("both sides" in line or "more items" in line for line in reasons)


@pytest.mark.parametrize("facts", [probe(1.0, 1.0, base=0.75), probe()])
def test_a_probe_that_cannot_tell_leaves_the_profile(facts: ProbeFacts) -> None:
    size, by, why = judged(HUGE, facts)
    assert (size, by) == (ModelDeltaSize.UNCLEAR, "profile")
    assert "the probe tells nothing" in why[0]


def test_even_modules_and_sparse_deltas_are_told() -> None:
    reasons = judged(replace(HUGE, zeros=0.9, significance=(0.002, 0.002, 0.002)))[2]
    assert any("prunes them all alike" in line for line in reasons)
    assert any("at 80 % drops nothing" in line for line in reasons)
    assert len(judged(HUGE)[2]) == 4


NEAR = (Neighbour((1.1, 1.0), 0.93, 0.5), Neighbour((0.9, 1.0), 0.9, 1.0))
GOOD = TreatedFacts(0.8, (1.0, 1.0), exactly(0.94), exactly(0.92), NEAR)


def signs(*treated: TreatedFacts) -> dict[tuple[str, str], Sign]:
    facts = [
        DomainModelFacts(f"m{number}", HUGE, probe(0.5), of_model)
        for number, of_model in enumerate(treated)
    ]
    return {(sign.name, sign.model): sign for sign in advise(facts).signs}


UNSTABLE, LOSSY = ("unstable factors", "m0"), ("loss beyond the expected", "m0")
APART = ("uneven domains", "")


def test_a_good_recipe_shows_no_sign() -> None:
    checks = signs(GOOD, GOOD)
    assert len(checks) == 5 and {sign.found for sign in checks.values()} == {SignFinding.NO}


def test_without_dppa_no_sign_is_looked_for() -> None:
    assert advise([DomainModelFacts("m", HUGE)]).signs == ()


@pytest.mark.parametrize(
    ("kept", "p", "finding"),
    [
        (0.83, 0.01, SignFinding.YES),
        (0.83, 0.2, SignFinding.NO),
        (0.85, 0.01, SignFinding.NO),
        (1.05, 0.01, "yes"),
    ],
)
def test_a_neighbour_must_change_much_and_be_seen_to(
    kept: float, p: float, finding: SignFinding
) -> None:
    near = (*NEAR, Neighbour((1.0, 1.1), kept, p))
    sign = signs(replace(GOOD, neighbours=near))[UNSTABLE]
    assert sign.found == finding and "1 / 1.1 changes the retention most" in sign.why


def test_a_far_factor_is_a_sign_and_unasked_neighbours_are_none() -> None:
    far = replace(GOOD, factors=(4.1, 1.0))
    assert signs(far)[UNSTABLE].found is SignFinding.YES
    assert signs(replace(far, bound=16.0))[UNSTABLE].found is SignFinding.NO
    unasked = replace(GOOD, factors=(4.0, 1.0), neighbours=None)
    assert signs(unasked)[UNSTABLE].found is SignFinding.UNKNOWN


@pytest.mark.parametrize(
    ("rate", "foretold", "kept", "finding"),
    [
        (0.8, 0.2, 0.88, SignFinding.YES),
        (0.8, None, 0.895, SignFinding.UNKNOWN),
        (0.8, None, 0.9, SignFinding.NO),
        (0.5, None, 0.88, SignFinding.YES),
        (0.9, 0.8, 0.46, SignFinding.NO),
        (0.9, 0.8, 0.455, SignFinding.UNKNOWN),
        (0.95, 0.6, 0.24, SignFinding.YES),
        (0.95, 0.3, 0.01, SignFinding.UNKNOWN),
        (0.99, None, 0.1, SignFinding.UNKNOWN),
    ],
)
def test_what_is_lost_is_compared_with_what_that_rate_costs(
    rate: float, foretold: float | None, kept: float, finding: SignFinding
) -> None:
    facts = replace(GOOD, rate=rate, alone=exactly(kept), foretold=foretold)
    assert signs(facts)[LOSSY].found is finding


def test_what_the_rule_foretells_is_told_with_its_error_or_why_it_foretells_nothing() -> None:
    reasons = judged(replace(HUGE, foretold=((0.8, 0.943), (0.9, 0.806))))[2]
    (line,) = [reason for reason in reasons if "foretells" in reason]
    assert "it keeps 94 % at 80 %, 81 % at 90 %" in line and ERROR_TEXT in line
    (line,) = [reason for reason in judged(HUGE)[2] if "foretells" in reason]
    assert "nothing: it was fitted to ‖d‖/‖W‖ from 0.073 to 0.78" in line


def test_domains_far_apart_are_uneven_unless_chance_explains_it() -> None:
    assert signs(GOOD, replace(GOOD, merged=exactly(0.71)))[APART].found is SignFinding.YES
    assert signs(GOOD, replace(GOOD, merged=exactly(0.73)))[APART].found is SignFinding.NO
    chance = Interval(0.7, 0.5, 0.95)
    assert signs(GOOD, replace(GOOD, merged=chance))[APART].found is SignFinding.NO
    assert signs(GOOD)[APART].found is SignFinding.UNKNOWN


def test_what_was_not_asked_is_not_checked() -> None:
    checks = signs(TreatedFacts(0.8, (1.0, 1.0)))
    assert {sign.found for sign in checks.values()} == {SignFinding.UNKNOWN}


def test_advice_travels_as_json() -> None:
    facts = [DomainModelFacts("m", HUGE, probe(0.5), GOOD)]
    value = json.loads(json.dumps(asdict(advise(facts))))
    assert value["models"][0]["size"] == "large" and value["signs"][0]["found"] == "no"
    assert isinstance(advise(facts), Advice)


def test_a_stack_of_layers_is_taken_as_it_is() -> None:
    facts = [DomainModelFacts(name, HUGE) for name in ("stack:zoo:math[0:4]", "zoo:math")]
    stack, model = advise(facts).models
    assert stack.advice.startswith("a stack of layers is taken as it is (passthrough)")
    assert stack.advice.endswith(f"of the same layers, {model.advice}")
