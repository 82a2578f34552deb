"""A block that computes Dynamically Pruning step by step, from outliers to densities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from dppa_core.parameter_fields import check_number
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.density import centred, densities_at, outliers, significance
from dppa_core.pruning.pruning_parameters import PruningParameters

from ...widgets.theme import KNOWN_MODELS
from .context import BASE, Arguments, BlockContext

RATES = np.linspace(0, 0.99, 100)
QUOTED_RATE = 0.8
"""The pruning rate used in the text."""
MULTIPLES = np.linspace(0, 12, 49)


def two_matrices(_arguments: Arguments, context: BlockContext) -> dict[str, Any]:
    """Two matrices of math of one size, with most and with fewest outliers: the share of their
    entries above each multiple of their own mean, and how the strength moves their densities."""
    profile, parameters = context.studio.profile(BASE, KNOWN_MODELS[0]), PruningParameters()
    alike = [item for item in profile.modules if item.numel == profile.modules[0].numel]
    alike.sort(key=lambda item: outliers([item], parameters.k_module).share)
    both = (alike[-1], alike[0])
    shares = np.array([outliers([item], parameters.k_module).share for item in both])
    steps = centred(shares, np.array([item.numel for item in both], np.float64))
    return {
        "multiple": parameters.k_module,
        "multiples": MULTIPLES.tolist(),
        "strength": parameters.strength,
        "density": 1 - QUOTED_RATE,
        "matrices": [
            {
                "name": item.module.name,
                "numel": item.numel,
                "above": [outliers([item], multiple).share for multiple in MULTIPLES],
                "move": step,
            }
            for item, step in zip(both, (steps / np.abs(steps).max()).tolist(), strict=True)
        ],
    }


def significance_by_hand(arguments: Arguments, context: BlockContext) -> dict[str, Any]:
    """All steps from a {"model"}'s profile to densities at a {"strength"}."""
    base, model = context.pair(arguments)
    strength = arguments.get("strength", PruningParameters().strength)
    parameters = PruningParameters(strength=check_number("strength", strength, 0.0, 0.5))
    profile = context.studio.profile(base, model)
    score = significance(profile, parameters)
    numel = np.array([item.numel for item in profile.modules])
    density = densities_at(score.adjustment, numel, RATES)
    steps = centred(score.module, numel.astype(np.float64))
    modules = [
        {
            "name": item.module.name,
            "layer": item.module.layer,
            "numel": item.numel,
            **_outliers(profile, [item.module.name], parameters.k_module),
            "ratio": float(score.module[n] / score.module.mean()) if score.module.any() else 0.0,
            "centred": float(steps[n]),
            "by_layer": float(score.by_layer[n]),
            "by_module": float(score.by_module[n]),
            "density": _rounded(density[:, n]),
        }
        for n, item in enumerate(profile.modules)
    ]
    layers = [_layer(profile, layer, parameters.k_layer) for layer in score.layers]
    return {
        "models": context.names(),
        "model": model,
        **{name: getattr(parameters, name) for name in ("strength", "k_layer", "k_module")},
        "rates": _rounded(RATES),
        "layers": layers,
        "mean_layer": float(score.layer.mean()),
        "mean_module": float(score.module.mean()),
        "largest_centred": float(np.abs(steps).max()),
        "modules": modules,
        "figures": _figures(modules, density[int(round(100 * QUOTED_RATE))]),
    }


def _layer(profile: DeltaProfile, layer: int, multiple: float) -> dict[str, Any]:
    names = [item.module.name for item in profile.modules if item.module.layer == layer]
    return {"layer": layer, **_outliers(profile, names, multiple)}


def _outliers(profile: DeltaProfile, names: list[str], multiple: float) -> dict[str, Any]:
    counts = outliers([item for item in profile.modules if item.module.name in names], multiple)
    return {"mean": counts.mean, "above": counts.above, "of": counts.numel, "share": counts.share}


def _rounded(values: ndarray) -> list[float]:
    return [round(float(value), 5) for value in values]


def _figures(modules: list[dict[str, Any]], density: ndarray) -> dict[str, Any]:
    figures: dict[str, Any] = {"modules": len(modules)}
    top = np.argmax([module["share"] for module in modules])
    for name, n in (("most", np.argmax(density)), ("least", np.argmin(density)), ("top", top)):
        module = modules[int(n)]
        figures |= {
            name: module["name"],
            f"{name}-share": module["share"],
            f"{name}-layer": module["by_layer"],
            f"{name}-own": module["by_module"],
            f"{name}-density": float(density[n]),
        }
    return figures
