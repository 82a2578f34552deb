"""The survey's tables, from its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dppa_core.evaluation.tables import markdown_table
from dppa_lab.zoo.survey.rule import SYMBOLS
from dppa_lab.zoo.survey.second_order import MEASURED

Values = Mapping[str, Any]
METHODS = {"magnitude": "magnitude", "dare": "DARE"}


def survey_table(survey: Values) -> str:
    """Kind of set and rate -> retention pruned by magnitude / by DARE."""
    rows = [
        [
            name,
            f"{kind['deltas']}",
            f"{kind['size']:.3f}",
            *(
                f"{100 * at['magnitude']:.0f} / {100 * at['dare']:.0f}"
                for at in kind["rates"].values()
            ),
        ]
        for name, kind in survey["kinds"].items()
    ]
    return markdown_table(["models", "deltas", "‖d‖/‖W‖", *_rates(survey["kinds"])], rows)


def survey_tables(survey: Values) -> str:
    """All tables of the command."""
    return "\n\n".join(_tables(survey))


def _tables(survey: Values) -> Iterator[str]:
    if not survey["kinds"]:
        return
    yield "Retention in per cent, pruned by magnitude / by DARE:"
    yield survey_table(survey)
    yield "Pruned by magnitude / shrunk by the share E of the energy that is kept:"
    yield _shrunk(survey["kinds"])
    if broken := survey["break points"]:
        yield "The rate in per cent from which less than nine tenths are kept, pruned / shrunk:"
        yield _breaks(broken["kinds"])
    if second := survey["second order"]:
        for what, form in (("cost", ".3f"), ("factor", ".2f")):
            yield f"{what}, measured / foretold:"
            yield _second_order(second["kinds"], what, form)
    if rules := survey.get("rules"):
        yield "Errors of the rules on other bases, in points of retention:"
        yield _rules(rules)


def _rates(kinds: Values) -> list[str]:
    return [f"{rate} %" for rate in next(iter(kinds.values()))["rates"]]


def _shrunk(kinds: Values) -> str:
    rows = [
        [name]
        + [
            f"E {100 * at['energy']:.0f}: {100 * at['magnitude']:.0f} / {100 * at['shrunk']:.0f}"
            for at in kind["rates"].values()
        ]
        for name, kind in kinds.items()
    ]
    return markdown_table(["models", *_rates(kinds)], rows)


def _breaks(kinds: Values) -> str:
    rows = [
        [name, f"{of['deltas']}", f"{of['size']:.3f}"]
        + [f"{100 * of['pruned']:.0f} / {100 * of['shrunk']:.0f}"]
        for name, of in kinds.items()
    ]
    return markdown_table(["models", "deltas", "‖d‖/‖W‖", "breaks"], rows)


def _second_order(kinds: Values, what: str, form: str) -> str:
    rows = [
        [name, f"{of['deltas']}"]
        + [
            " / ".join(f"{at[field]:{form}}" for field in MEASURED[what])
            for rate, at in of.items()
            if rate != "deltas"
        ]
        for name, of in kinds.items()
    ]
    rates = [f"{rate} %" for rate in next(iter(kinds.values())) if rate != "deltas"]
    return markdown_table(["models", "deltas", *rates], rows)


def _rules(rules: Values) -> str:
    """Of every rule the error of each method, at all rates and at one."""
    names = next(iter(rules.values()))
    rows = [
        [" and ".join(SYMBOLS.get(one, one) for one in name.split(", "))]
        + [
            _points(error)
            for of in rules.values()
            for key, error in of[name].items()
            if key != "weights"
        ]
        for name in names
    ]
    heads = [
        f"{METHODS[method]}, {key.replace('error', '').strip() or 'all rates'}"
        for method, of in rules.items()
        for key in of["none"]
        if key != "weights"
    ]
    return markdown_table(["figures", *heads], rows)


def _points(error: float | None) -> str:
    return "–" if error is None else f"{100 * error:.1f}"
