"""A block on why a factor helps: loss over the factor, foretold and measured, at every rate."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from .context import Arguments, BlockContext
from .open_questions import experiment

COLUMNS = {
    "energy": ("d² kept", 100),
    "foretold-cost": ("cost, foretold", 1),
    "cost": ("cost, measured", 1),
    "foretold-best": ("best factor, foretold", 1),
    "best": ("best factor, measured", 1),
    "left": ("cost left with it", 1),
    "without": ("accuracy without", 100),
    "with": ("accuracy with it", 100),
}
"""Name -> a column of the experiment's first table, and what it is divided by."""
QUOTED = "law"
"""The model of the lesson's sentence."""


def loss_by_factor(_arguments: Arguments, _bench: BlockContext) -> dict[str, Any]:
    """All places of the experiment *gain*: a domain model pruned at a rate. Losses and costs in
    nats per token, shares as fractions."""
    from dppa_core.evaluation.analysis.curvature import Quadratic  # noqa: PLC0415  (imports torch)

    found, products, measured = experiment("gain")["tables"]
    factors = [float(one["title"].removeprefix("× ")) for one in measured["columns"][2:]]
    titles = [one["title"] for one in found["columns"]]
    places = []
    for row, parts, losses in zip(*map(_rows, (found, products, measured)), strict=True):
        of, loss = dict(zip(titles, row, strict=True)), Quadratic(*parts[2:])
        places.append(
            {
                "domain": of["domain"],
                "rate": of["pruned"] / 100,
                "unpruned": loss.loss,
                "foretold": list(map(loss.at, factors)),
                "measured": losses[2:],
                **{name: of[title] / unit for name, (title, unit) in COLUMNS.items()},
            }
        )
    return {"factors": factors, "places": places, "figures": _figures(places)}


def _rows(table: dict[str, Any]) -> list[list[Any]]:
    return [[cell["value"] for cell in row["cells"]] for row in table["rows"]]


def _figures(places: list[dict[str, Any]]) -> dict[str, float]:
    """What stands in the lesson: one model where it gains most, and the mean of all there."""

    def gained(place: dict[str, Any]) -> float:
        return float(place["with"] - place["without"])

    one = max((place for place in places if place["domain"] == QUOTED), key=gained)
    mean = fmean(gained(place) for place in places if place["rate"] == one["rate"])
    return {**{name: one[name] for name in ("rate", "best", "without", "with")}, "mean": mean}
