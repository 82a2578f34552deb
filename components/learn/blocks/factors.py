"""A block on why a factor helps: loss over the factor, foretold and measured, at every rate."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from .context import Arguments, BlockContext
from .open_questions import experiment, titles_of, values_of

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
QUOTED_DOMAIN = "law"
"""The domain of the model in the lesson's sentence."""


def loss_by_factor(_arguments: Arguments, _context: BlockContext) -> dict[str, Any]:
    """All places of the experiment *gain*: a domain model pruned at a rate. Losses and costs in
    nats per token, shares as fractions."""
    from dppa_core.evaluation.analysis.curvature import Quadratic  # noqa: PLC0415  (imports torch)

    summary, products, measured = experiment("gain")["tables"]
    factors = [float(title.removeprefix("× ")) for title in titles_of(measured)[2:]]
    places = []
    for row, parts, losses in zip(*map(values_of, (summary, products, measured)), strict=True):
        cells, loss = dict(zip(titles_of(summary), row, strict=True)), Quadratic(*parts[2:])
        places.append(
            {
                "domain": cells["domain"],
                "rate": cells["pruned"] / 100,
                "unpruned": loss.loss,
                "foretold": list(map(loss.at, factors)),
                "measured": losses[2:],
                **{name: cells[title] / unit for name, (title, unit) in COLUMNS.items()},
            }
        )
    return {"factors": factors, "places": places, "figures": _figures(places)}


def _figures(places: list[dict[str, Any]]) -> dict[str, float]:
    """Figures for the text: one model at the rate of its largest gain, and the mean of all."""

    def gain(place: dict[str, Any]) -> float:
        return float(place["with"] - place["without"])

    best = max((place for place in places if place["domain"] == QUOTED_DOMAIN), key=gain)
    mean = fmean(gain(place) for place in places if place["rate"] == best["rate"])
    return {**{name: best[name] for name in ("rate", "best", "without", "with")}, "mean": mean}
