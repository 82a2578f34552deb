"""Surveyed deltas, each pruned alone, as `survey_set` recorded them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from dppa_core.tuning.advice.kept_rule import figures
from dppa_lab.zoo.spec import SIZES
from dppa_lab.zoo.trained_set import kind_title, set_title

RATES = (0.5, 0.8, 0.9, 0.95, 0.98)
PRUNED = ("magnitude", "dare")
"""Methods whose retention is measured at every rate with nothing chosen."""
LEAST_OWN = 0.25
"""Least accuracy of a domain model whose retention is a figure and no noise."""
Record = Mapping[str, Any]
"""The measurements of one delta by `survey_set`."""


class OfKind(Protocol):
    """Has the title of its set without the seed."""

    @property
    def kind(self) -> str: ...


T = TypeVar("T", bound=OfKind)


def by_kind(items: Iterable[T]) -> dict[str, list[T]]:
    """Kind of set -> its items, in their order."""
    groups: dict[str, list[T]] = {}
    for item in items:
        groups.setdefault(item.kind, []).append(item)
    return groups


def answering(records: Sequence[Record]) -> list[Record]:
    """The records of models that answer enough of their own domain (`LEAST_OWN`)."""
    return [r for r in records if r["own"].count("1") >= LEAST_OWN * len(r["own"])]


def is_trained_here(record: Record) -> bool:
    """Return True if `dppa zoo train` trains the base from nothing, too: rules are fitted to such
    deltas alone, and tested on the others."""
    return record["set"]["size"] in SIZES


def trained_here(records: Sequence[Record]) -> list[Record]:
    """The records of which `is_trained_here` is true."""
    return list(filter(is_trained_here, records))


def set_name(record: Record) -> str:
    """Size, regime and seed of the set, and the scale of its deltas if it is not 1."""
    return set_title(record["set"]) + _scale(record)


def kind_name(record: Record) -> str:
    """The name of the set without its seed."""
    return kind_title(record["set"]) + _scale(record)


def _scale(record: Record) -> str:
    scale = record["set"].get("scale", 1)
    return "" if scale == 1 else f", × {scale:g}"


def retention(record: Record, hits: str) -> float:
    """The right answers divided by the domain model's own."""
    return float(hits.count("1") / record["own"].count("1"))


def shrunk(record: Record, factor: float) -> float:
    """The retention of the whole delta at a factor in [0, 1] on its modules, on straight lines
    between the measured ones."""
    measured = {float(name): retention(record, hits) for name, hits in record["shrunk"].items()}
    measured[1.0] = 1.0
    factors = sorted(measured)
    return float(np.interp(factor, factors, [measured[point] for point in factors]))


@dataclass(frozen=True, slots=True)
class PrunedPlace:
    """A delta at one rate."""

    set: str
    """See `set_name`."""
    base: str
    """Hash of the base's weights: sets of one base are left out together."""
    domain: str
    rate: float
    change: float
    """‖d‖/‖W‖ over the modules."""
    energy: float
    """Share of the sum of d² that magnitude pruning keeps, whatever the method."""
    shrunk: float
    """Retention of the whole delta if the modules' part is multiplied by `energy`."""
    kept: float
    """Accuracy when pruned ÷ the domain model's own."""
    kind: str = ""
    """See `kind_name`."""

    @property
    def figures(self) -> dict[str, float]:
        """See `kept_rule.figures`."""
        return figures(self.rate, self.energy, self.change, self.shrunk)


def places_of(records: Sequence[Record], method: str) -> list[PrunedPlace]:
    """All places of the `answering` records, pruned by magnitude or DARE."""
    return [
        PrunedPlace(
            *(set_name(record), record["set"]["base"], record["domain"]),
            *(at["rate"], record["change"], at["energy"], shrunk(record, at["energy"])),
            *(retention(record, at["pruned"][method]), kind_name(record)),
        )
        for record in answering(records)
        for at in record["places"]
    ]
