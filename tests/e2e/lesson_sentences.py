"""Checks the lessons' sentences against the numbers that their blocks compute.

Reads what the page stores after its lessons; numbers in the text itself are listed in
tests/app/learn/test_lesson_numbers.py.
"""

from typing import Any

from playwright.sync_api import Page


def asked(page: Page, block: str, **arguments: object) -> Any:
    """The result of a block; cached results come at once."""
    return page.evaluate(
        "([name, args]) => dppa.learn.ask('block', name, args)", [block, arguments]
    )


def hold_deltas(told: dict[str, Any]) -> None:
    """Of lessons 1, 3 and 5."""
    assert (
        0.49 < told["delta-energy.math-tenth"] < 0.52
    )  # "a tenth with half of the squared change"
    # "Each matrix keeps its own largest, and so they hold a little less"
    first, rest = (told[f"partitions-by-hand.{part}-energy"] for part in ("first", "rest"))
    assert 0 < told["delta-energy.math-tenth"] - first < 0.05
    assert 0 < told["delta-energy.math-held"] - (first + rest) < 0.05
    assert told["delta-sizes.math-changed"] > 0.95  # "nearly every weight"
    assert told["delta-sizes.math-mean"] > 5 * 0.002  # "too large for that"


def hold_pruning(page: Page, told: dict[str, Any]) -> None:
    """Of lesson 3."""
    error = {key.split(".")[1]: told[key] for key in told if key.startswith("output-error.")}
    assert error["dare"] > 1 > error["drawn"] > 0.85  # worse than without; nearly all of it is gone
    assert error["dare-half"] < error["drawn-half"]  # "At 50 % that is a gain"
    assert error["second-factor"] > error["first-factor"]  # "the weaker half takes the larger"
    assert error["halved"] < error["largest"] and error["drawn-factor"] < 10
    assert abs(error["weights"] - error["largest"]) < 0.05  # "not because weights bear it better"
    rates = asked(page, "output-error", module="layers.3.mlp.down_proj")["rates"]
    at = next(one for one in rates if one["rate"] == 0.9)
    assert at["largest"]["plain"] < 0.4 and at["largest"]["factor"] < 1.2  # "hardly any is needed"
    some = [one for one in rates if 0.1 <= one["rate"] <= 0.95]
    assert all(
        one["drawn"]["best"] > one["largest"]["plain"] for one in some
    )  # "bad at every rate"


def hold_conflict(page: Page, told: dict[str, Any]) -> None:
    """Of lesson 6: two masks meet a little more often than by chance, and pull apart less."""
    for pair in ("math-finance", "math-law", "finance-law"):
        of = {key: told[f"conflict-rates.{pair}-{key}"] for key in ("overlap", "conflict")}
        assert 0.2 < of["overlap"] < 0.25
        assert of["conflict"] < told[f"conflict-rates.{pair}-conflict-all"] < 0.5
    for pair in asked(page, "conflict-rates")["pairs"]:
        assert pair["conflict"][99] > min(pair["conflict"][:99])  # "it rises again"


def hold_surface(page: Page) -> None:
    """Of lesson 7."""
    found = asked(page, "entropy-surface")
    mean, axis = found["mean"], found["axis"]
    first, second = found["path"][-1]
    assert 0.8 < first < 1.3 and 0.8 < second < 1.3  # "nearly constant around 1"
    one, edge = axis.index(1), len(axis) - 1
    assert mean[0][0] > 50 * mean[one][one]  # "falls steeply as both coefficients rise"
    assert mean[edge][edge] > 2 * mean[one][one]  # "far above 1 it rises again"


def hold_all(page: Page) -> None:
    """Check all, once every lesson was read and answered, which stores the numbers."""
    told = page.evaluate("() => JSON.parse(localStorage.getItem('dppa-learn')).numbers")
    hold_deltas(told)
    hold_pruning(page, told)
    hold_conflict(page, told)
    hold_surface(page)
