"""The tables and the plot of forms by the size of the delta, from their figures."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from dppa_core.charts.tables import markdown_table
from dppa_core.forms.store import parse_store_text
from dppa_lab.reports.data import Values

DRAWN = (
    "sparse(rate=0.9)",
    "drawn(rate=0.9)",
    "drawn(rate=0.99)",
    "low_rank(rank=16)",
    "bits(bits=1,block=matrix)",
)
"""Stores with a line in the plot."""
SMALLEST = "drawn(rate=0.99)"
"""The one of the fewest bytes."""
ENDS = {"y": "value", "low": "low", "high": "high"}


def form_tables(figures: Values) -> str:
    """Form -> what it keeps of each kind of fine-tune, in per cent with 95 % intervals."""
    if not figures:
        return ""
    heads = [f"{name}: ‖d‖/‖W‖ {kind['size']:.3f}" for name, kind in figures.items()]
    stores = next(iter(figures.values()))["forms"]
    rows = [
        [
            form["title"],
            f"{100 * form['share of bytes']:.1f}",
            *(kept_text(kind["forms"][store]["kept"]) for kind in figures.values()),
        ]
        for store, form in stores.items()
    ]
    counts = ["deltas", "", *(str(kind["deltas"]) for kind in figures.values())]
    return markdown_table(["form", "bytes, % of the model", *heads], [*rows, counts])


def encoder_table(figures: Values) -> str:
    """Form -> per cent kept of each encoder's vectors, and of its delta's energy."""
    models = figures["models"]
    heads = [f"{name}: ‖d‖/‖W‖ {model['size']:.3f}" for name, model in models.items()]
    rows = [
        [
            form["title"],
            f"{100 * form['share of bytes']:.1f}",
            *(_vectors(model["forms"][store]) for model in models.values()),
        ]
        for store, form in next(iter(models.values()))["forms"].items()
    ]
    return markdown_table(["form", "bytes, % of the model", *heads], rows)


def _vectors(form: Values) -> str:
    energy = f"{100 * form['energy']:.0f}" if form["energy"] >= 0 else "–"
    factor = "" if form["factor"] == 1 else f" (× {form['factor']:g})"
    return f"{100 * form['kept']:.0f}{factor} / {energy}"


def factor_table(figures: Values) -> str:
    """Kind of fine-tune and store -> what is kept at factor 1, the foretold one and the searched
    one."""
    rows = [
        [
            f"{name}: ‖d‖/‖W‖ {kind['size']:.3f}",
            kind["forms"][store]["title"],
            *(f"{100 * found[key]:.0f}" for key in ("plain", "foretold", "searched")),
            _points(found["foretold minus searched"]),
            *(f"{found[key]:.2f}" for key in ("foretold factor", "searched factor")),
        ]
        for name, kind in figures.items()
        for store, found in kind["factors"].items()
    ]
    heads = ["models", "form", "factor 1", "foretold", "searched", "foretold minus searched"]
    return markdown_table([*heads, "factor, foretold", "searched"], rows) if rows else ""


def _points(interval: Values) -> str:
    value, low, high = (100 * interval[end] for end in ("value", "low", "high"))
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


def kept_text(interval: Values) -> str:
    """A kept share with its interval, in per cent."""
    value, low, high = (100 * interval[end] for end in ("value", "low", "high"))
    return f"{value:.0f} ({low:.0f}–{high:.0f})".replace("–-", " to -")


def forms_by_size(figures: Values) -> dict[str, Any]:
    """The plot of what some forms keep over the size of the delta, a line each, for the page."""
    kinds = sorted(figures.values(), key=lambda kind: float(kind["size"]))
    return {
        "question": "Which form of a delta keeps how much, at which size of the delta?",
        "plot": {
            "title": _headline(kinds),
            "kind": "lines",
            "x": {"title": "‖d‖/‖W‖", "unit": ""},
            "y": {"title": "retention", "unit": "%"},
            "series": [_line(kinds, store) for store in DRAWN],
        },
        "deltas": sum(kind["deltas"] for kind in kinds),
        "note": _note(kinds),
    }


def _note(kinds: Sequence[Values]) -> str:
    """Why a form may keep more than all, if one in the plot does."""
    longest = kinds[-1]
    if max(longest["forms"][store]["kept"]["low"] for store in DRAWN) <= 1:
        return ""
    return (
        f"Above 100 %: at ‖d‖/‖W‖ {longest['size']:.2g} the whole fine-tunes answer "
        f"{100 * longest['own']:.0f} % themselves, fewer than those of smaller changes. Pruning "
        "and few bits take some of that back."
    )


def _headline(kinds: Sequence[Values]) -> str:
    kept = ", ".join(
        f"{100 * kind['forms'][SMALLEST]['kept']['value']:.0f} % at ‖d‖/‖W‖ {kind['size']:.2g}"
        for kind in (kinds[0], kinds[-1])
    )
    return f"{parse_store_text(SMALLEST).title()} keeps {kept}"


def _line(kinds: Sequence[Values], store: str) -> dict[str, Any]:
    kept = [kind["forms"][store]["kept"] for kind in kinds]
    share = fmean(kind["forms"][store]["share of bytes"] for kind in kinds)
    return {
        "name": f"{parse_store_text(store).title()}, {100 * share:.1f} % of the bytes",
        "x": [round(kind["size"], 4) for kind in kinds],
        **{key: [round(100 * at[end], 1) for at in kept] for key, end in ENDS.items()},
    }
