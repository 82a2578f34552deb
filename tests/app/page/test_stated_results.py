"""What the page, the lessons and the first pages of the documentation state as a result is so.

Every sentence with a figure or a comparison (tests/helpers/visible_text.py) has one of these:
figures that lab/scripts/stated_figures.py writes from the data, a comparison below, an entry in
stated.yaml, or no figure but those that code fills in. A new sentence without one fails.
"""

import json
import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import yaml

import dppa_core as dppa
from components.session.presets import all_presets
from components.views.see.verdict import measured, verdict_of
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.checkpoints.sources.zoo import KNOWN
from dppa_core.tasks.intervals import wilson
from dppa_lab.zoo.study.compare import SECONDARY, compare, embeddings_whole
from dppa_lab.zoo.study.confirmation import confirmation
from lab.scripts.measured_results import ROOT, Results, text_of
from lab.scripts.stated_figures import rewritten
from lab.scripts.stated_sentences import STATED
from tests.helpers.gain_claims import finance_is_harder, parted, rising_and_fading, together
from tests.helpers.visible_text import END, RESULT, stated

DATA = Results()
SHORTEST = 15
"""Characters from which a part of a sentence is not met in another by chance."""
ENTERED: dict[str, Any] = yaml.safe_load(text_of("tests/app/page/stated.yaml"))


def ahead(method: str, of: str = "dppa") -> bool:
    """Keeps more; of DPPA, by more than chance explains."""
    if of != "dppa":
        return bool(DATA.board[method]["retention"] > DATA.board[of]["retention"])
    against = DATA.board[method]["against_dppa"]
    return bool(against["mean"] > 0 and against["significant"])


def behind(method: str) -> bool:
    """Keeps less than DPPA by more than chance explains."""
    against = DATA.board[method]["against_dppa"]
    return bool(against["mean"] < 0 and against["significant"])


def between() -> bool:
    """Task arithmetic before DPPA, DPPA before DARE, and magnitude pruning level with DPPA."""
    level = not ahead("magnitude") and not behind("magnitude")
    return ahead("task_arithmetic") and behind("dare") and level


RESULT_ROWS: list[dict[str, Any]] = json.loads(text_of("docs/results.json"))["merges"]


def searched(method: str, rate: float) -> dict[str, Any]:
    """The merge of all three in the results."""
    (row,) = (one for one in RESULT_ROWS if (one["method"], one["rate"]) == (method, rate))
    found: dict[str, Any] = row["merged"]
    return found


def chosen_at_95() -> bool:
    """The weaker band has the larger factor, and DP a small strength; 0.08 is the paper's."""
    chosen = searched("dppa", 0.95)["values"]
    return bool(chosen["factor2"] > 1.5 * chosen["factor1"] and chosen["strength"] < 0.02)


def outcome(rate: float, name: str = "embedded, settled") -> str:
    """DPPA's, merged: against task arithmetic, magnitude pruning."""
    rows = DATA.experiments["overview"]["tables"][0]["rows"]
    told = ([cell["value"] for cell in row["cells"]] for row in rows)
    (row,) = (one for one in told if one[:2] == [name, 100 * rate])
    return str(row[2])


def moving_apart() -> bool:
    """From rate to rate every method keeps less, and DPPA is further from magnitude pruning."""
    rates = (0.8, 0.9, 0.95)
    kept = {n: [searched(n, r)["best"]["kept"] for r in rates] for n in ("dppa", "magnitude")}
    gaps = [one - other for one, other in zip(kept["dppa"], kept["magnitude"], strict=True)]
    return gaps == sorted(gaps) and all(of == sorted(of, reverse=True) for of in kept.values())


@cache
def parameters() -> int:
    """Of an embedded model."""
    base = open_checkpoint("zoo:base")
    return sum(math.prod(base.shape(name)) for name in base.names())


def side(variant: str, reference: str, rate: float, report: str = "experiments") -> int:
    """Of a difference in experiment 4: where its interval lies; 0 if it holds 0."""
    runs = json.loads(text_of(f"lab/data/{report}.json"))["experiments"]
    (table,) = (run["tables"][0] for run in runs if run["key"] == "ablation")
    place = [column["title"] for column in table["columns"]].index(f"minus {reference}")
    rows = (row["cells"] for row in table["rows"])
    (cell,) = (row[place] for row in rows if [one["value"] for one in row[:2]] == [variant, rate])
    return int(cell["low"] > 0) - int(cell["high"] < 0)


PLAIN, ONE, TWO, BOTH = "plain magnitude", "magnitude, one factor", "DPA alone", "both (DPPA)"


def halves_at_95() -> bool:
    """In experiment 4 one factor, two and both halves keep more than none, DP less."""
    better = all(side(variant, PLAIN, 95.0) > 0 for variant in (ONE, TWO, BOTH))
    return better and side("DP alone", PLAIN, 95.0) < 0


def no_better_on_smollm2() -> bool:
    """Whether two factors show no difference from one in experiment 4 on SmolLM2."""
    rates = (80.0, 90.0, 95.0)
    return not any(side(TWO, "one factor", rate, "experiments-smollm2") for rate in rates)


