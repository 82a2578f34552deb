"""A block on pruning a delta: the error in the outputs of one matrix, and the best factor."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from dppa_core.evaluation.analysis.output_error import (
    DeltaFit,
    OutputErrors,
    RateErrors,
    output_errors,
)

from .context import Arguments, BlockContext, choice

RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
QUOTED_RATE = 0.9
"""The pruning rate used in the text."""
DEFAULT = "layers.5.self_attn.o_proj"
FACTORS = tuple(round(0.25 * n, 2) for n in range(49))
"""0 to 12."""


def output_error(arguments: Arguments, context: BlockContext) -> dict[str, Any]:
    """The distance of one matrix's outputs from the domain model's, over pruning rates. Arguments:
    {"model", "module"}; by default a matrix of math."""
    base, model = context.pair(arguments)
    profile = context.studio.profile(base, model)
    names = [item.module.name for item in profile.modules]
    first = DEFAULT if DEFAULT in names else names[-1]
    module = choice(arguments, "module", (first, *(name for name in names if name != first)))
    errors = output_errors(
        *(base, model, module, profile, RATES),
        public=context.studio.public,
        progress=context.progress,
        stop=context.stop,
    )
    return {
        "models": context.names(),
        "model": model,
        "modules": names,
        "module": module,
        "effect": errors.effect,
        "factors": list(FACTORS),
        "rates": [_rate_value(row) for row in errors.rates],
        "figures": {"module": module, **_figures(errors)},
    }


def _rate_value(row: RateErrors) -> dict[str, Any]:
    fits = {"largest": _fit_value(row.largest), "drawn": _fit_value(row.drawn)}
    return {**asdict(row), **fits, "dare": row.drawn.error(1 / (1 - row.rate))}


def _fit_value(fit: DeltaFit) -> dict[str, Any]:
    return {
        "plain": fit.error(1.0),
        "factor": fit.best,
        "best": fit.error(fit.best),
        "over": [round(fit.error(factor), 5) for factor in FACTORS],
    }


def _figures(errors: OutputErrors) -> dict[str, Any]:
    by_rate = {row.rate: row for row in errors.rates}
    quoted, half = by_rate[QUOTED_RATE], by_rate[0.5]
    return {
        "effect": errors.effect,
        "largest": quoted.largest.error(1.0),
        "largest-factor": quoted.largest.best,
        "largest-best": quoted.largest.error(quoted.largest.best),
        "drawn": quoted.drawn.error(1.0),
        "dare": quoted.drawn.error(1 / (1 - quoted.rate)),
        "drawn-factor": quoted.drawn.best,
        "drawn-best": quoted.drawn.error(quoted.drawn.best),
        "q": 1 / quoted.drawn.best,
        "first-factor": quoted.halves[0],
        "second-factor": quoted.halves[1],
        "halved": quoted.halved,
        "weights": quoted.weights,
        "weights-half": half.weights,
        "largest-half": half.largest.error(1.0),
        "dare-half": half.drawn.error(2.0),
        "drawn-half": half.drawn.error(1.0),
    }
