"""The study over seeds: comparisons by hand, and its command."""

import json
from pathlib import Path
from typing import Any

import pytest

from dppa_core.tasks import DOMAINS
from dppa_core.tasks.intervals import holm, p_of_t, student
from dppa_lab.reports.study_tables import nested_table, study_table, study_tables
from dppa_lab.zoo.study.merges import METHODS, RATES, merges
from dppa_lab.zoo.study.nested_figures import nested_figures
from dppa_lab.zoo.study.seed_comparison import (
    PRIMARY,
    SECONDARY,
    divisors,
    embeddings_whole,
    gap_over_items,
    retention,
)
from dppa_lab.zoo.study.study_figures import study_figures
from dppa_lab.zoo.study.study_sets import (
    by_accuracy,
    claim_rates,
    compare,
    confirmation,
    without_new,
)
from tests.helpers.command import Command

OWN_HITS = dict.fromkeys(DOMAINS, "1" * 8 + "00")


def measured(seed: int, regime: str = "plain", size: str = "small", **right: int) -> dict[str, Any]:
    """A set whose merges answer so many of ten items in every domain; 4 where nothing is said. A
    merge is named with or without its rate and budget."""
    rows = []
    for merge in merges():
        bits = ("1" * right.get(merge.key, right.get(merge.name, 4))).ljust(10, "0")
        row = {"key": merge.key, "name": merge.name, "rate": merge.rate, "budget": merge.budget}
        row["values"] = {"coefficient": 0.75}
        rows.append({**row, "hits": dict.fromkeys(DOMAINS, bits)})
    about = {"size": size, "regime": regime, "seed": seed}
    return {"set": about, "search_items": 7, "own": OWN_HITS, "merges": rows}


def answering_little(sets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**study, "own": {**OWN_HITS, "math": "1" * 4 + "0" * 6}} for study in sets]


def test_nested_figures_tell_what_a_better_beginning_brings() -> None:
    rows = {"dpa": 6, "dppa": 5, "dpa_twice": 6, "dppa_begun": 7}
    about = {"size": "small", "regime": "settled"}
    sets = [
        {
            "set": {**about, "seed": seed},
            "own": OWN_HITS,
            "merges": [
                {
                    "key": f"{name}-95-all",
                    "hits": dict.fromkeys(DOMAINS, "1" * right + "0" * (10 - right)),
                }
                for name, right in rows.items()
            ],
        }
        for seed in (11, 12, 13)
    ]
    few = nested_figures(sets[:2])
    assert "dppa_begun-dppa" not in few, "two seeds support no claim"
    figures = nested_figures(sets)
    assert figures["seeds"] == [11, 12, 13]
    assert figures["kept"]["dppa_begun"] > figures["kept"]["dppa"]
    assert figures["dppa_begun-dppa"]["value"] == pytest.approx(0.25)
    table = nested_table(figures)
    assert "DPPA begun at DPA's best, 24 and 24 settings minus DPPA (joint)" in table
    assert "minus" not in nested_table(few)


@pytest.mark.parametrize(
    ("t", "freedom", "p"), [(2.776, 4, 0.05), (4.604, 4, 0.01), (2.571, 5, 0.05)]
)
def test_p_values_are_those_of_the_tables(t: float, freedom: float, p: float) -> None:
    assert p_of_t(t, freedom) == pytest.approx(p, rel=2e-3)
    assert p_of_t(-t, freedom) == p_of_t(t, freedom)
    assert p_of_t(student(4), 4) == pytest.approx(0.05, abs=1e-6)


def test_holm_is_the_example_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.5, 0.9]) == (1.0, 1.0)


def test_retention_divides_by_the_own_accuracy() -> None:
    hits = dict.fromkeys(DOMAINS, "1111000000")
    assert retention(hits, OWN_HITS) == pytest.approx(0.5)
    assert retention(hits, {**OWN_HITS, "law": "1" * 4 + "0" * 6}) == pytest.approx(
        (0.5 + 0.5 + 1) / 3
    )
    nothing = {**OWN_HITS, "law": "0" * 10}
    assert divisors(nothing)["law"] == 1.0
    assert retention(dict.fromkeys(DOMAINS, "0" * 10), nothing) == 0.0


