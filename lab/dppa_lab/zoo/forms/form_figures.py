"""What every form keeps of fine-tunes whose deltas differ in size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from dppa_core.forms.store import parse_store_text
from dppa_core.tasks.intervals import student
from dppa_lab.zoo.trained_set import kind_title

Record = Mapping[str, Any]
"""One fine-tune, as `measure_forms` leaves it."""


def form_figures(records: Sequence[Record]) -> dict[str, Any]:
    """Kind of set -> its deltas and their mean size, and what each form keeps of them.

    A form keeps accuracy ÷ the fine-tune's own, averaged over fine-tunes, with Student's 95 %
    interval over them: each has its own training seed and questions.
    """
    kinds: dict[str, list[Record]] = {}
    answering = (record for record in records if _accuracy(_form(record, "")))
    for record in sorted(answering, key=lambda record: float(record["change"])):
        kinds.setdefault(kind_title(record["set"]), []).append(record)
    return {name: _kind(members) for name, members in kinds.items()}


def _kind(members: Sequence[Record]) -> dict[str, Any]:
    stores = [form["store"] for form in members[0]["forms"] if form["store"]]
    return {
        "deltas": len(members),
        "size": fmean(float(member["change"]) for member in members),
        "own": fmean(_accuracy(_form(member, "")) for member in members),
        "forms": {store: _kept(members, store) for store in stores},
        "factors": {
            store: _factors(members, store)
            for store in stores
            if all("foretold" in _form(member, store) for member in members)
        },
    }


def _kept(members: Sequence[Record], store: str) -> dict[str, Any]:
    forms = [_form(member, store) for member in members]
    shares = [
        _accuracy(form) / _accuracy(_form(member, ""))
        for form, member in zip(forms, members, strict=True)
    ]
    return {
        "title": parse_store_text(store).title(),
        "share of bytes": fmean(
            form["nbytes"] / _form(member, "")["nbytes"]
            for form, member in zip(forms, members, strict=True)
        ),
        "kept": _interval(shares),
        "loss": fmean(
            form["loss"] - _form(member, "")["loss"]
            for form, member in zip(forms, members, strict=True)
        ),
        "factors": sorted({float(form["factor"]) for form in forms}),
    }


def _interval(values: Sequence[float]) -> dict[str, float]:
    """The mean, with Student's 95 % interval; without a width for a single value."""
    mean, n = fmean(values), len(values)
    reach = student(n - 1) * stdev(values) / sqrt(n) if n > 1 else 0.0
    return {"value": mean, "low": mean - reach, "high": mean + reach}


def _factors(members: Sequence[Record], store: str) -> dict[str, Any]:
    """What is kept at factor 1, at the foretold factor and at the searched one."""
    forms = [_form(member, store) for member in members]
    own = [_accuracy(_form(member, "")) for member in members]
    kept = {
        name: [_accuracy(form) / whole for form, whole in zip(each, own, strict=True)]
        for name, each in (
            ("plain", [form["plain"] for form in forms]),
            ("foretold", [form["foretold"] for form in forms]),
            ("searched", forms),
        )
    }
    gaps = [a - b for a, b in zip(kept["foretold"], kept["searched"], strict=True)]
    return {
        **{name: fmean(shares) for name, shares in kept.items()},
        "foretold minus searched": _interval(gaps),
        "foretold factor": fmean(float(form["foretold"]["factor"]) for form in forms),
        "searched factor": fmean(float(form["factor"]) for form in forms),
    }


def _form(member: Record, store: str) -> Mapping[str, Any]:
    return next(form for form in member["forms"] if form["store"] == store)


def _accuracy(form: Mapping[str, Any]) -> float:
    return str(form["hits"]).count("1") / len(form["hits"])
