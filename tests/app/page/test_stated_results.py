"""What the page's own words state as measured is so in assets/data/measured.json.

Figures in sentences are filled in from that file; these are the comparisons, and the few numbers
that are written out.
"""

import json
import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

import dppa_core as dppa
from components.session.measured import MEASURED
from components.session.presets import all_presets
from components.views.see.verdict import measured, verdict_of
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.tasks.intervals import wilson

ROOT = MEASURED.parents[2]
DATA: dict[str, Any] = json.loads(MEASURED.read_text("utf-8"))
BOARD = {row["method"]: row for row in DATA["leaderboard"]["rows"]}
EXPERIMENTS = {row["key"]: row for row in DATA["experiments"]["embedded"]["experiments"]}
AMPLIFICATION, COMPARISON, OPEN = (
    f"assets/lessons/{name}.md" for name in ("05-amplification", "08-comparison", "09-open")
)


def ahead(method: str) -> bool:
    """Keeps more than DPPA, by more than chance explains."""
    return bool(BOARD[method]["mean"] > 0 and BOARD[method]["significant"])


def gains(domain: str, least: float, most: float = 100) -> list[dict[str, float]]:
    """One model at some rates of the experiment *gain*: the columns by their titles."""
    table = EXPERIMENTS["gain"]["tables"][0]
    titles = [column["title"] for column in table["columns"]]
    rows = ([cell["value"] for cell in row["cells"]] for row in table["rows"])
    places = [dict(zip(titles, row, strict=True)) for row in rows if row[0] == domain]
    return [place for place in places if least <= place["pruned"] <= most]


def share_won(row: dict[str, float]) -> float:
    """Share of the measured cost that the best factor wins back."""
    return 1 - row["cost left with it"] / row["cost, measured"]


def misjudged(row: dict[str, float]) -> float:
    """The best factor as a multiple of the foretold one."""
    return row["best factor, measured"] / row["best factor, foretold"]


def parted() -> bool:
    """From 95 % on, law's pruning costs three times what is foretold, and the best factor, below
    the foretold one, takes back more than half of that."""
    return all(
        row["cost, measured"] > 3 * row["cost, foretold"]
        and share_won(row) > 1 / 2
        and misjudged(row) < 1
        for row in gains("law", 95)
    )


def together() -> bool:
    """Up to 80 %, foretold and measured cost of law are alike, and a factor gains little."""
    return all(
        abs(row["cost, measured"] - row["cost, foretold"]) < 0.005 and abs(row["gain"]) <= 2
        for row in gains("law", 0, 80)
    )


def weaker_larger() -> bool:
    """The weaker of two even bands takes the larger factor in two thirds of all cases."""
    rows = EXPERIMENTS["bands"]["tables"][0]
    at = [column["title"] for column in rows["columns"]].index("factors, least loss")
    pairs = [str(row["cells"][at]["value"]).split(" / ") for row in rows["rows"]]
    return 3 * sum(float(weaker) > float(strong) for strong, weaker in pairs) >= 2 * len(pairs)


def rising_and_fading() -> bool:
    """The gain of all three grows up to 98 %, and is smaller at the last rate."""
    plot = EXPERIMENTS["gain"]["plots"][0]["series"]
    means = [
        sum(shares) / len(shares) for shares in zip(*(line["y"] for line in plot), strict=True)
    ]
    rates = plot[0]["x"]
    rising = means[: rates.index(98.0) + 1]
    return rising == sorted(rising) and means[-1] < rising[-1] - 5 and rates[-1] == 99.5


def won_from(rate: float) -> list[float]:
    """Rates from this one on at which DPPA minus magnitude is above 0 with its interval."""
    (gap,) = (s for s in EXPERIMENTS["beyond"]["plots"][0]["series"] if "DPPA" in s["name"])
    rows = zip(gap["x"], gap["low"], strict=True)
    return [x for x, low in rows if x >= rate and low is not None and low > 0]


def half_width(n: int) -> float:
    low, high = wilson(n // 2, n)
    return 100 * (high - low) / 2


@cache
def parameters() -> int:
    """Of an embedded model."""
    base = open_checkpoint("zoo:base")
    return sum(math.prod(base.shape(name)) for name in base.names())


def energy_of_the_largest() -> float:
    return dppa.plan(dppa.profile("zoo:base", "zoo:math"), levels=(0.99,)).energy


CLAIMS: tuple[tuple[str, str, Callable[[], bool]], ...] = (
    (AMPLIFICATION, "From 95 % on, law's loss rises much faster than foretold", parted),
    (AMPLIFICATION, "The weaker half mostly takes the larger factor", weaker_larger),
    (AMPLIFICATION, "Up to 80 % the curves agree, and there is little to win.", together),
    (AMPLIFICATION, "So the gain grows with the rate, and fades", rising_and_fading),
    (
        "assets/js/panes/search.js",
        "Task arithmetic, which prunes nothing, may beat it.",
        lambda: ahead("task_arithmetic"),
    ),
    (
        COMPARISON,
        "Adding whole deltas (task arithmetic) keeps more.",
        lambda: ahead("task_arithmetic"),
    ),
    (
        OPEN,
        "is ahead of magnitude without one at 85, 90 and 95 %.",
        lambda: {85.0, 90.0, 95.0} <= set(won_from(85)),
    ),
    (
        "components/views/score/score.py",
        "above about 20 points of 100 are seen, with 400 above about 5",
        lambda: round(half_width(20)) == 20 and round(half_width(400)) == 5,
    ),
    (
        "components/widgets/header.py",
        "toys of 4 M parameters",
        lambda: round(parameters() / 1e6) == 4,
    ),
    (
        "dppa_core/teaching/failures/cases.py",
        "The largest 1 % hold a small part of the change.",
        lambda: energy_of_the_largest() < 0.2,
    ),
)


def text_of(path: str) -> str:
    """The words of a file, its lines and pieces of text joined."""
    text = re.sub(r'"\s*\n\s*f?"', "", (ROOT / path).read_text("utf-8"))
    return " ".join(text.replace("\u202f", " ").replace("\\u202f", " ").split())


@pytest.mark.parametrize(
    ("path", "words", "holds"), CLAIMS, ids=[claim[1][:40] for claim in CLAIMS]
)
def test_what_the_page_says_of_measurements_holds(
    path: str, words: str, holds: Callable[[], bool]
) -> None:
    assert words in text_of(path), "the page says it otherwise: change or drop the entry"
    assert holds()


def test_the_line_over_the_plots_is_filled_in_from_what_was_measured() -> None:
    """Of every preset that was measured."""
    shares = {f"{100 * row.kept:.0f}" for row in measured()}
    verdicts = [verdict_of(preset.recipe()) for preset in all_presets().values()]
    assert sum("This merge keeps " in row for row in verdicts) >= 3
    for line in verdicts:
        assert set(re.findall(r"(\d+)\u202f%(?!\))", line)) <= shares