def test_a_difference_over_seeds_is_students() -> None:
    sets = [measured(seed, dppa=right, magnitude=4) for seed, right in ((1, 5), (2, 6), (3, 7))]
    first = compare(sets, 0.9)[0]
    assert (first.merge, first.rival) == PRIMARY[0][:2]
    assert first.by_seed == pytest.approx((0.125, 0.25, 0.375))
    half = student(2) * 0.125 / 3**0.5
    assert first.over_seeds.ends == pytest.approx((0.25 - half, 0.25 + half))
    assert first.hierarchical.low < 0.25 < first.hierarchical.high
    assert first.verdict == "open", "three seeds so far apart tell nothing"


def test_searches_that_end_at_an_end_of_the_factors_are_counted() -> None:
    study = measured(1)
    for row in study["merges"]:
        if row["name"] == "dppa":
            row["values"] = {"factor1": 1.0, "factor2": 16.0 if row["rate"] == 0.9 else 4.0}
    ends = study_figures([study])["searches"]
    assert (ends["of factors"], ends["of factors, at an end"]) == (4, 2)


def test_sets_of_two_sizes_are_compared_together_where_merges_are_worth_something() -> None:
    def kinds(right: int) -> dict[str, Any]:
        answers = dict.fromkeys(METHODS, right)
        sets = [
            measured(s, size=size, **answers) for s in (1, 2, 3) for size in ("small", "medium")
        ]
        figures: dict[str, Any] = study_figures(sets)["kinds"]
        return figures

    assert kinds(8)["all sizes, plain"]["sets"] == 6
    assert "all sizes, plain" not in kinds(1), "all keep an eighth, one model a third"


def test_what_every_seed_shows_alike_is_a_finding() -> None:
    sets = [measured(s, dppa=8, magnitude=1, dp=8) for s in (1, 2, 3, 4, 5)]
    gaps = {(gap.merge, gap.rival): gap for gap in compare(sets, 0.95)}
    assert gaps["dppa", "magnitude"].verdict == "more"
    assert gaps["dppa", "dp"].verdict == "alike"
    assert {gap.verdict for gap in compare(sets, 0.95, SECONDARY)} == {"more"}, "dpa answers 4"
    assert all(gap.corrected >= gap.p for gap in gaps.values())
    assert claim_rates(sets) == RATES
    assert [len(compare(sets, rate)) for rate in RATES] == [4, 5, 5], "no control at 80 %"
    without_shuffled = [{**study, "merges": study["merges"][:-1]} for study in sets]
    assert claim_rates(without_shuffled) == RATES, "shuffled deltas are in no comparison"
    lacking = [row for row in sets[4]["merges"] if row["key"] != "reversed-90-all"]
    assert claim_rates([*sets[:4], {**sets[4], "merges": lacking}]) == (0.8, 0.95)
    assert compare(by_accuracy(answering_little(sets)), 0.95)[0].over_seeds.value == (
        pytest.approx(0.7)
    )


def test_the_tables_compare_over_three_seeds_and_show_fewer_one_by_one() -> None:
    sets = [measured(s, dppa=8, magnitude=1, dp=8) for s in (1, 2, 3)]
    text = study_tables(sets)
    assert "at 90 % of all entries" in text and "at 95 % of all entries" in text
    assert "| DPPA (joint) minus magnitude pruning |" in text and "keeps more" in text
    assert "By accuracy" not in text and "By accuracy:" in study_tables(answering_little(sets))
    few = study_tables(sets[:2])
    assert "keeps more" not in few
    assert "| magnitude pruning | 90 % | 12.5 % | 10.0, 10.0, 10.0 | -87.5 (" in few


def test_the_table_of_the_study_is_made_of_its_figures() -> None:
    sets = [measured(seed, dppa=8, magnitude=1, task_arithmetic=8) for seed in (1, 2, 3, 4)]
    lines = study_table(study_figures(sets)).splitlines()
    assert lines[3] == (
        "| small, plain | 4 | 90 % | 100.0 | 100.0 | **+87.5 (+77.1 to +97.9)** | +0.0 (+0.0 to "
        "+0.0), within 2 points |"
    )
    alone = study_table(study_figures([*sets, {**sets[0], "set": {**sets[0]["set"], "size": "x"}}]))
    assert "| x, plain | 1 | 90 % | 100.0 | 100.0 | +87.5 (" in alone and "one seed" in alone


