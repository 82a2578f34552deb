"""The leaderboard: who is asked what, what is remembered, and what the page says of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dppa_core.methods.registry import METHODS, get_method
from dppa_core.tasks import DOMAINS
from dppa_core.zoo import leaderboard as board_module
from dppa_core.zoo.leaderboard import (
    Examiner,
    Leaderboard,
    Row,
    as_json,
    climb,
    measure,
    recipe,
    scale_of,
)
from dppa_core.zoo.leaderboard_text import findings, markdown


def row(method: str, *rights: int, n: int = 100, strength: float = 1.0) -> Row:
    """A row with that many right answers of n in each domain; fewer are a part of more."""
    hits = {
        domain: tuple(place < right for place in range(n))
        for domain, right in zip(DOMAINS, rights, strict=True)
    }
    return Row(method, strength, {}, hits)


def board(*rows: Row, refused: dict[str, str] | None = None) -> Leaderboard:
    return Leaderboard(rows, refused or {}, dict.fromkeys(DOMAINS, 0.8), None, 30)


# numbers


def test_retention_is_the_mean_of_the_ratios() -> None:
    one = row("dppa", 80, 40, 60)
    assert board(one).retention(one) == pytest.approx((1 + 0.5 + 0.75) / 3)


def test_a_difference_is_paired_item_by_item() -> None:
    """Ten of a hundred items more in one domain: by hand."""
    one, two = row("ties", 50, 40, 40), row("dppa", 40, 40, 40)
    mean, low, high = board(one, two).against(one, two)
    assert mean == pytest.approx(0.1 / 0.8 / 3)
    variance = (0.1 * 0.9 * 100 / 99) / 0.8**2  # of the differences, with n - 1
    half = 1.959963984540054 * (variance / 100) ** 0.5 / 3
    assert (low, high) == pytest.approx((mean - half, mean + half))
    assert low > 0, "every item that differs is for the first: paired, that is plain"


def test_equal_answers_differ_by_nothing() -> None:
    one = row("ties", 50, 40, 40)
    assert board(one).against(one, one) == (0, 0, 0)


@pytest.mark.parametrize(
    ("peak", "wanted"), [(1.0, 1.0), (2.0, 2.0), (0.3, 0.35), (9.0, 4.0), (0.01, 0.25)]
)
def test_the_ladder_is_climbed_to_its_best_rung(peak: float, wanted: float) -> None:
    assert climb(lambda rung: -abs(rung - peak)) == wanted


def test_where_strength_means_nothing_it_stays_at_one() -> None:
    asked = []
    assert climb(lambda rung: asked.append(rung) or 0.0) == 1.0
    assert sorted(asked) == [0.7, 1.0, 1.4], "no rung is asked twice, none in vain"


# recipes


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_merges_all_three_at_a_fifth_or_at_its_defaults(method) -> None:  # type: ignore[no-untyped-def]
    if method.name == "slerp":
        return  # takes two
    made = recipe(method, "law", 1.0)
    assert [model.model for model in made.models] == [f"zoo:{domain}" for domain in DOMAINS]
    levels = (0.8,) if method.prunes else (0.0,)
    assert {model.levels for model in made.models} == {levels}
    scale = scale_of(method)
    stronger = recipe(method, "law", 2.0)
    assert {model.coefficient for model in stronger.models} == {2.0 if scale is None else 1.0}
    if scale is not None:
        assert stronger.parameters["scale"] == 2 * scale


def test_emr_has_a_merge_for_every_domain_and_others_have_one() -> None:
    emr, ties = get_method("emr"), get_method("ties")
    assert [recipe(emr, d, 1.0).parameters["domain"] for d in DOMAINS] == [
        f"zoo:{domain}" for domain in DOMAINS
    ]
    assert len({recipe(ties, domain, 1.0) for domain in DOMAINS}) == 1


# what is measured


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_was_measured_is_not_asked_again(
    cache: Path, zoo_env: Path, one_torch_thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_module, "LADDER", (0.7, 1.0))
    monkeypatch.setattr(board_module, "best_factors", lambda examiner: {})
    first = measure(["slerp", "emr"], test_items=2, search_items=1)
    assert sorted(row.method for row in first.rows) == ["dppa", "emr"]
    assert set(first.refused) == {"slerp"} and "one other" in first.refused["slerp"]
    assert all(len(hits) == 2 for row in first.rows for hits in row.hits.values())

    def never(*_: object, **__: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(board_module, "greedy_replies", never)
    assert measure(["slerp", "emr"], test_items=2, search_items=1) == first
    with pytest.raises(AssertionError, match="asked again"):
        Examiner(1, 3).hits("zoo:math", "math", "test")


# what the page says

WORSE, ALIKE = row("ties", 40, 40, 40), row("dare", 61, 60, 60)
BEST, OURS = row("emr", 80, 80, 80, strength=1.4), row("dppa", 60, 60, 60)


def test_the_page_says_plainly_who_is_better() -> None:
    told = " ".join(findings(board(BEST, ALIKE, OURS, WORSE, refused={"slerp": "takes two."})))
    assert "DPPA stands at place 3 of 4." in told
    assert "EMR-Merging keeps more than DPPA here" in told
    assert "Not told apart from DPPA: DARE." in told
    assert "Less than DPPA: TIES." in told
    assert "EMR-Merging is no single model" in told
    assert "SLERP (takes two.)" in told


def test_nothing_is_claimed_where_nothing_is_better() -> None:
    told = " ".join(findings(board(OURS, WORSE)))
    assert "DPPA stands at place 1 of 2." in told and "No method keeps more" in told


def test_the_short_part_has_every_domain_and_the_rest_what_was_chosen() -> None:
    page = markdown(board(BEST, ALIKE, OURS, WORSE), "make leaderboard")
    short, _, long = page.partition("\n## ")
    assert "| DPPA | 60.0 (50.2–69.1) |" in short and "| 75.0 % | – |" in short
    assert "`make leaderboard`" in short
    assert "not significant" in next(line for line in short.splitlines() if "| DARE |" in line)
    assert "**+25.0 (" in short, "a difference beyond chance stands out"
    assert "| DPPA |" in long and "coefficient 1.4" in long


def test_json_has_every_figure() -> None:
    value = json.loads(json.dumps(as_json(board(BEST, OURS))))
    assert value["rows"][0]["against_dppa"]["significant"] is True
    assert value["rows"][1]["domains"]["law"]["accuracy"] == 0.6
    assert value["own"]["math"] == 0.8


def test_a_method_nobody_knows_is_one_line() -> None:
    command = [sys.executable, "-m", "dppa_core", "leaderboard", "--methods", "tiess"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.strip() == "dppa: No merge method 'tiess'. Did you mean 'ties'?"
