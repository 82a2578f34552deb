"""A block on pruning a delta: the error in the outputs of one matrix, and the best factor."""

from __future__ import annotations

from typing import Any

from dppa_core.evaluation.analysis.output_error import (
    DeltaFit,
    OutputErrors,
    RateErrors,
    output_errors,
)

from .context import Arguments, BlockContext, choice

RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
TOLD = 0.9
"""The pruning rate used in the text."""
DEFAULT = "layers.5.self_attn.o_proj"
FACTORS = tuple(round(0.25 * n, 2) for n in range(49))
"""0 to 12."""


def output_error(arguments: Arguments, bench: BlockContext) -> dict[str, Any]:
    """The distance of one matrix's outputs from the domain model's, over pruning rates. Arguments:
    {"model", "module"}; by default a matrix of math."""
    base, model = bench.pair(arguments)
    profile = bench.studio.profile(base, model)
    names = [item.module.name for item in profile.modules]
    first = DEFAULT if DEFAULT in names else names[-1]
    module = choice(arguments, "module", (first, *(name for name in names if name != first)))
    found = output_errors(
        base,
        model,
        module,
        profile,
        RATES,
        public=bench.studio.public,
        progress=bench.tell,
        stop=bench.stop,
    )
    return {
        "models": bench.names(),
        "model": model,
        "modules": names,
        "module": module,
        "effect": found.effect,
        "factors": list(FACTORS),
        "rates": [_rate(one) for one in found.rates],
        "figures": {"module": module, **_figures(found)},
    }


def _rate(one: RateErrors) -> dict[str, Any]:
    return {
        "rate": one.rate,
        "largest": _fit(one.largest),
        "drawn": _fit(one.drawn),
        "dare": one.drawn.error(1 / (1 - one.rate)),
        "halves": list(one.halves),
        "halved": one.halved,
        "weights": one.weights,
    }


def _fit(fit: DeltaFit) -> dict[str, Any]:
    return {
        "plain": fit.error(1.0),
        "factor": fit.best,
        "best": fit.error(fit.best),
        "over": [round(fit.error(factor), 5) for factor in FACTORS],
    }


def _figures(found: OutputErrors) -> dict[str, Any]:
    at = next(one for one in found.rates if one.rate == TOLD)
    half = next(one for one in found.rates if one.rate == 0.5)
    return {
        "effect": found.effect,
        "largest": at.largest.error(1.0),
        "largest-factor": at.largest.best,
        "largest-best": at.largest.error(at.largest.best),
        "drawn": at.drawn.error(1.0),
        "dare": at.drawn.error(1 / (1 - at.rate)),
        "drawn-factor": at.drawn.best,
        "drawn-best": at.drawn.error(at.drawn.best),
        "q": 1 / at.drawn.best,
        "first-factor": at.halves[0],
        "second-factor": at.halves[1],
        "halved": at.halved,
        "weights": at.weights,
        "weights-half": half.weights,
        "largest-half": half.largest.error(1.0),
        "dare-half": half.drawn.error(2.0),
        "drawn-half": half.drawn.error(1.0),
    }