def new_sets(rate: float) -> dict[str, str]:
    """Merge -> its verdict against magnitude, over the sets of the confirmation."""
    return {one.one: one.verdict for one in confirmation(DATA.new)[rate]}


def half_width(n: int) -> float:
    low, high = wilson(n // 2, n)
    return 100 * (high - low) / 2


COMPARISONS: dict[str, Callable[[], bool]] = {
    "From 95 % on, law's loss rises much faster than the parabola, and the right factor, smaller "
    "than the foretold one, takes most of that back.": parted,
    "From 95 % on, finance wants a larger factor than foretold, and wins back less than law "
    "does.": finance_is_harder,
    "Up to 80 % the curves agree, and there is little to win.": together,
    "So the gain grows with the rate, and fades when hardly anything is kept.": rising_and_fading,
    "Task arithmetic, which prunes nothing, may beat it.": lambda: ahead("task_arithmetic"),
    "Given whole embeddings, as DPPA has them, it keeps {}. (Of methods that draw, one draw was "
    "asked; another may be points away, which these intervals do not know.) Plain task "
    "arithmetic, which prunes nothing, keeps more than both.": lambda: (
        ahead("task_arithmetic") and ahead("task_arithmetic", of="dare")
    ),
    "Here task arithmetic beats it, and at 80 % no difference from plain magnitude was shown.": (
        between
    ),
    "At 80 % the difference is open:": between,
    "So do plain magnitude, which is simpler, and task arithmetic, which beats DPPA too.": between,
    "- **At 95 % factors help these models; uneven densities (DP) at the paper's strength, 0.08, "
    "do not.": halves_at_95,
    "- **Of small models trained inside merges, pruned by 90 %, DPPA, searched, keeps more than "
    "magnitude, and so do its two factors alone.": lambda: (
        outcome(0.95) == "loses, wins"
        and new_sets(0.9) == {"dppa": "more", "dpa": "more"}
        and new_sets(0.95) == {"dppa": "open", "dpa": "more"}
    ),
    "With 20 only differences above about 20 points of 100 are seen, with 400 above about 5.": (
        lambda: round(half_width(20)) == 20 and round(half_width(400)) == 5
    ),
    "The embedded models are toys of 4 M parameters that know few kinds of question.": (
        lambda: round(parameters() / 1e6) == 4
    ),
    "Toys of 4 M parameters, few kinds of question.": lambda: round(parameters() / 1e6) == 4,
    "The app comes with a base and three domain models (math, finance, law) of 4 million "
    "parameters each, and three [trained apart].": lambda: round(parameters() / 1e6) == 4,
    "The app comes with seven embedded models of 4 million parameters each.": (
        lambda: round(parameters() / 1e6) == 4 and len(KNOWN) == 7
    ),
    "`merged` is an ordinary Hugging Face folder of 8 MB.": (
        lambda: round(2 * parameters() / 1e6) == 8  # two bytes each
    ),
    "On the embedded models 20 % of the entries hold about 70 % of it.": (
        lambda: round(plan().energy, 1) == 0.7 and round(plan().density, 2) == 0.2
    ),
    "The largest 1 % hold a small part of the change.": lambda: plan((0.99,)).energy < 0.2,
}


@cache
def plan(levels: tuple[float, ...] = (0.9, 0.8)) -> Any:
    return dppa.plan(dppa.profile("zoo:base", "zoo:math"), levels=levels)


def written() -> set[str]:
    """Sentences whose figures lab/scripts/stated_figures.py writes."""
    found_in = set(DATA.table().splitlines())
    for one in STATED:
        said = " ".join(one.match(text_of(one.path)).group().split())
        parts = [part for part in END.split(said) if len(part) > SHORTEST]
        found_in |= {s for s in stated().get(one.path, ()) if any(part in s for part in parts)}
    return found_in


def entered() -> set[str]:
    """Sentences of stated.yaml, and the comparisons."""
    listed = (ENTERED[what] for what in ("no result", "setting", "held"))
    return {sentence for sentences in (*listed, COMPARISONS) for sentence in sentences}


def filled_in(path: str, sentence: str) -> bool:
    """Whether code fills in its figures, and a test calls that code."""
    return path in ENTERED["generated"] and "{}" in sentence and not re.search(r"\d", sentence)


def test_every_sentence_that_may_state_a_result_is_held_by_its_data() -> None:
    known = entered() | written()
    missing = [
        f"{path}: {one}"
        for path, sentences in stated().items()
        for one in sentences
        if one not in known and not filled_in(path, one)
    ]
    assert not missing, "enter these (see the first lines of this file):\n" + "\n".join(missing)


@pytest.mark.parametrize(
    "sentence",
    [
        "DPPA beats TIES by far.",
        "It keeps 93 % of the score.",
        "Of 17 methods it is the third.",
        "Fewer layers score worse here.",
        "Whole deltas keep more of law.",
        "This gives 3.2 points in finance.",
    ],
)
def test_a_new_sentence_with_a_result_is_noticed(sentence: str) -> None:
    assert RESULT.search(sentence) and sentence not in entered()


def test_the_merges_at_95_and_over_seeds_are_as_the_pages_say() -> None:
    sizes = (f"{size}, settled, 5 seeds" for size in ("small", "medium"))
    told = [outcome(rate, name) for name in sizes for rate in (0.9, 0.95)]
    assert chosen_at_95() and told == ["loses, undecided"] * 4, "at one size it is open"
    assert len(DATA.settled) == 10
    pairs = [("dppa", "magnitude"), ("dpa", "magnitude"), ("dp", "magnitude"), ("dppa", "dpa")]
    found = {rate: [verdict(*pair, rate) for pair in pairs] for rate in (0.9, 0.95)}
    assert found[0.9] == ["more", "more", "alike", "open"]
    assert found[0.95] == ["open", "more", "alike", "open"]


def test_differences_that_pages_call_open_hold_0_with_dppa_ahead() -> None:
    """Their signs are written in the pages, not with the figures."""
    whole = embeddings_whole(DATA.new, 0.9)
    assert whole and whole.interval.low < 0 < whole.interval.value
    table = DATA.experiments["overview"]["tables"][0]
    place = [one["title"] for one in table["columns"]].index("minus magnitude")
    rows = [row["cells"] for row in table["rows"]]
    (cell,) = (row[place] for row in rows if row[0]["value"] == "smollm2, lora, seed 0")
    assert cell["low"] < 0 < cell["value"]


def verdict(one: str, other: str, rate: float) -> str:
    """Of two merges, over the settled sets of all sizes."""
    pairs = [*compare(DATA.settled, rate), *compare(DATA.settled, rate, SECONDARY)]
    (found,) = (of.verdict for of in pairs if (of.one, of.other) == (one, other))
    return found


def test_nothing_is_entered_that_no_page_says() -> None:
    said = {one for sentences in stated().values() for one in sentences}
    assert not entered() - said
    assert not [path for path in ENTERED["generated"] if path not in stated()]


@pytest.mark.parametrize("path", sorted({one.path for one in STATED}))
def test_figures_of_a_page_are_those_that_were_measured(path: str) -> None:
    """`python lab/scripts/stated_figures.py` rewrites them."""
    assert text_of(path) == rewritten(path, DATA)


@pytest.mark.parametrize("sentence", COMPARISONS)
def test_a_comparison_holds(sentence: str) -> None:
    assert COMPARISONS[sentence]()


def test_words_around_the_figures_of_the_readme_hold() -> None:
    assert ahead("task_arithmetic"), "keeps ... less; start without pruning"
    assert between(), "no difference is seen: DPPA keeps ... more than magnitude"
    assert outcome(0.95) == "loses, wins", "ahead of magnitude"
    for rate in (90.0, 95.0):
        assert side("DP alone", PLAIN, rate) < 0, "less than magnitude"
        assert side(TWO, PLAIN, rate) > 0 and side(BOTH, PLAIN, rate) > 0, "factors help"
    assert side(BOTH, "DPA alone", 95.0) < 0, "DP does not"
    assert moving_apart(), "the methods move apart (lesson 8)"
    assert ahead("emr"), "or Nth of those that make one model"
    assert "slerp" not in DATA.board, "SLERP merges two models only"


def test_regmean_and_emr_keep_far_more_on_smollm2_as_its_guide_says() -> None:
    rows = json.loads(text_of("docs/smollm2/leaderboard.json"))["rows"]
    gaps = {row["method"]: row["against_dppa"] for row in rows}
    far = {name for name, gap in gaps.items() if gap["significant"] and gap["mean"] > 0.3}
    assert far == {"regmean", "emr"} and not gaps["magnitude"]["significant"] and len(rows) == 17
    assert no_better_on_smollm2(), "a second factor was not seen to help"


def test_options_of_dppa_change_it_by_chance_as_the_method_page_says() -> None:
    sides = [row["against_itself"] for (name, _), row in DATA.variants.items() if name == "dppa"]
    assert len(sides) == 2 and not any(side["significant"] for side in sides)


@pytest.mark.parametrize("sentence", ENTERED["held"])
def test_what_holds_a_sentence_is_there(sentence: str) -> None:
    for path, text in ENTERED["held"][sentence].items():
        assert " ".join(text.split()) in " ".join(text_of(path).split()), path


@pytest.mark.parametrize("path", ENTERED["generated"])
def test_a_file_with_sentences_to_fill_in_has_its_test(path: str) -> None:
    assert (ROOT / ENTERED["generated"][path]).is_file()


def test_the_line_over_the_plots_is_filled_in_from_the_results() -> None:
    """Of every preset that was measured: its figures are those of lab/data/results.json."""
    shares = {f"{100 * one.kept:.0f}" for one in measured()}
    told = [verdict_of(preset.recipe()) for preset in all_presets().values()]
    assert sum("This merge keeps " in one for one in told) >= 3
    for line in told:
        assert set(re.findall(r"(\d+)\u202f%(?!\))", line)) <= shares
