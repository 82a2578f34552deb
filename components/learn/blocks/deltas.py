"""Blocks about a delta itself: a corner of one matrix, and how large the whole delta is.

Knows the library's numbers; drawn by assets/js/learn/blocks/deltas.js.
"""

from __future__ import annotations

from typing import Any

from numpy import ndarray

from components.learn.blocks.context import Arguments, BlockContext, choice
from dppa_core.evaluation.analysis.matrix import read_excerpt
from dppa_core.pruning.delta_size import DeltaSize, delta_size

MINUS = "\u2212"
CORNER = 6
"""Rows and columns of the corner that is shown."""
TENTH, FIFTH = 10, 20
"""Percents of the weights whose part of the squared change the text tells."""


def delta_excerpt(arguments: Arguments, bench: BlockContext) -> dict[str, Any]:
    """The upper left corner of one module: base, domain model, difference.

    Arguments: {"model", "module"}; without them the first module of math.
    """
    base, model = bench.pair(arguments)
    profile = bench.studio.profile(base, model)
    modules = tuple(item.module.name for item in profile.modules)
    module = choice(arguments, "module", modules)
    found = read_excerpt(
        base, model, module, CORNER, CORNER, public=bench.studio.public, stop=bench.stop
    )
    entries = [
        [difference(float(t), float(b), float(d)) for t, b, d in zip(*rows, strict=True)]
        for rows in zip(found.finetuned, found.base, found.delta, strict=True)
    ]
    first = entries[0][0]
    return {
        "models": bench.names(),
        "model": model,
        "modules": list(modules),
        "module": module,
        "shape": list(found.shape),
        "base": rows_of(found.base),
        "finetuned": rows_of(found.finetuned),
        "delta": rows_of(found.delta),
        "sums": [[_sum(*entry) for entry in row] for row in entries],
        "figures": {
            "first_base": first[1],
            "first_finetuned": first[0],
            "first_delta": first[2],
        },
    }


def difference(finetuned: float, base: float, delta: float) -> tuple[str, str, str]:
    """Three numbers with as few digits, four or more, as leave the difference true of them.

    Returns:
        As given, with as many digits behind the point.
    """
    for digits in range(4, 13):
        tuned, before, change = (round(x, digits) + 0.0 for x in (finetuned, base, delta))
        if round(tuned - before, digits) == change:
            break
    written = (f"{x:.{digits}f}".replace("-", MINUS) for x in (tuned, before, change))
    return next(written), next(written), next(written)


def _sum(tuned: str, base: str, delta: str) -> str:
    return f"{tuned} {MINUS} {f'({base})' if base.startswith(MINUS) else base} = {delta}"


def rows_of(values: ndarray) -> list[list[float]]:
    """A matrix as rows of numbers, with the digits that float32 has."""
    return [[float(f"{value:.7g}") for value in row] for row in values]


def delta_sizes(arguments: Arguments, bench: BlockContext) -> dict[str, Any]:
    """How large the delta of every model is, and in how few weights it lies."""
    rows = []
    for one in bench.names():
        base, model = bench.pair({"model": one["model"]})
        rows.append({**one, **_size(delta_size(bench.studio.profile(base, model)))})
    return {"models": rows, "figures": _figures(rows)}


def _size(size: DeltaSize) -> dict[str, Any]:
    return {
        "relative": size.relative,
        "mean": size.mean,
        "changed": size.changed,
        "numel": size.numel,
        "layers": [list(one) for one in size.layers],
        "kinds": [list(one) for one in size.kinds],
        "energy": [round(float(value), 6) for value in size.energy],
    }


def _figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """For the text, which speaks of the models that come with the page."""
    found: dict[str, Any] = {"weights": rows[0]["numel"]}
    for row in rows:
        if row["model"].startswith("zoo:"):
            name = row["label"]
            found[f"{name}-relative"] = row["relative"]
            found[f"{name}-mean"] = row["mean"]
            found[f"{name}-changed"] = row["changed"]
            found[f"{name}-tenth"] = row["energy"][TENTH]
            found[f"{name}-held"] = row["energy"][FIFTH]
    return found
