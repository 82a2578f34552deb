"""A block on why a factor helps: loss over the factor, foretold and measured, at every rate."""

from __future__ import annotations

from typing import Any

from components.learn.blocks.context import Arguments, BlockContext
from components.learn.blocks.open_questions import experiment

PARTS = ("loss", "slope_kept", "slope_removed", "kept", "crossed", "removed")
"""Parts of the parabola, in the order of the experiment's second table."""


def loss_by_factor(_arguments: Arguments, _bench: BlockContext) -> dict[str, Any]:
    """All places of the experiment *gain*: a domain model pruned at a rate. Losses in nats per
    token, shares as fractions."""
    found, products, measured = experiment("gain")["tables"]
    factors = [float(one["title"].removeprefix("× ")) for one in measured["columns"][2:]]
    titles = [one["title"] for one in found["columns"]]
    places = []
    for row, parts, losses in zip(*map(_rows, (found, products, measured)), strict=True):
        of = dict(zip(titles, row, strict=True))
        places.append(
            {
                "domain": of["domain"],
                "rate": of["pruned"] / 100,
                "parts": dict(zip(PARTS, parts[2:], strict=True)),
                "losses": losses[2:],
                "energy": of["d² kept"] / 100,
                "best": of["best factor, measured"],
                "without": of["accuracy without"] / 100,
                "with": of["accuracy with it"] / 100,
            }
        )
    return {"factors": factors, "places": places, "figures": _figures(places)}


def _rows(table: dict[str, Any]) -> list[list[Any]]:
    return [[cell["value"] for cell in row["cells"]] for row in table["rows"]]


def _figures(places: list[dict[str, Any]]) -> dict[str, float]:
    """What stands in the lesson: law where it gains most."""
    one = max((p for p in places if p["domain"] == "law"), key=lambda p: p["with"] - p["without"])
    return {name: one[name] for name in ("rate", "best", "without", "with")}