def test_two_merges_of_one_set_differ_by_an_interval_over_its_questions() -> None:
    hits = {row["name"]: row["hits"] for row in measured(1, dppa=8, magnitude=1)["merges"]}
    gap = gap_over_items(hits["magnitude"], hits["dppa"], OWN_HITS)
    # By hand: 7 of 10 apart in each domain, divided by 0.8: sd = sqrt(0.7 * 0.3 / 10 / 3) / 0.8.
    assert gap.value == pytest.approx(-0.875)
    assert gap.ends == pytest.approx((-0.875 - 1.96 * 0.1046, -0.875 + 1.96 * 0.1046), abs=0.03)


def test_a_merge_is_compared_with_dppa_of_its_own_budget() -> None:
    study = measured(1, **{"dppa-90-modules": 8})
    lines = [line for line in study_tables([study]).splitlines() if "magnitude" in line]
    gaps = {line.split(" | ")[1]: line.split(" | ")[4].split(" ")[0] for line in lines}
    assert gaps["90 %"] == "+0.0" and gaps["90 %, embeddings whole"] == "-50.0"


def test_merges_with_whole_embeddings_are_compared_over_three_seeds() -> None:
    sets = [measured(seed, **{"dppa-90-modules": 6}) for seed in (1, 2, 3)]
    gap = embeddings_whole(sets, 0.9)
    assert gap and gap.over_seeds.value == pytest.approx(0.25), "6 and 4 of 8 of its own"
    assert compare(sets, 0.9)[0].over_seeds.value == 0, "all entries"
    assert embeddings_whole(sets[:2], 0.9) is None


BEFORE = [measured(seed, "settled", dppa=4) for seed in (3, 4, 5)]
AFTER = [measured(s, "settled", dppa=6 + s % 2, dpa=6 + s % 2) for s in (6, 7, 8, 9)]
AFTER.append(measured(6, "settled", "medium", dppa=6, dpa=6))


def test_sets_of_the_confirmation_are_compared_for_themselves_alone() -> None:
    plain = measured(6)
    assert without_new([*BEFORE, *AFTER, plain]) == ([*BEFORE, plain], AFTER)
    assert without_new([measured(11, "settled")])[1] == [], "not planned"
    pairs = [("dppa", "magnitude"), ("dpa", "magnitude")]
    by_rate = confirmation(AFTER)
    assert [[(gap.merge, gap.rival) for gap in gaps] for gaps in by_rate.values()] == [pairs] * 2
    # By hand: three differences of 2 / 8 and two of 3 / 8; four equal p-values.
    gaps = [gap for of_rate in by_rate.values() for gap in of_rate]
    assert gaps[0].over_seeds.value == pytest.approx((3 * 0.25 + 2 * 0.375) / 5)
    assert all(gap.corrected == pytest.approx(min(1, 4 * gap.p)) for gap in gaps)
    assert {gap.verdict for gap in gaps} == {"more"}


def test_the_confirmation_changes_no_figure_of_the_study() -> None:
    figures, alone = study_figures([*BEFORE, *AFTER]), study_figures(BEFORE)
    assert figures["kinds"] == alone["kinds"] and not alone["confirmation"]
    at = figures["confirmation"]["90"]
    assert at["task_arithmetic-dppa"]["value"] == pytest.approx(-0.3)
    assert at["dppa-magnitude"]["value"] == pytest.approx(0.3)
    assert not study_figures(AFTER[:2])["confirmation"], "two sets support no claim"
    section = study_tables([*BEFORE, *AFTER]).partition("\n## ")[0]
    assert section.startswith("## Confirmation\n\n") and "corrected, all 4" in section
    assert "By accuracy" not in section
    assert "By accuracy:" in study_tables(answering_little(AFTER))


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (("--rates", "0.7"), "--rates '0.7': the study has 0.8, 0.9, 0.95"),
        (("--methods", "tie"), "Did you mean 'ties'?"),
    ],
)
def test_what_the_study_does_not_have_is_refused_before_anything_is_asked(
    dppa: Command, tiny_zoo: Path, option: tuple[str, str], says: str
) -> None:
    assert dppa("zoo", "study", tiny_zoo, *option) != 0
    assert says in dppa.err


def test_a_measured_set_is_read_from_its_file_and_listed_once(
    dppa: Command, tmp_path: Path
) -> None:
    file = tmp_path / "one.json"
    file.write_text(json.dumps(measured(4, dppa=8)))
    assert dppa("zoo", "study", tmp_path / "one", file, "--out", tmp_path, "--json") == 0
    assert [study["set"]["seed"] for study in dppa.json["sets"]] == [4]
