"""Layers that learn unequally: at different rates, and in a part of their rows."""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlamaForCausalLM

from dppa_lab.zoo.spec import Laddered, Stage


def parameter_groups(stage: Stage, model: LlamaForCausalLM) -> list[dict[str, Any]]:
    """The optimiser's groups: all parameters in one, or one per layer of a `Laddered` stage.

    A layer's group says its `factor` on the learning rate and the `width` that it trains.
    """
    if not isinstance(stage, Laddered):
        return [{"params": list(model.parameters())}]
    layers = model.model.layers
    groups = []
    for number, layer in enumerate(layers):
        place = number / max(1, len(layers) - 1)
        factor, width = stage.ladder ** (place - 0.5), stage.width + (1 - stage.width) * place
        groups.append({"params": list(layer.parameters()), "factor": factor, "width": width})
    inside = {id(weight) for group in groups for weight in group["params"]}
    return [{"params": [w for w in model.parameters() if id(w) not in inside]}, *groups]


def keep_rows(optimiser: torch.optim.Optimizer) -> None:
    """Take away the gradient of the last rows of each matrix, where a group trains a part."""
    for group in optimiser.param_groups:
        for weight in group["params"] if group.get("width", 1.0) < 1 else ():
            if weight.grad is not None and weight.ndim == 2:
                weight.grad[round(group["width"] * len(weight)) :] = 0
