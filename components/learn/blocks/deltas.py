"""Blocks on a delta: a corner of one matrix, and the size of the whole delta."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from numpy import ndarray

from dppa_core.evaluation.analysis.matrix import read_excerpt
from dppa_core.pruning.delta_size import delta_size

from .context import Arguments, BlockContext, choice

MINUS = "\u2212"
CORNER = 6
"""Rows and columns of the shown corner."""
TENTH_PERCENT, FIFTH_PERCENT = 10, 20
"""Shares of the weights, in percent, whose part of the squared change is in the text."""


def delta_excerpt(arguments: Arguments, context: BlockContext) -> dict[str, Any]:
    """The upper left corner of one {"model", "module"}: base, domain model, difference."""
    base, model = context.pair(arguments)
    profile = context.studio.profile(base, model)
    modules = tuple(item.module.name for item in profile.modules)
    module = choice(arguments, "module", modules)
    corner = read_excerpt(
        base, model, module, CORNER, CORNER, public=context.studio.public, stop=context.stop
    )
    entries = [
        [difference(float(t), float(b), float(d)) for t, b, d in zip(*rows, strict=True)]
        for rows in zip(corner.finetuned, corner.base, corner.delta, strict=True)
    ]
    first = entries[0][0]
    return {
        "models": context.names(),
        "model": model,
        "modules": list(modules),
        "module": module,
        "shape": list(corner.shape),
        "base": rows_of(corner.base),
        "finetuned": rows_of(corner.finetuned),
        "delta": rows_of(corner.delta),
        "sums": [[_sum(*entry) for entry in row] for row in entries],
        "figures": {
            "trained": model.removeprefix("zoo:"),
            "first_base": first[1],
            "first_finetuned": first[0],
            "first_delta": first[2],
        },
    }


def difference(finetuned: float, base: float, delta: float) -> tuple[str, str, str]:
    """Three numbers with the fewest digits, at least four, for which the difference is exact. They
    have equally many decimals."""
    for digits in range(4, 13):
        tuned, before, change = (round(x, digits) + 0.0 for x in (finetuned, base, delta))
        if round(tuned - before, digits) == change:
            break
    written = (f"{x:.{digits}f}".replace("-", MINUS) for x in (tuned, before, change))
    return next(written), next(written), next(written)


def _sum(tuned: str, base: str, delta: str) -> str:
    return f"{tuned} {MINUS} {f'({base})' if base.startswith(MINUS) else base} = {delta}"


def rows_of(values: ndarray) -> list[list[float]]:
    """A matrix as rows of numbers, with float32's digits."""
    return [[float(f"{value:.7g}") for value in row] for row in values]


def delta_sizes(arguments: Arguments, context: BlockContext) -> dict[str, Any]:
    """The size of every model's delta, and its concentration in few weights."""
    rows = []
    for name in context.names():
        base, model = context.pair({"model": name["model"]})
        size = delta_size(context.studio.profile(base, model))
        energy = [round(float(share), 6) for share in size.energy]
        rows.append({**name, **asdict(size), "energy": energy})
    return {"models": rows, "figures": _figures(rows)}


def _figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Numbers for the text, about the embedded models."""
    figures: dict[str, Any] = {"weights": rows[0]["numel"]}
    for row in rows:
        if row["model"].startswith("zoo:"):
            name = row["label"]
            figures |= {f"{name}-{key}": row[key] for key in ("relative", "mean", "changed")}
            figures[f"{name}-tenth"] = row["energy"][TENTH_PERCENT]
            figures[f"{name}-held"] = row["energy"][FIFTH_PERCENT]
    return figures
