"""The survey's tables, from its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dppa_core.charts.tables import markdown_table
from dppa_lab.reports.data import Values
from dppa_lab.zoo.survey.rule import SYMBOLS
from dppa_lab.zoo.survey.second_order import MEASURED

METHODS = {"magnitude": "magnitude", "dare": "DARE"}


def survey_table(survey: Values) -> str:
    """Kind of set and rate -> retention pruned by magnitude / by DARE."""
    return _by_rate(
        ["deltas", "‖d‖/‖W‖"],
        {name: [*_sized(kind), kind["rates"]] for name, kind in survey["kinds"].items()},
        lambda at: f"{100 * at['magnitude']:.0f} / {100 * at['dare']:.0f}",
    )


def survey_tables(survey: Values) -> str:
    """All tables of the command."""
    return "\n\n".join(_tables(survey))


def _tables(survey: Values) -> Iterator[str]:
    kinds = survey["kinds"]
    if not kinds:
        return
    yield "Retention in per cent, pruned by magnitude / by DARE:"
    yield survey_table(survey)
    yield "Pruned by magnitude / shrunk by the share E of the energy that is kept:"
    yield _by_rate(
        [],
        {name: [kind["rates"]] for name, kind in kinds.items()},
        lambda at: (
            f"E {100 * at['energy']:.0f}: {100 * at['magnitude']:.0f} / {100 * at['shrunk']:.0f}"
        ),
    )
    if broken := survey["break points"]:
        yield "The rate in per cent from which less than nine tenths are kept, pruned / shrunk:"
        rows = [
            [name, *_sized(kind), f"{100 * kind['pruned']:.0f} / {100 * kind['shrunk']:.0f}"]
            for name, kind in broken["kinds"].items()
        ]
        yield markdown_table(["models", "deltas", "‖d‖/‖W‖", "breaks"], rows)
    if second := survey["second order"]:
        for quantity, form in (("cost", ".3f"), ("factor", ".2f")):
            yield f"{quantity}, measured / foretold:"
            yield _second_order(second["kinds"], quantity, form)
    if rules := survey.get("rules"):
        yield "Errors of the rules on other bases, in points of retention:"
        yield _rules(rules)


def _sized(kind: Values) -> list[str]:
    """Number and size of a kind's deltas."""
    return [f"{kind['deltas']}", f"{kind['size']:.3f}"]


def _by_rate(head: list[str], kinds: Values, text: Callable[[Values], str]) -> str:
    """Kind of set -> its first cells, and its figures by rate: one column each."""
    rates = [f"{rate} %" for rate in next(iter(kinds.values()))[-1]]
    rows = [[name, *first, *map(text, by.values())] for name, (*first, by) in kinds.items()]
    return markdown_table(["models", *head, *rates], rows)


def _second_order(kinds: Values, quantity: str, form: str) -> str:
    by_rate = {
        name: [f"{kind['deltas']}", {rate: at for rate, at in kind.items() if rate != "deltas"}]
        for name, kind in kinds.items()
    }
    return _by_rate(
        ["deltas"],
        by_rate,
        lambda at: " / ".join(f"{at[field]:{form}}" for field in MEASURED[quantity]),
    )


def _rules(rules: Values) -> str:
    """Of every rule the error of each method, at all rates and at one."""
    errors = [key for key in rules["magnitude"]["none"] if key != "weights"]
    rows = [
        [
            " and ".join(SYMBOLS.get(figure, figure) for figure in name.split(", ")),
            *(_points(of_method[name][key]) for of_method in rules.values() for key in errors),
        ]
        for name in rules["magnitude"]
    ]
    heads = [
        f"{METHODS[method]}, {key.replace('error', '').strip() or 'all rates'}"
        for method in rules
        for key in errors
    ]
    return markdown_table(["figures", *heads], rows)


def _points(error: float | None) -> str:
    return "–" if error is None else f"{100 * error:.1f}"
